// A tensor's memory seen otherwise, for what is no op: under another dtype, and a tensor that takes
// over the shape of a view of itself. The rules of shapes are in ranvier/_memory.py.
#include "autograd/node.h"
#include "bindings/bindings.h"
#include "core/recording.h"
#include "core/structure.h"

namespace ranvier::python {
namespace {

// Whether the last element of a layout, in elements of `size` bytes, lies within `bytes`.
bool fits(const Dims& shape, const Dims& strides, int64_t offset, int64_t size, int64_t bytes) {
  if (shape.size() != strides.size() || offset < 0) return false;
  int64_t last = offset;
  for (int i = 0; i < shape.size(); ++i) {
    int64_t step = 0;
    if (shape[i] < 0 || strides[i] < 0) return false;
    if (shape[i] == 0) return true;
    if (__builtin_mul_overflow(shape[i] - 1, strides[i], &step) ||
        __builtin_add_overflow(last, step, &last))
      return false;
  }
  return last < bytes / size;
}

// Without a gradient: bytes have none.
Tensor memory_as(const Tensor& t, py::handle as, const std::vector<int64_t>& sizes,
                 const std::vector<int64_t>& steps, int64_t offset) {
  forbid_while_recording("memory seen under another dtype");
  const DType dtype = dtype_from(as);
  const Dims shape{std::span<const int64_t>(sizes)}, strides{std::span<const int64_t>(steps)};
  const auto size = static_cast<int64_t>(size_of(dtype));
  const Storage& storage = *t.impl()->storage;
  const bool aligned = reinterpret_cast<uintptr_t>(storage.data) % size_of(dtype) == 0;
  if (!aligned || !fits(shape, strides, offset, size, static_cast<int64_t>(storage.bytes)))
    fail(ErrorKind::runtime, "[view] expected a layout within memory of ", storage.bytes,
         " bytes, aligned to ", size, ", got shape ", to_string(shape), " from element ", offset,
         "; clone() it first");
  const Tensor seen = t.alias(shape, strides, offset);
  seen.impl()->dtype = dtype;
  return seen;
}

// t_(), squeeze_() and their like. What backward of other ops saved of the tensor counts as
// changed, and views of it find their place in its new shape.
void take_layout(const Tensor& t, const Tensor& view, const std::string& where) {
  forbid_while_recording((where + "()").c_str());
  if (requires_grad(t) && (is_leaf(t) || !grad_enabled()))
    fail(ErrorKind::runtime, "[", where, "] expected a tensor without gradient, or the result of ",
         "an op while gradients are on, got ", is_leaf(t) ? "a leaf" : "one under no_grad",
         "; use ", where.substr(0, where.size() - 1), "(), which gives a view");
  TensorImpl &impl = *t.impl(), &from = *view.impl();
  if (impl.autograd && impl.autograd->grad.defined())
    fail(ErrorKind::runtime, "[", where, "] expected a tensor that holds no gradient, got one of ",
         "shape ", to_string(impl.autograd->grad.shape()), "; set grad to None first");
  if (requires_grad(view)) {
    const AutogradMeta& history = autograd_meta(view);
    AutogradMeta& meta = autograd_meta(t);
    set_node(meta, history.node, history.output);
    if (!impl.base) ++meta.history;
  }
  if (impl.watched) structure_changed();
  impl.shape = from.shape;
  impl.strides = from.strides;
  impl.offset = from.offset;
  ++impl.storage->version;
}

}  // namespace

void bind_memory(py::module_& m) {
  m.def("memory_as", memory_as, py::arg("tensor"), py::arg("dtype"), py::arg("shape"),
        py::arg("strides"), py::arg("offset"));
  m.def("take_layout", take_layout, py::arg("tensor"), py::arg("view"), py::arg("where"));
  m.def("storage_of", [](const Tensor& t) {
    const Storage& storage = *t.impl()->storage;
    return py::make_tuple(reinterpret_cast<uintptr_t>(storage.data), storage.bytes);
  });
}

}  // namespace ranvier::python
