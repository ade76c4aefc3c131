// Predictions of many batches in one call: a program of so many rows runs on one part of the rows
// after the other, and leaves what it makes where it belongs in the whole.
#include <chrono>
#include <cstring>
#include <mutex>
#include <utility>

#include "bindings/bindings.h"
#include "core/allocator.h"
#include "core/recording.h"
#include "program/plan.h"

namespace ranvier::python {
namespace {

// Nanoseconds of work from which other Python threads may go on meanwhile.
constexpr double kWorthSharing = 20'000;

bool is_row_list(const Tensor& t) { return t.dim() > 0 && t.is_contiguous(); }

// Whether a result is a part of `out`, and rows of it are rows of that.
bool goes_into(const Tensor& result, const Tensor& out) {
  if (!is_row_list(result) || !is_row_list(out) || result.dtype() != out.dtype()) return false;
  if (result.dim() != out.dim()) return false;
  for (int i = 1; i < out.dim(); ++i)
    if (result.shape()[i] != out.shape()[i]) return false;
  return true;
}

// A large result is made where it belongs, in place of memory that the caller would get.
class MadeThere {
 public:
  MadeThere(const Result& result, char* to) {
    if (!result.given || reinterpret_cast<uintptr_t>(to) % kAlignment != 0) return;
    storage_ = result.tensor.impl()->storage.get();
    before_ = std::exchange(storage_->data, to);
  }
  ~MadeThere() {
    if (storage_) storage_->data = before_;
  }
  MadeThere(const MadeThere&) = delete;
  MadeThere& operator=(const MadeThere&) = delete;
  explicit operator bool() const { return storage_; }

 private:
  Storage* storage_ = nullptr;
  void* before_ = nullptr;
};

// The rows of `out` from `first` on, of a program and as many rows at a time as it takes. How many
// batches were done: fewer than `count` where the time is over; none where it does not fit.
int64_t predict_rows(const std::shared_ptr<Program>& program, const Tensor& x, int64_t first,
                     int64_t count, double seconds, const Tensor& out) {
  Program::Plan& plan = program->plan();
  if (recording || plan.inputs.size() != 1 || plan.results.size() != 1 || !plan.is_plain())
    return 0;
  const Tensor& result = plan.results[0].tensor;
  if (!is_row_list(x) || !goes_into(result, out)) return 0;
  const int64_t rows = result.shape()[0];
  const int64_t last = first + rows * count;
  if (first < 0 || count < 1 || rows < 1 || last > x.shape()[0] || last > out.shape()[0]) return 0;

  Argument part = argument_of(x);
  Dims shape = x.shape();
  shape[0] = plan.inputs[0].dim() > 0 ? plan.inputs[0].shape()[0] : 0;
  if (shape[0] != rows) return 0;
  part.shape = shape.begin();
  const auto bytes_of_rows = [&](const Tensor& t) {
    return t.numel() / t.shape()[0] * rows * static_cast<int64_t>(size_of(t.dtype()));
  };
  const int64_t in_bytes = bytes_of_rows(x), out_bytes = bytes_of_rows(out);
  part.data = static_cast<char*>(part.data) + in_bytes / rows * first;
  char* to = static_cast<char*>(out.raw()) + out_bytes / rows * first;
  if (!plan.fits({&part, 1})) return 0;
  const std::unique_lock<std::mutex> turn(turn_of(plan), std::try_to_lock);
  if (!turn.owns_lock()) return 0;  // the function itself is there

  int64_t done = 0;
  const auto start = std::chrono::steady_clock::now();
  const std::chrono::duration<double> limit(seconds);
  const auto run = [&] {
    do {
      const MadeThere there(plan.results[0], to);
      plan.compute({&part, 1});
      if (!there) std::memcpy(to, result.raw(), static_cast<size_t>(out_bytes));
      part.data = static_cast<char*>(part.data) + in_bytes;
      to += out_bytes;
    } while (++done < count && std::chrono::steady_clock::now() - start < limit);
  };
  std::exception_ptr error;
  if (plan.nanoseconds * static_cast<double>(count) > kWorthSharing) {
    error = without_lock(run);
  } else {
    try {
      run();
    } catch (...) {
      error = std::current_exception();
    }
  }
  if (error) {
    plan.give_up();
    std::rethrow_exception(error);
  }
  plan.publish();
  return done;
}

// Shape and dtype of the one result that a run makes anew, in rows; None where it is none such.
py::object predicted(const std::shared_ptr<Program>& program) {
  const Program::Plan& plan = program->plan();
  if (plan.inputs.size() != 1 || plan.results.size() != 1 || !plan.is_plain()) return py::none();
  const Tensor& result = plan.results[0].tensor;
  if (!is_row_list(result)) return py::none();
  return py::make_tuple(size_of_shape(result.shape()), dtype_object(result.dtype()));
}

}  // namespace

void bind_predict(py::module_& m) {
  m.def("predict_rows", &predict_rows, py::arg("program"), py::arg("x"), py::arg("first"),
        py::arg("count"), py::arg("seconds"), py::arg("out"));
  m.def("predicted", &predicted, py::arg("program"));
}

}  // namespace ranvier::python
