// Making, timing and judging rows; see suite.h.
#include "suite.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "ops/op.h"

namespace bench {
namespace {

using ranvier::Op;

struct Runner {
  std::shared_ptr<const Op> op;
  Tensors inputs;
  Attrs attrs;
  explicit Runner(const Call& call)
      : op(std::make_shared<const Op>(call.op)), inputs(call.inputs), attrs(call.attrs) {}
  Tensors operator()() const { return op->all(inputs, attrs); }
};

double bytes_of(const Tensors& tensors) {
  double sum = 0;
  for (const Tensor& t : tensors)
    if (t.defined()) sum += bench::bytes_of(t);
  return sum;
}

ranvier::Metas metas_of(const Tensors& tensors) {
  ranvier::Metas metas;
  for (const Tensor& t : tensors)
    metas.push_back(t.defined() ? ranvier::meta_of(t) : ranvier::Meta());
  return metas;
}

// Only where the op declares what it costs: an element of exp is no operation.
double flops_of(const Runner& runner, const Tensors& results) {
  const ranvier::OpDef& def = runner.op->def();
  if (!def.cost) return 0;
  Attrs attrs = runner.attrs;
  for (size_t i = attrs.size(); i < def.attrs.size(); ++i) attrs.push_back(def.attrs[i].value);
  return ranvier::cost_of(def, metas_of(runner.inputs), metas_of(results), attrs).flops;
}

double saved_bytes(const Runner& runner, const Tensors& results) {
  double sum = 0;
  for (const auto& [saved, tensors] : {std::pair{&runner.op->def().saved_in, &runner.inputs},
                                       std::pair{&runner.op->def().saved_out, &results}})
    for (const ranvier::SavedValue& value : *saved) {
      const auto place = static_cast<size_t>(value.place);
      if (place < tensors->size() && (*tensors)[place].defined())
        sum += bytes_of(Tensors{(*tensors)[place]});
    }
  return sum;
}

Tensors leaves_of(const Runner& runner) {
  Tensors leaves;
  for (const Tensor& t : runner.inputs)
    if (t.defined() && ranvier::is_floating(t.dtype())) {
      ranvier::set_requires_grad(t, true);
      leaves.push_back(t);
    }
  return leaves;
}

Traffic forward_traffic(const Runner& runner, const Tensors& results) {
  const double read = bytes_of(runner.inputs), written = bytes_of(results);
  return {.read = read, .written = written, .footprint = read + written};
}

Traffic backward_traffic(const Runner& runner, const Tensors& results, const Tensors& leaves) {
  const double read = saved_bytes(runner, results) + bytes_of(Tensors{results[0]});
  const double written = bytes_of(leaves);
  return {.read = read, .written = written, .footprint = read + written};
}

}  // namespace

// ---- what rows are made of

Work forward(Call call) {
  const Runner runner(call);
  const Tensors results = runner();
  return {.run = [runner] { benchmark::DoNotOptimize(runner()); },
          .flops = flops_of(runner, results),
          .traffic = forward_traffic(runner, results)};
}

Work backward(Call call) {
  const Runner runner(call);
  const Tensors leaves = leaves_of(runner), results = runner();
  const Tensor seed = uniform(results[0].shape(), results[0].dtype());
  return {.run =
              [=] {
                benchmark::DoNotOptimize(
                    ranvier::gradients({results[0]}, leaves, {seed}, {.retain_graph = true}));
              },
          .traffic = backward_traffic(runner, results, leaves)};
}

Work forward_backward(Call call) {
  const Runner runner(call);
  const Tensors leaves = leaves_of(runner), results = runner();
  const Tensor seed = uniform(results[0].shape(), results[0].dtype());
  const Traffic there = forward_traffic(runner, results);
  const Traffic back = backward_traffic(runner, results, leaves);
  return {
      .run =
          [=] { benchmark::DoNotOptimize(ranvier::gradients({runner()[0]}, leaves, {seed}, {})); },
      .traffic = {.read = there.read + back.read,
                  .written = there.written + back.written,
                  .footprint = there.footprint + bytes_of(Tensors{seed}) + back.written}};
}

DType dtype_of(Number number) {
  return number == Number::f32   ? DType::float32
         : number == Number::f64 ? DType::float64
                                 : DType::bfloat16;
}

Tensor uniform(const Dims& shape, DType dtype, double low, double high) {
  static const Op draw("uniform");
  static ranvier::Generator random(0);
  return draw({random.state()}, {std::vector<int64_t>(shape.begin(), shape.end()), low, high,
                                 static_cast<int64_t>(dtype)});
}

double bytes_of(const Tensor& t) {
  return static_cast<double>(t.numel()) * static_cast<double>(ranvier::size_of(t.dtype()));
}

std::string sizes(std::initializer_list<int64_t> values) {
  std::string text;
  for (const int64_t value : values) {
    if (!text.empty()) text += 'x';
    text += std::to_string(value);
  }
  return text;
}

// ---- timing

double least_seconds(const Setting& setting, const Traffic& traffic) {
  const auto seconds = [&](Flow flow, double bytes) {
    return bytes > 0 ? bytes / bandwidth(setting, flow, traffic.footprint) : 0.0;
  };
  const double copied = std::min(traffic.read, traffic.written);
  return seconds(Flow::copy, 2 * copied) + seconds(Flow::read, traffic.read - copied) +
         seconds(Flow::write, traffic.written - copied) +
         seconds(Flow::update, 2 * traffic.updated);
}

namespace {

struct Prepared {
  const Row* row = nullptr;
  Setting warm;  // the setting that it has run in
  Work work;
};

Prepared& prepared(const Row& row, const Setting& setting) {
  static Prepared now;
  ranvier::set_isa(setting.isa);
  ranvier::set_num_threads(setting.threads);
  if (now.row != &row) {
    now = Prepared();  // first, so that two rows never hold their tensors at once
    now.work = row.prepare();
    now.row = &row;
  }
  if (now.warm != setting) {
    for (int i = 0; i < 2; ++i) {
      now.work.run();
      if (now.work.reference) now.work.reference();
    }
    now.warm = setting;
  }
  return now;
}

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Seconds of a call of `run`; in turns with the reference.
double time_pair(const Work& work, benchmark::State& state) {
  constexpr int kCalls = 20;
  const auto lot = [](const std::function<void()>& call) {
    const double start = seconds_now();
    for (int i = 0; i < kCalls; ++i) call();
    return (seconds_now() - start) / kCalls;
  };
  std::vector<double> runs, references;
  for (auto _ : state) {
    runs.push_back(lot(work.run));
    references.push_back(lot(work.reference));
  }
  const double seconds = median(runs);
  state.counters["ratio"] = seconds / median(references);
  return seconds;
}

double time_run(const Work& work, benchmark::State& state) {
  const double start = seconds_now();
  for (auto _ : state) work.run();
  return (seconds_now() - start) / static_cast<double>(state.iterations());
}

// The share of the limit that is nearer, and which one that is.
void judge(const Row& row, const Setting& setting, double seconds, benchmark::State& state,
           const Work& work) {
  double peak = 0;
  if (work.flops > 0) peak = peak_flops(setting, row.number);
  // What the processor cannot multiply as it is, is multiplied as float32.
  if (work.flops > 0 && peak == 0) peak = peak_flops(setting, Number::f32);
  const double bytes = work.traffic.bytes();
  const double computed = peak > 0 ? work.flops / peak / seconds : 0;
  const double moved = bytes > 0 ? least_seconds(setting, work.traffic) / seconds : 0;
  if (work.flops > 0) state.counters["GFLOP/s"] = work.flops / seconds / 1e9;
  state.counters["GB/s"] = bytes / seconds / 1e9;
  state.counters["%peak"] = 100 * std::max(computed, moved);
  char text[80];
  if (computed >= moved)
    std::snprintf(text, sizeof text, "limit %.0f GFLOP/s", peak / 1e9);
  else
    std::snprintf(text, sizeof text, "limit %.0f GB/s at %.3g MB", bytes / moved / seconds / 1e9,
                  work.traffic.footprint / 1e6);
  state.SetLabel(text);
}

}  // namespace

void run_row(const Row& row, const Setting& setting, benchmark::State& state) {
  try {
    const Work& work = prepared(row, setting).work;
    const double seconds = work.reference ? time_pair(work, state) : time_run(work, state);
    judge(row, setting, seconds, state, work);
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace bench
