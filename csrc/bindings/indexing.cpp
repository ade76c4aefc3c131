// tensor[index] and tensor[index] = value.
#include "bindings/bindings.h"

namespace ranvier::python {

namespace {

// One view after another, from the first axis to the last.
class Indexer {
 public:
  explicit Indexer(Tensor t) : t_(std::move(t)) {}

  Tensor apply(const py::object& index) {
    const py::tuple parts =
        py::isinstance<py::tuple>(index) ? index.cast<py::tuple>() : py::make_tuple(index);
    int taken = 0;
    for (const py::handle part : parts)
      if (!part.is_none() && !is_ellipsis(part)) ++taken;
    if (taken > t_.dim())
      fail(ErrorKind::index, "[index] expected at most ", t_.dim(), " indices for shape ",
           to_string(t_.shape()), ", got ", taken);
    int open = t_.dim() - taken;
    bool seen = false;
    for (const py::handle part : parts) {
      if (!is_ellipsis(part)) {
        one(part);
        continue;
      }
      if (seen) fail(ErrorKind::index, "[index] expected one '...', got several");
      seen = true;
      axis_ += open;
      open = 0;
    }
    return t_;
  }

 private:
  static bool is_ellipsis(py::handle h) { return h.ptr() == Py_Ellipsis; }

  void one(py::handle part) {
    static const Op select("select"), slice("slice"), unsqueeze("unsqueeze"), pick("index_select");
    const int64_t axis = axis_;
    if (part.is_none()) {
      t_ = unsqueeze({t_}, {axis});
      ++axis_;
    } else if (PySlice_Check(part.ptr())) {
      Py_ssize_t start, stop, step;
      if (PySlice_Unpack(part.ptr(), &start, &stop, &step) < 0) throw py::error_already_set();
      t_ = slice({t_}, {axis, int64_t{start}, int64_t{stop}, int64_t{step}});
      ++axis_;
    } else if (PyIndex_Check(part.ptr()) && !PyBool_Check(part.ptr()) && !is_array(part)) {
      const Py_ssize_t i = PyNumber_AsSsize_t(part.ptr(), PyExc_IndexError);
      if (i == -1 && PyErr_Occurred()) throw py::error_already_set();
      t_ = select({t_}, {axis, int64_t{i}});
    } else {
      const Tensor index = tensor_from(part);
      if (index.dim() != 1 || is_floating(index.dtype()) || index.dtype() == DType::bool_)
        fail(ErrorKind::index,
             "[index] expected integers, slices, None, '...' or a list of integers, got a ",
             name_of(index.dtype()), " tensor of shape ", to_string(index.shape()));
      t_ = pick({t_, index}, {axis});
      ++axis_;
    }
  }

  static bool is_array(py::handle h) {
    if (py::isinstance<py::array>(h)) return h.attr("ndim").cast<int>() > 0;
    return py::isinstance<TensorImpl>(h) && h.cast<Tensor>().dim() > 0;
  }

  Tensor t_;
  int axis_ = 0;
};

}  // namespace

Tensor get_item(const Tensor& self, const py::object& index) { return Indexer(self).apply(index); }

void set_item(const Tensor& self, const py::object& index, const py::object& value) {
  const Tensor part = Indexer(self).apply(index);
  if (part.impl()->storage.get() != self.impl()->storage.get())
    fail(ErrorKind::index,
         "[index] expected integers, slices, None or '...' for an assignment, "
         "got a list of integers");
  call("copy_", {part, tensor_from(value)});
}

}  // namespace ranvier::python
