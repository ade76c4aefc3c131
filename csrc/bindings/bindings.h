// Shared by the binding files: how tensors, dtypes and errors cross into Python.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <structmember.h>

#include <exception>
#include <memory>
#include <optional>

#include "ops/op.h"
#include "ranvier/ranvier.h"

PYBIND11_DECLARE_HOLDER_TYPE(T, ranvier::Ref<T>, true)

namespace ranvier::python {

namespace py = pybind11;

// rv.float32 and its like: one object each.
struct PyDType {
  DType value;
};
py::object dtype_object(DType dtype);
// Accepts our dtypes, NumPy's, Python's float, int and bool, and names.
DType dtype_from(py::handle object);

std::optional<DType> dtype_named(const std::string& name);
// A TypeError for bfloat16, which NumPy has not.
py::dtype numpy_dtype(DType dtype);

// ---- exchange.cpp, nested.cpp, dlpack.cpp

// Shares the memory of an array; a copy where its layout or byte order cannot be shared.
Tensor from_array(const py::array& array, bool copy);
// Tensors, arrays, numbers, nested lists, and what shows itself as an array; floats from lists
// become float32.
Tensor tensor_from(py::handle object, std::optional<DType> dtype = {});
// `force` takes tensors that require a gradient.
py::array to_numpy(const Tensor& t, bool force);
py::array to_array(const Tensor& t, const py::object& dtype, const py::object& copy);
// The slots of Python's buffer protocol.
void add_buffer(PyHeapTypeObject* type);
py::object item(const Tensor& t);
py::object tolist(const Tensor& t);
// An object with __dlpack__, or a capsule. `copy` is None, True or False.
Tensor from_dlpack(py::handle object, const py::object& copy);
py::object to_dlpack(const Tensor& t, const py::object& stream, const py::object& max_version,
                     const py::object& device, const py::object& copy);

// A Python number as double; an Error where it is none, or an integer that would be rounded.
double exact_double(const std::string& where, const std::string& name, py::handle number);

// Python's Tensor class, once it is there.
PyTypeObject*& tensor_class();
inline bool is_tensor(PyObject* object) {
  return tensor_class() && PyObject_TypeCheck(object, tensor_class());
}

// Sets the Python error that belongs to the exception in flight.
void set_python_error();

// A ranvier.Size, the tuple that `shape` gives.
py::object size_of_shape(const Dims& shape);

// ---- ops.cpp

const OpDef& op_of(py::handle function);  // of one of ranvier.ops
Attr attr_from(const OpDef& op, const AttrDef& def, PyObject* object);

// ---- place.cpp

void bind_places();  // recordings learn the lines of Python
// Before the lock is let go within a recording: the place cannot change until it is taken again.
void keep_place();

// ---- the lock

// Elements of work from which the lock is let go: less is over sooner than another thread could
// take it.
inline constexpr int64_t kWorthUnlocking = 4096;

// f() without the lock, and what it threw. While the interpreter ends, taking the lock again ends
// this thread by unwinding its stack: no destructor that touches Python and no catch may stand in
// the way.
template <class F>
std::exception_ptr without_lock(F f) {
  std::exception_ptr* const error = new std::exception_ptr;
  keep_place();
  PyThreadState* const thread = PyEval_SaveThread();
  [&]() noexcept {
    try {
      f();
    } catch (...) {
      *error = std::current_exception();
    }
  }();
  PyEval_RestoreThread(thread);
  const std::unique_ptr<std::exception_ptr> owned(error);
  return *owned;
}

// ---- descriptions.cpp

std::string signature_of(const OpDef& op);  // add(input, other, *, alpha=1.0)
std::string doc_of(const OpDef& op);        // NumPy style, put together from the declaration
py::object inspected(const OpDef& op);      // what inspect.signature() answers
void bind_descriptions(py::module_& m);
py::object attr_object(const AttrDef& def, const Attr& attr);  // as Python gives it

void bind_size(py::module_& m);
void bind_tensor(py::module_& m);
void bind_ops(py::module_& m);
void bind_updates(py::module_& m);
void bind_autograd(py::module_& m);
void bind_memory(py::module_& m);
void bind_program(py::module_& m);
void bind_capture(py::module_& m);
void bind_epoch(py::module_& m);
void bind_predict(py::module_& m);
void bind_files(py::module_& m);
void bind_listing(py::module_& m);

// ---- indexing.cpp

Tensor get_item(const Tensor& self, PyObject* index);
void set_item(const Tensor& self, PyObject* index, PyObject* value);
// The slots of sequences and mappings.
void add_indexing(PyHeapTypeObject* type);

}  // namespace ranvier::python

namespace ranvier::python {

// True or False as an argument; anything else is a TypeError in words of ours.
struct Flag {
  bool value = false;
  operator bool() const { return value; }
};

}  // namespace ranvier::python

namespace pybind11::detail {

template <>
struct type_caster<ranvier::python::Flag> {
  PYBIND11_TYPE_CASTER(ranvier::python::Flag, const_name("bool"));
  bool load(handle source, bool) {
    make_caster<bool> flag;
    if (source.is_none() || !flag.load(source, false))
      ranvier::fail(ranvier::ErrorKind::type, "[arguments] expected True or False, got ",
                    std::string(repr(source)));
    value = {cast_op<bool>(flag)};
    return true;
  }
  static handle cast(ranvier::python::Flag flag, return_value_policy, handle) {
    return pybind11::bool_(flag.value).release();
  }
};

template <class T, size_t N>
struct type_caster<ranvier::SmallVector<T, N>> : list_caster<ranvier::SmallVector<T, N>, T> {};

// A Tensor handle is Python's Tensor object. None is no tensor; where it may stand for one that is
// not given, the signature says std::optional.
template <>
struct type_caster<ranvier::Tensor> {
  PYBIND11_TYPE_CASTER(ranvier::Tensor, const_name("Tensor"));
  using Holder = copyable_holder_caster<ranvier::TensorImpl, ranvier::Ref<ranvier::TensorImpl>>;

  bool load(handle source, bool convert) {
    if (source.is_none()) return false;
    // A tensor's object holds the one pointer: no need to look its type up in a table.
    if (ranvier::python::is_tensor(source.ptr())) {
      const auto* held = reinterpret_cast<instance*>(source.ptr());
      if (held->simple_layout && held->simple_holder_constructed) {
        value = ranvier::Tensor(static_cast<ranvier::TensorImpl*>(held->simple_value_holder[0]));
        return true;
      }
    }
    Holder holder;
    if (!holder.load(source, convert)) return false;
    value = ranvier::Tensor(static_cast<ranvier::Ref<ranvier::TensorImpl>&>(holder));
    return true;
  }
  static handle cast(const ranvier::Tensor& t, return_value_policy, handle) {
    if (!t.defined()) return none().release();
    return Holder::cast(t.ref(), return_value_policy::take_ownership, {});
  }
};

}  // namespace pybind11::detail
