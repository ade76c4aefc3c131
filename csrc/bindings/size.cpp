// ranvier.Size: the shape of a tensor as Python sees it, a tuple that knows the product of its
// entries. Slices and sums of shapes are shapes again; it prints as the tuple that it is.
#include "bindings/bindings.h"

namespace ranvier::python {
namespace {

PyTypeObject* size_class = nullptr;

// A Size of the items of a tuple, which is given up.
PyObject* as_size(PyObject* tuple) {
  if (!tuple) return nullptr;
  const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  PyObject* const size = size_class->tp_alloc(size_class, n);
  for (Py_ssize_t i = 0; size && i < n; ++i)
    PyTuple_SET_ITEM(size, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
  Py_DECREF(tuple);
  return size;
}

// Size([2, 3]), with anything that counts as an integer in it.
PyObject* make(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* const made = PyTuple_Type.tp_new(type, args, kwargs);
  for (Py_ssize_t i = 0; made && i < PyTuple_GET_SIZE(made); ++i) {
    PyObject* const item = PyTuple_GET_ITEM(made, i);
    PyObject* const number = PyNumber_Index(item);
    if (!number) {
      PyErr_Format(PyExc_TypeError, "[Size] expected integers, got %R", item);
      Py_DECREF(made);
      return nullptr;
    }
    PyTuple_SET_ITEM(made, i, number);
    Py_DECREF(item);
  }
  return made;
}

PyObject* subscript(PyObject* self, PyObject* key) {
  PyObject* const part = PyTuple_Type.tp_as_mapping->mp_subscript(self, key);
  return PySlice_Check(key) ? as_size(part) : part;
}

// (2,) + shape as well as shape + (2,)
PyObject* sum(PyObject* left, PyObject* right) {
  if (!PyTuple_Check(left) || !PyTuple_Check(right)) Py_RETURN_NOTIMPLEMENTED;
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(left, right));
}

PyObject* repeat(PyObject* self, Py_ssize_t times) {
  return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(self, times));
}

PyObject* numel(PyObject* self, PyObject*) {
  PyObject* product = PyLong_FromLong(1);
  for (Py_ssize_t i = 0; product && i < PyTuple_GET_SIZE(self); ++i) {
    PyObject* const next = PyNumber_Multiply(product, PyTuple_GET_ITEM(self, i));
    Py_DECREF(product);
    product = next;
  }
  return product;
}

}  // namespace

void bind_size(py::module_& m) {
  static PyMethodDef methods[] = {
      {"numel", numel, METH_NOARGS, "The number of elements: the product of the entries."}, {}};
  static char doc[] =
      "The shape of a tensor: a tuple of integers, whose `numel()` is their product.\n\n"
      "Examples\n--------\n>>> import ranvier as rv\n>>> rv.ones(2, 3).shape[:1].numel()\n2\n";
  static PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(make)},
                                {Py_mp_subscript, reinterpret_cast<void*>(subscript)},
                                {Py_nb_add, reinterpret_cast<void*>(sum)},
                                {Py_sq_repeat, reinterpret_cast<void*>(repeat)},
                                {Py_tp_methods, methods},
                                {Py_tp_doc, doc},
                                {0, nullptr}};
  PyType_Spec spec = {"ranvier.Size", static_cast<int>(PyTuple_Type.tp_basicsize),
                      static_cast<int>(PyTuple_Type.tp_itemsize), Py_TPFLAGS_DEFAULT, slots};
  size_class = reinterpret_cast<PyTypeObject*>(
      PyType_FromSpecWithBases(&spec, reinterpret_cast<PyObject*>(&PyTuple_Type)));
  if (!size_class) throw py::error_already_set();
  m.attr("Size") = py::handle(reinterpret_cast<PyObject*>(size_class));
}

py::object size_of_shape(const Dims& shape) {
  PyObject* const size = size_class->tp_alloc(size_class, shape.size());
  if (!size) throw py::error_already_set();
  const py::object owned = py::reinterpret_steal<py::object>(size);
  for (int i = 0; i < shape.size(); ++i) {
    PyObject* const entry = PyLong_FromLongLong(shape[i]);
    if (!entry) throw py::error_already_set();
    PyTuple_SET_ITEM(size, i, entry);
  }
  return owned;
}

}  // namespace ranvier::python
