// Python's Tensor: its properties, memory exchange with NumPy, and indexing. Arithmetic and all
// other ops are added from the registry by ops.cpp; what needs no speed is in ranvier/_tensor.py.
#include <optional>

#include "bindings/bindings.h"
#include "core/dtypes.h"
#include "core/recording.h"

namespace ranvier::python {

namespace {

py::object* dtype_objects() {
  static py::object* const objects = new py::object[kDTypes];  // never destroyed
  return objects;
}

py::dtype numpy_dtype(DType dtype) {
  if (dtype == DType::bfloat16)
    fail(ErrorKind::type, "[numpy] expected a dtype that NumPy has, got bfloat16; call .float()");
  return py::dtype(dtype == DType::bool_ ? "bool" : name_of(dtype));
}

std::optional<DType> dtype_named(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i)
    if (name == name_of(static_cast<DType>(i))) return static_cast<DType>(i);
  return std::nullopt;
}

std::string all_dtypes() {
  std::string text;
  for (int i = 0; i < kDTypes; ++i)
    text += (i ? ", " : "") + std::string(name_of(static_cast<DType>(i)));
  return text;
}

py::tuple tuple_of(const Dims& dims) {
  py::tuple result(static_cast<size_t>(dims.size()));
  for (int i = 0; i < dims.size(); ++i) result[static_cast<size_t>(i)] = dims[i];
  return result;
}

void give_back_array(void* owner) {
  if (!Py_IsInitialized()) return;
  const py::gil_scoped_acquire gil;
  Py_DECREF(static_cast<PyObject*>(owner));
}

}  // namespace

py::object dtype_object(DType dtype) { return dtype_objects()[static_cast<int>(dtype)]; }

DType dtype_from(py::handle object) {
  if (py::isinstance<PyDType>(object)) return object.cast<PyDType&>().value;
  if (object.is(py::handle(reinterpret_cast<PyObject*>(&PyFloat_Type)))) return DType::float32;
  if (py::isinstance<py::str>(object))
    if (const auto dtype = dtype_named(py::str(object))) return *dtype;
  try {
    const std::string name =
        py::str(py::dtype::from_args(py::reinterpret_borrow<py::object>(object)).attr("name"));
    if (const auto dtype = dtype_named(name)) return *dtype;
  } catch (const py::error_already_set&) {  // not NumPy's either: the message below
  }
  fail(ErrorKind::type, "[dtype] expected one of ", all_dtypes(), ", got ",
       std::string(py::repr(object)));
}

double exact_double(const std::string& where, const std::string& name, py::handle number) {
  const double value = PyFloat_AsDouble(number.ptr());
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::type, "[", where, "] expected a number for '", name, "', got ",
         std::string(py::repr(number)));
  }
  if (PyLong_Check(number.ptr()) &&
      !py::int_(py::reinterpret_steal<py::object>(PyLong_FromDouble(value))).equal(number))
    fail(ErrorKind::value, "[", where, "] expected a number that float64 holds exactly for '", name,
         "', got ", std::string(py::repr(number)));
  return value;
}

// A byte of NumPy's bool that is neither 0 nor 1, as a view of other memory can have, is no C++
// bool.
bool odd_bools(const py::array& array) {
  return array.size() > 0 && array.attr("view")("uint8").attr("max")().cast<int>() > 1;
}

Tensor from_array(const py::array& given, bool copy) {
  py::array array = given;
  const std::string name = py::str(array.dtype().attr("name"));
  const auto dtype = dtype_named(name);
  if (!dtype)
    fail(ErrorKind::type, "[tensor] expected an array of ", all_dtypes(), ", got ", name,
         "; convert it with .astype(...)");
  if (array.ndim() > Dims::kMax)
    fail(ErrorKind::shape, "[tensor] expected at most ", Dims::kMax, " dimensions, got ",
         array.ndim());
  Dims shape, strides;
  bool share = !copy && array.dtype().attr("isnative").cast<bool>();
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    shape.push_back(array.shape(i));
    strides.push_back(array.strides(i) / array.itemsize());
    share = share && array.strides(i) >= 0 && array.strides(i) % array.itemsize() == 0;
  }
  if (share && *dtype == DType::bool_ && odd_bools(array)) {
    array = array.attr("view")("uint8").attr("astype")("bool");
    share = false;
  }
  share = share && reinterpret_cast<uintptr_t>(array.data()) % size_of(*dtype) == 0;
  if (!share) {
    array = py::module_::import("numpy").attr("array")(array, numpy_dtype(*dtype),
                                                       py::arg("order") = "C");
    strides = contiguous_strides(shape);
  }
  void* data = const_cast<void*>(array.data());
  const bool writeable = array.writeable();
  const Tensor t =
      Tensor::wrap(data, shape, strides, *dtype, give_back_array, array.release().ptr());
  t.impl()->storage->read_only = share && !writeable;
  return t;
}

Tensor tensor_from(py::handle object) {
  if (py::isinstance<TensorImpl>(object)) return object.cast<Tensor>();
  if (py::isinstance<py::array>(object))
    return from_array(py::reinterpret_borrow<py::array>(object), false);
  const py::object np = py::module_::import("numpy");
  py::object array;
  try {
    array = np.attr("asarray")(object);
  } catch (py::error_already_set& e) {
    fail(ErrorKind::value, "[tensor] expected numbers in rows of equal length, got ",
         std::string(py::str(py::type::of(object).attr("__name__"))), ": ",
         std::string(py::str(e.value())));
  }
  const std::string kind = py::str(array.attr("dtype").attr("kind"));
  if (kind == "O" || kind == "U" || kind == "S" || kind == "V")
    fail(ErrorKind::type, "[tensor] expected numbers, got ",
         std::string(py::str(array.attr("dtype"))), " from ",
         std::string(py::str(py::type::of(object).attr("__name__"))));
  // Python's floats carry no precision of their own, NumPy's do.
  const bool numpy_scalar = py::isinstance(object, np.attr("generic"));
  if (kind == "f" && !numpy_scalar) array = array.attr("astype")("float32");
  return from_array(array, false);
}

namespace {

py::array to_numpy(const Tensor& t) {
  forbid_while_recording("numpy()");
  if (requires_grad(t))
    fail(ErrorKind::runtime,
         "[numpy] expected a tensor without gradient, got one that requires "
         "it; use .detach().numpy()");
  std::vector<py::ssize_t> shape, strides;
  for (int i = 0; i < t.dim(); ++i) {
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i] * static_cast<py::ssize_t>(size_of(t.dtype())));
  }
  py::array array(numpy_dtype(t.dtype()), shape, strides, t.raw(), py::cast(t));
  if (t.impl()->storage->read_only) array.attr("setflags")(py::arg("write") = false);
  return array;
}

py::object item(const Tensor& t) {
  forbid_while_recording("item()");
  if (is_floating(t.dtype())) return py::float_(t.item());
  if (t.dtype() == DType::bool_) return py::bool_(t.item_int() != 0);
  return py::int_(t.item_int());
}

// ---- indexing

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

namespace {

void bind_dtypes(py::module_& m) {
  py::class_<PyDType>(m, "dtype", "The type of a tensor's elements.")
      .def("__repr__", [](const PyDType& d) { return "ranvier." + std::string(name_of(d.value)); })
      .def("__reduce__",
           [m](const PyDType& d) {
             return py::make_tuple(m.attr("_dtype"), py::make_tuple(name_of(d.value)));
           })
      .def_property_readonly("name", [](const PyDType& d) { return name_of(d.value); })
      .def_property_readonly("itemsize", [](const PyDType& d) { return size_of(d.value); })
      .def_property_readonly("is_floating_point",
                             [](const PyDType& d) { return is_floating(d.value); });
  for (int i = 0; i < kDTypes; ++i) {
    dtype_objects()[i] = py::cast(PyDType{static_cast<DType>(i)});
    m.attr(i == static_cast<int>(DType::bool_) ? "bool_" : name_of(static_cast<DType>(i))) =
        dtype_objects()[i];
  }
  m.def("_dtype", [](const std::string& name) { return dtype_object(dtype_from(py::str(name))); });
}

}  // namespace

void bind_tensor(py::module_& m) {
  bind_dtypes(m);
  py::class_<TensorImpl, Ref<TensorImpl>>(m, "Tensor")
      .def(py::init([](const py::object& data) {
             const Tensor t = tensor_from(data);
             return t.detach().ref();
           }),
           py::arg("data"))
      .def_property_readonly("shape", [](const Tensor& t) { return tuple_of(t.shape()); })
      .def_property_readonly("dtype", [](const Tensor& t) { return dtype_object(t.dtype()); })
      .def_property_readonly("ndim", [](const Tensor& t) { return t.dim(); })
      .def_property_readonly("is_leaf", [](const Tensor& t) { return is_leaf(t); })
      .def_property(
          "requires_grad", [](const Tensor& t) { return requires_grad(t); },
          [](const Tensor& t, bool value) { set_requires_grad(t, value); })
      .def_property(
          "grad", [](const Tensor& t) { return grad(t); },
          [](const Tensor& t, const std::optional<Tensor>& g) {
            set_grad(t, g.value_or(Tensor()));
          })
      .def("dim", [](const Tensor& t) { return t.dim(); })
      .def("numel", [](const Tensor& t) { return t.numel(); })
      .def("element_size", [](const Tensor& t) { return size_of(t.dtype()); })
      .def("stride", [](const Tensor& t) { return tuple_of(t.strides()); })
      .def("data_ptr", [](const Tensor& t) { return reinterpret_cast<uintptr_t>(t.raw()); })
      .def("is_contiguous", [](const Tensor& t) { return t.is_contiguous(); })
      .def("_version", [](const Tensor& t) { return t.impl()->storage->version.load(); })
      .def("item", item)
      .def("numpy", to_numpy)
      .def("detach", [](const Tensor& t) { return t.detach(); })
      .def(
          "requires_grad_",
          [](const Tensor& t, bool value) {
            set_requires_grad(t, value);
            return t;
          },
          py::arg("requires_grad") = true)
      .def(
          "backward",
          // Under the interpreter's lock: threads that share a parameter add to one gradient.
          [](const Tensor& t, const std::optional<Tensor>& gradient, bool retain_graph) {
            backward(t, gradient.value_or(Tensor()), retain_graph);
          },
          py::arg("gradient") = py::none(), py::arg("retain_graph") = false)
      .def("__getitem__", get_item)
      .def("__setitem__", set_item);
}

}  // namespace ranvier::python
