// Python's Tensor: its dtypes and properties. Memory exchange is in exchange.cpp, indexing in
// indexing.cpp; arithmetic and all other ops are added from the registry by ops.cpp; what needs no
// speed is in ranvier/_tensor.py.
#include <optional>

#include "autograd/node.h"
#include "bindings/bindings.h"
#include "core/dtypes.h"
#include "core/recording.h"

namespace ranvier::python {

namespace {

py::object* dtype_objects() {
  static py::object* const objects = new py::object[kDTypes];  // never destroyed
  return objects;
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

}  // namespace

std::optional<DType> dtype_named(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i)
    if (name == name_of(static_cast<DType>(i))) return static_cast<DType>(i);
  return std::nullopt;
}

py::object dtype_object(DType dtype) { return dtype_objects()[static_cast<int>(dtype)]; }

DType dtype_from(py::handle object) {
  if (py::isinstance<PyDType>(object)) return object.cast<PyDType&>().value;
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
                             [](const PyDType& d) { return is_floating(d.value); })
      .def_property_readonly("is_complex", [](const PyDType&) { return false; })
      .def_property_readonly("is_signed", [](const PyDType& d) {
        return is_floating(d.value) || name_of(d.value)[0] == 'i';
      });
  for (int i = 0; i < kDTypes; ++i) {
    dtype_objects()[i] = py::cast(PyDType{static_cast<DType>(i)});
    m.attr(i == static_cast<int>(DType::bool_) ? "bool_" : name_of(static_cast<DType>(i))) =
        dtype_objects()[i];
  }
  m.def("_dtype", [](const std::string& name) { return dtype_object(dtype_from(py::str(name))); });
}

}  // namespace

PyTypeObject*& tensor_class() {
  static PyTypeObject* type = nullptr;
  return type;
}

void bind_tensor(py::module_& m) {
  bind_dtypes(m);
  py::class_<TensorImpl, Ref<TensorImpl>>(m, "Tensor",
                                          py::custom_type_setup([](PyHeapTypeObject* type) {
                                            add_buffer(type);
                                            add_indexing(type);
                                          }))
      .def(py::init([](const py::object& data) {
             const Tensor t = tensor_from(data);
             return t.detach().ref();
           }),
           py::arg("data"))
      .def_property_readonly("shape", [](const Tensor& t) { return size_of_shape(t.shape()); })
      .def_property_readonly("dtype", [](const Tensor& t) { return dtype_object(t.dtype()); })
      .def_property_readonly("ndim", [](const Tensor& t) { return t.dim(); })
      .def("dim", [](const Tensor& t) { return t.dim(); })
      .def("numel", [](const Tensor& t) { return t.numel(); })
      .def("element_size", [](const Tensor& t) { return size_of(t.dtype()); })
      .def(
          "stride",
          [](const Tensor& t, std::optional<int64_t> dim) -> py::object {
            if (!dim) return tuple_of(t.strides());
            return py::int_(t.strides()[normal_axis("stride", *dim, t.dim())]);
          },
          py::arg("dim") = py::none())
      .def("storage_offset", [](const Tensor& t) { return t.impl()->offset; })
      .def("data_ptr", [](const Tensor& t) { return reinterpret_cast<uintptr_t>(t.raw()); })
      .def("is_contiguous", [](const Tensor& t) { return t.is_contiguous(); })
      .def("_version", [](const Tensor& t) { return t.impl()->storage->version.load(); })
      .def("item", item)
      .def("tolist", tolist,
           "Nested lists of Python numbers; a number for a tensor without dimensions.")
      .def(
          "numpy", [](const Tensor& t, Flag force) { return to_numpy(t, force); }, py::kw_only(),
          py::arg("force") = Flag{false},
          "The memory as an array of NumPy's. `force` allows it for a tensor that requires a "
          "gradient.")
      .def("__array__", to_array, py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def("__bytes__", [](const Tensor& t) { return to_numpy(t, false).attr("tobytes")(); })
      .def("__dlpack__", to_dlpack, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none())
      .def("__dlpack_device__", [](const Tensor&) { return py::make_tuple(1, 0); });
  tensor_class() = reinterpret_cast<PyTypeObject*>(m.attr("Tensor").ptr());
}

}  // namespace ranvier::python
