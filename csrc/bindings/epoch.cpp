// Many steps of a training run in one call: a program that gathers its rows by their numbers runs
// on one part of the numbers after the other, without the interpreter's lock.
#include <chrono>
#include <cstring>
#include <mutex>

#include "bindings/bindings.h"
#include "core/recording.h"
#include "program/ahead.h"

namespace ranvier::python {
namespace {

struct Forget {
  Ahead* ahead;
  ~Forget() {
    if (ahead) ahead->drop();
  }
};

// What the steps of one call work on.
struct Steps {
  Program::Plan& plan;
  SmallVector<Argument, 4> arguments;  // the numbers of a step's rows, one list for each input
  SmallVector<int64_t, 4> strides;     // bytes from a step's part of a list to the next one's
  Tensors out;                         // a row for the results of each step
  int64_t count;
  std::chrono::steady_clock::duration limit;
  int64_t done = 0;

  SmallVector<Argument, 4> next() const {
    SmallVector<Argument, 4> parts = arguments;
    for (size_t i = 0; i < parts.size(); ++i)
      parts[i].data = static_cast<char*>(parts[i].data) + strides[i];
    return parts;
  }

  void step() {
    const std::span<const Argument> now(arguments.begin(), arguments.size());
    if (!plan.ahead) return plan.compute(now);
    const auto behind = done + 1 < count ? next() : SmallVector<Argument, 4>();
    plan.ahead->compute(plan, now, {behind.begin(), behind.size()});
  }

  // The last result says whether everything was finite: after a step that was not, no other runs.
  void run() {
    const auto start = std::chrono::steady_clock::now();
    const auto* const finite = plan.results.back().tensor.data<bool>();
    const Forget forget{plan.ahead.get()};
    while (done < count) {
      step();
      for (size_t i = 0; i < out.size(); ++i) {
        const Tensor& t = plan.results[i].tensor;
        const size_t bytes = static_cast<size_t>(t.numel()) * size_of(t.dtype());
        if (bytes)
          std::memcpy(static_cast<char*>(out[i].raw()) + bytes * static_cast<size_t>(done), t.raw(),
                      bytes);
      }
      ++done;
      arguments = next();
      if (!*finite || std::chrono::steady_clock::now() - start > limit) return;
    }
  }
};

bool stacks(const Program::Plan& plan, const Tensors& out, int64_t count) {
  if (!plan.is_plain() || out.size() != plan.results.size() || out.empty()) return false;
  if (plan.results.back().tensor.dtype() != DType::bool_) return false;
  for (size_t i = 0; i < out.size(); ++i) {
    const Tensor& t = plan.results[i].tensor;
    if (!t.is_contiguous() || !out[i].is_contiguous() || out[i].dtype() != t.dtype() ||
        out[i].numel() < count * t.numel())
      return false;
  }
  return true;
}

// How many steps were taken: all, or fewer where the time is over or numbers are not finite. None:
// the program does not fit.
py::object run_steps(const std::shared_ptr<Program>& program, const Tensors& numbers, int64_t first,
                     int64_t rows, int64_t count, double seconds, const Tensors& out) {
  Program::Plan& plan = program->plan();
  forbid_while_recording("steps of a run");
  if (count < 1 || rows < 1 || first < 0 || numbers.size() != plan.inputs.size() ||
      !stacks(plan, out, count))
    return py::none();
  Steps steps{plan,
              {},
              {},
              out,
              count,
              std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                  std::chrono::duration<double>(seconds))};
  for (const Tensor& list : numbers) {
    if (list.dim() != 1 || !list.is_contiguous() || list.numel() < first + rows * count)
      return py::none();
    const auto size = static_cast<int64_t>(size_of(list.dtype()));
    Argument part = argument_of(list);
    part.data = static_cast<char*>(part.data) + first * size;
    part.shape = &rows;
    steps.arguments.push_back(part);
    steps.strides.push_back(rows * size);
  }
  const std::span<const Argument> all(steps.arguments.begin(), steps.arguments.size());
  if (!plan.fits(all)) return py::none();
  std::unique_lock<std::mutex> turn(turn_of(plan), std::try_to_lock);
  if (!turn.owns_lock()) return py::none();
  if (count > 1) plan.look_ahead();
  const std::exception_ptr error = without_lock([&] { steps.run(); });
  if (error) {
    plan.give_up();
    std::rethrow_exception(error);
  }
  plan.publish();
  return py::int_(steps.done);
}

}  // namespace

void bind_epoch(py::module_& m) {
  m.def("program_results", [](const std::shared_ptr<Program>& program) {
    py::list list;
    for (const Tensor& t : program->plan().shown_results())
      list.append(py::make_tuple(size_of_shape(t.shape()), dtype_object(t.dtype())));
    return list;
  });
  m.def("run_steps", &run_steps, py::arg("program"), py::arg("numbers"), py::arg("first"),
        py::arg("rows"), py::arg("count"), py::arg("seconds"), py::arg("out"));
}

}  // namespace ranvier::python
