// How long the instructions of a program take: see ranvier/program.h.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>

#include "core/parallel.h"
#include "core/recording.h"
#include "program/formula.h"
#include "program/plan.h"
#include "ranvier/autograd.h"

namespace ranvier {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// The mean of the middle half: where others disturb counts as little as in a median, and clocks
// that tick every 10 ns still tell 12 from 18.
double typical(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const size_t first = values.size() / 4, last = values.size() - first;
  double sum = 0;
  for (size_t i = first; i < last; ++i) sum += values[i];
  return sum / static_cast<double>(last - first);
}

// What a run changes of the memory around a program, kept to be put back: parameters, gradients,
// the state of optimizers and generators, running statistics.
class Kept {
 public:
  explicit Kept(const Program::Plan& plan) {
    MemoryUses uses(plan.instructions, {});
    for (const auto& [storage, use] : uses.all()) {
      if (use.writes.empty() || storage->bytes == 0 || plan.is_temporary(*storage)) continue;
      copies_.push_back({storage, storage->version, std::make_unique<char[]>(storage->bytes)});
      std::memcpy(copies_.back().bytes.get(), storage->data, storage->bytes);
    }
  }
  ~Kept() { put_back(); }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  void put_back() const {
    for (const Copy& copy : copies_) {
      std::memcpy(copy.storage->data, copy.bytes.get(), copy.storage->bytes);
      copy.storage->version = copy.version;
    }
  }

 private:
  struct Copy {
    Storage* storage;
    uint32_t version;
    std::unique_ptr<char[]> bytes;
  };
  std::vector<Copy> copies_;
};

// What two readings of the clock are apart where nothing lies between them.
double cost_of_clock() {
  std::vector<double> gaps;
  for (int i = 0; i < 101; ++i) {
    const auto first = Clock::now(), second = Clock::now();
    gaps.push_back(seconds(first, second));
  }
  return typical(gaps);
}

// Of an instruction, or of all in a chain: what they make and read within it moves no memory.
Profile::Line line_of(const Program::Plan& plan, size_t first, size_t last) {
  Profile::Line line{"", "", 0, 0, 0};
  for (size_t i = first; i < last; ++i) {
    const Instruction& step = plan.instructions[i];
    const Cost cost = cost_of_step(step);
    line.op += (i == first ? "" : " ") + label_of(step);
    if (step.where && line.where.empty()) line.where = *step.where;
    line.flops += cost.flops;
    line.bytes += cost.bytes;
    const auto take_away = [&](const Tensor& t) {
      if (t.defined() && plan.chains.inside(*t.impl()->storage))
        line.bytes -= static_cast<double>(t.numel()) * static_cast<double>(size_of(t.dtype()));
    };
    for (const Tensor& t : step.inputs) take_away(t);
    for (const Tensor& t : step.outputs) take_away(t);
  }
  line.bytes = std::max(line.bytes, 0.0);
  return line;
}

}  // namespace

Profile Program::profile(int n) {
  if (n < 1) fail(ErrorKind::value, "[profile] expected n of 1 or more, got ", n);
  forbid_while_recording("profile()");
  Plan& plan = *plan_;
  const std::lock_guard<std::mutex> alone(turn_of(plan));
  const NoGrad off;
  const IeeeArithmetic ieee;
  const InsideKernel kernel;
  // Large arguments are nowhere between runs: zeros stand for them.
  std::vector<Tensor> zeros;
  std::vector<Argument> arguments;
  for (size_t i = 0; i < plan.inputs.size(); ++i) {
    const auto bytes =
        static_cast<int64_t>(plan.lent[i] ? plan.inputs[i].impl()->storage->bytes : 0);
    zeros.push_back(Tensor::zeros({bytes}, DType::uint8));
    arguments.push_back(argument_of(zeros.back()));
  }
  const Lending lending(plan, arguments);
  const Kept kept(plan);
  const size_t count = plan.calls.size();
  std::vector<std::vector<double>> each(count);
  std::vector<double> whole;
  std::vector<Clock::time_point> times(count + 1);
  for (int run = -1; run < n; ++run) {  // the first one warms caches
    kept.put_back();
    const auto start = Clock::now();
    for (const Prepared& call : plan.calls) call();
    const auto end = Clock::now();
    kept.put_back();
    times[0] = Clock::now();
    for (size_t i = 0; i < count; ++i) {
      plan.calls[i]();
      times[i + 1] = Clock::now();
    }
    if (run < 0) continue;
    whole.push_back(seconds(start, end));
    for (size_t i = 0; i < count; ++i) each[i].push_back(seconds(times[i], times[i + 1]));
  }
  const double clock = cost_of_clock();
  Profile profile;
  profile.seconds = std::max(typical(whole) - clock, 0.0);
  double sum = 0;
  for (std::vector<double>& values : each) sum += typical(values);
  // Readings of the clock stand between instructions here and not in a step; processors do a part
  // of their work beside it, so that what they cost is best known from the difference.
  const double extra = count ? (sum - profile.seconds) / static_cast<double>(count) : 0;
  const double reading = std::clamp(extra, 0.0, 3 * clock);
  for (size_t i = 0, at = 0; i < count; ++i) {
    const Chain* const chain = plan.chains.at(at);
    const size_t last = chain ? chain->last : at + 1;
    profile.lines.push_back(line_of(plan, at, last));
    profile.lines.back().seconds = std::max(typical(each[i]) - reading, 0.0);
    at = last;
  }
  return profile;
}

}  // namespace ranvier
