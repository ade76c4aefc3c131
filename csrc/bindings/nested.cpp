// What becomes a tensor: numbers, nested lists and everything that can show itself as an array.
// Rows of plain numbers are read here, at once; whatever else is among them NumPy puts together.
#include <algorithm>
#include <optional>

#include "bindings/bindings.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "core/recording.h"

namespace ranvier::python {

namespace {

std::string type_name(py::handle object) { return py::str(py::type::of(object).attr("__name__")); }

[[noreturn]] void misfit(DType dtype, const std::string& got) {
  fail(ErrorKind::value, "[tensor] expected numbers that fit into ", name_of(dtype), ", got ", got);
}

// One Python number as T; an Error where it is out of range.
template <class T>
T number_as(PyObject* number) {
  constexpr DType dtype = DTypeOf<T>::value;
  if constexpr (std::is_same_v<T, bool>) {
    return PyObject_IsTrue(number) == 1;
  } else if constexpr (is_half_v<T> || std::is_floating_point_v<T>) {
    const double value = PyFloat_AsDouble(number);
    if (value != -1 || !PyErr_Occurred()) return convert<T>(value);
  } else if (PyFloat_Check(number)) {
    const double value = std::trunc(PyFloat_AS_DOUBLE(number));
    constexpr double end = 2.0 * static_cast<double>(std::numeric_limits<T>::max() / 2 + 1);
    if (value >= static_cast<double>(std::numeric_limits<T>::min()) && value < end)
      return static_cast<T>(value);
    misfit(dtype, py::repr(number));
  } else if constexpr (std::is_same_v<T, uint64_t>) {
    const uint64_t value = PyLong_AsUnsignedLongLong(number);
    if (value != static_cast<uint64_t>(-1) || !PyErr_Occurred()) return value;
  } else {
    const int64_t value = PyLong_AsLongLong(number);
    const bool failed = value == -1 && PyErr_Occurred();
    if (!failed && static_cast<int64_t>(static_cast<T>(value)) == value)
      return static_cast<T>(value);
  }
  PyErr_Clear();
  misfit(dtype, py::repr(number));
}

bool is_row(PyObject* object) { return PyList_Check(object) || PyTuple_Check(object); }

bool is_plain_number(PyObject* object) {
  return PyFloat_CheckExact(object) || PyLong_CheckExact(object) || PyBool_Check(object);
}

// The dtype of what is no plain number but brings one: NumPy's scalars, arrays, tensors.
std::optional<DType> brought(py::handle object) {
  if (is_tensor(object.ptr())) return object.cast<Tensor>().dtype();
  if (!py::hasattr(object, "__array__") && !py::hasattr(object, "__array_interface__"))
    return std::nullopt;
  const py::array array = py::module_::import("numpy").attr("asarray")(object);
  return dtype_named(py::str(array.dtype().attr("name")));
}

// Nested rows: their shape and the dtype that takes all of their numbers.
class Rows {
 public:
  explicit Rows(PyObject* data) {
    look(data, 0);
    if (!plain_) shape_ = {};
  }

  bool plain() const { return plain_; }
  const Dims& shape() const { return shape_; }
  // Floats carry no precision of their own, and get the default dtype; so do rows without numbers.
  std::optional<DType> dtype() const {
    if (!known_) return std::nullopt;
    return any_ ? dtype_ : default_dtype();
  }

  template <class T>
  void fill(PyObject* data, T** out) const {
    if (!is_row(data)) {
      *(*out)++ = number_as<T>(data);
      return;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(data); ++i)
      fill(PySequence_Fast_GET_ITEM(data, i), out);
  }

 private:
  void look(PyObject* object, int depth) {
    if (!is_row(object)) return leaf(object, depth);
    if (depth == Dims::kMax)
      fail(ErrorKind::shape, "[tensor] expected at most ", Dims::kMax,
           " dimensions, got lists that lie deeper in one another");
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
    if (depth == shape_.size() && leaf_depth_ < 0)
      shape_.push_back(n);
    else if (plain_ && depth >= shape_.size())
      ragged("a number and a list side by side");
    else if (plain_ && shape_[depth] != n)
      ragged("lengths " + std::to_string(shape_[depth]) + " and " + std::to_string(n) +
             " along axis " + std::to_string(depth));
    // What an item's __array__ runs may change the list.
    for (Py_ssize_t i = 0; i < n && i < PySequence_Fast_GET_SIZE(object); ++i) {
      const auto item = py::reinterpret_borrow<py::object>(PySequence_Fast_GET_ITEM(object, i));
      look(item.ptr(), depth + 1);
    }
  }

  void leaf(PyObject* object, int depth) {
    if (!is_plain_number(object)) {
      plain_ = false;
      // Of NumPy's scalars each type is one dtype, and long lists hold many of one.
      if (Py_TYPE(object) != last_type_) {
        last_ = brought(object);
        const bool scalar = py::hasattr(object, "__array__") && !py::hasattr(object, "__len__");
        last_type_ = scalar ? Py_TYPE(object) : nullptr;
      }
      known_ = known_ && last_;
      if (last_) take(*last_);
      leaf_depth_ = depth;
      return;
    }
    take(PyFloat_Check(object)  ? default_dtype()
         : PyBool_Check(object) ? DType::bool_
                                : DType::int64);
    if (plain_ && depth != shape_.size()) ragged("a number and a list side by side");
    leaf_depth_ = depth;
  }

  void take(DType dtype) {
    dtype_ = any_ ? promote(dtype_, dtype) : dtype;
    any_ = true;
  }

  [[noreturn]] static void ragged(const std::string& got) {
    fail(ErrorKind::value, "[tensor] expected numbers in rows of equal length, got ", got,
         "; pad the shorter ones");
  }

  Dims shape_;
  int leaf_depth_ = -1;  // of the numbers; -1 before the first one
  bool plain_ = true, known_ = true, any_ = false;
  DType dtype_ = DType::bool_;
  PyTypeObject* last_type_ = nullptr;
  std::optional<DType> last_;
};

// What NumPy makes of an object.
py::array asarray(py::handle object) {
  try {
    return py::module_::import("numpy").attr("asarray")(object);
  } catch (py::error_already_set& e) {
    if (recording || e.matches(PyExc_RuntimeError) || e.matches(PyExc_MemoryError)) throw;
    fail(e.matches(PyExc_TypeError) ? ErrorKind::type : ErrorKind::value,
         "[tensor] expected numbers in rows of equal length, got ", type_name(object), ": ",
         std::string(py::str(e.value())));
  }
}

// Arrays go to another dtype by the core's own conversion; no NaN becomes an integer unseen.
Tensor in_dtype(const Tensor& t, std::optional<DType> dtype) {
  if (!dtype || t.dtype() == *dtype) return t;
  if (is_floating(t.dtype()) && !is_floating(*dtype) && *dtype != DType::bool_ &&
      t.dtype() != DType::bfloat16) {
    const py::object finite = py::module_::import("numpy").attr("isfinite")(to_numpy(t, true));
    if (!finite.attr("all")().cast<bool>()) misfit(*dtype, "NaN or infinity");
  }
  static const Op cast("cast");
  return cast({t}, {static_cast<int64_t>(*dtype)});
}

Tensor from_rows(py::handle object, std::optional<DType> dtype) {
  const Rows rows(object.ptr());
  const std::optional<DType> wanted = dtype ? dtype : rows.dtype();
  if (!rows.plain()) {
    const py::array array = asarray(object);
    const bool floats = array.dtype().kind() == 'f';
    return in_dtype(from_array(array, false), wanted || !floats ? wanted : default_dtype());
  }
  Tensor t = Tensor::empty(rows.shape(), *wanted);
  t.impl()->storage->unrecorded = 0;  // values that are there: a constant of a program
  const IeeeArithmetic ieee;          // a small value must not become zero on its way to float
  visit_all(*wanted, [&]<class T>(Tag<T>) {
    T* out = t.data<T>();
    rows.fill(object.ptr(), &out);
  });
  return t;
}

}  // namespace

Tensor tensor_from(py::handle object, std::optional<DType> dtype) {
  if (is_tensor(object.ptr())) return in_dtype(object.cast<Tensor>(), dtype);
  if (py::isinstance<py::array>(object))
    return in_dtype(from_array(py::reinterpret_borrow<py::array>(object), false), dtype);
  if (is_row(object.ptr()) || is_plain_number(object.ptr())) return from_rows(object, dtype);
  if (PyType_Check(object.ptr()))
    fail(ErrorKind::type, "[tensor] expected numbers, got the class ",
         std::string(py::str(object.attr("__name__"))));
  if (py::hasattr(object, "__dlpack__")) return in_dtype(from_dlpack(object, py::none()), dtype);
  const py::array array = asarray(object);
  if (std::string("OUSV").find(array.dtype().kind()) != std::string::npos)
    fail(ErrorKind::type, "[tensor] expected numbers, got ", type_name(object), " (",
         std::string(py::str(array.dtype())), "); give a list of numbers");
  return in_dtype(from_array(array, false), dtype);
}

}  // namespace ranvier::python
