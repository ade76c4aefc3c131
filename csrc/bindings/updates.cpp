// A step of an optimizer for a whole group of parameters: one call from Python, which finds
// gradients and state by itself and allocates no Python object.
#include "bindings/bindings.h"

namespace ranvier::python {
namespace {

// What stands in the way of a step and is Python's to see to: no state yet, or a parameter that
// the model has no more.
struct NotReady {};

class GroupUpdate {
 public:
  // args: the op, parameters, state by parameter, names of the state that is given (None where it
  // is not) as the op has them, learning rate, momentum, scale, finite, values of the attributes.
  explicit GroupUpdate(PyObject* const* args)
      : op_(op_of(args[0])), names_(args[3]), first_(op_.inputs.size() - 1) {
    const py::object parameters =
        py::reinterpret_steal<py::object>(PySequence_Fast(args[1], "[step] expected parameters"));
    if (!parameters) throw py::error_already_set();
    take_settings(args);
    PyObject** const items = PySequence_Fast_ITEMS(parameters.ptr());
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(parameters.ptr()); ++i)
      take_parameter(items[i], args[2]);
  }

  bool nothing() const { return inputs_.size() == first_; }
  bool is_large() const { return elements_ > kWorthUnlocking; }
  void compute() {
    const NoGrad off;
    ranvier::run(op_, inputs_, std::move(attrs_));
  }

 private:
  void take_settings(PyObject* const* args) {
    if (!PyTuple_Check(names_) || names_size() + 2 != op_.each.size() || !PyTuple_Check(args[8]) ||
        static_cast<size_t>(PyTuple_GET_SIZE(args[8])) > op_.attrs.size())
      fail(ErrorKind::type, "[", op_.name, "] expected a tuple of names for the state and one of ",
           "attributes");
    inputs_.push_back(py::handle(args[4]).cast<Tensor>());
    if (op_.inputs[1] == "momentum_now") inputs_.push_back(py::handle(args[5]).cast<Tensor>());
    for (PyObject* const given : {args[6], args[7]})
      inputs_.push_back(given == Py_None ? Tensor() : py::handle(given).cast<Tensor>());
    const auto count = static_cast<size_t>(PyTuple_GET_SIZE(args[8]));
    for (size_t i = 0; i < op_.attrs.size(); ++i)
      attrs_.push_back(i < count ? attr_from(op_, op_.attrs[i],
                                             PyTuple_GET_ITEM(args[8], static_cast<Py_ssize_t>(i)))
                                 : op_.attrs[i].value);
  }

  void take_parameter(PyObject* parameter, PyObject* states) {
    static PyObject* const replaced = PyUnicode_InternFromString("replaced");
    if (!is_tensor(parameter))
      fail(ErrorKind::type, "[", op_.name, "] expected tensors for 'params', got ",
           std::string(py::str(py::type::of(parameter).attr("__name__"))));
    if (Py_TYPE(parameter) != tensor_class()) {  // plain tensors have no such attribute
      const py::object gone =
          py::reinterpret_steal<py::object>(PyObject_GetAttr(parameter, replaced));
      if (!gone) PyErr_Clear();
      if (gone.ptr() == Py_True) throw NotReady();
    }
    const Tensor t = py::handle(parameter).cast<Tensor>();
    const Tensor g = grad(t);
    if (!g.defined()) return;
    inputs_.push_back(t);
    inputs_.push_back(g);
    elements_ += t.numel();
    take_state(PyDict_GetItemWithError(states, parameter));
  }

  void take_state(PyObject* state) {
    if (PyErr_Occurred()) throw py::error_already_set();
    for (size_t i = 0; i < names_size(); ++i) {
      PyObject* const name = PyTuple_GET_ITEM(names_, static_cast<Py_ssize_t>(i));
      if (name == Py_None) {
        inputs_.emplace_back();
        continue;
      }
      PyObject* const kept = state ? PyDict_GetItemWithError(state, name) : nullptr;
      if (PyErr_Occurred()) throw py::error_already_set();
      if (!kept) throw NotReady();
      if (!is_tensor(kept))
        fail(ErrorKind::type, "[", op_.name, "] expected a tensor for '",
             std::string(py::str(name)), "' in the state, got ",
             std::string(py::str(py::type::of(kept).attr("__name__"))));
      inputs_.push_back(py::handle(kept).cast<Tensor>());
    }
  }

  size_t names_size() const { return static_cast<size_t>(PyTuple_GET_SIZE(names_)); }

  const OpDef& op_;
  PyObject* const names_;  // borrowed
  const size_t first_;     // of the tensors of parameters among the inputs
  Tensors inputs_;
  Attrs attrs_;
  int64_t elements_ = 0;
};

PyObject* update_group(PyObject*, PyObject* const* args, Py_ssize_t count) {
  constexpr Py_ssize_t kArguments = 9;
  // Raw memory, as in vectorcall(): the thread may end while it waits for the lock.
  alignas(GroupUpdate) unsigned char memory[sizeof(GroupUpdate)];
  GroupUpdate* update = nullptr;
  PyObject* answer = nullptr;
  try {
    if (count != kArguments)
      fail(ErrorKind::type, "[update_group] expected ", kArguments, " arguments, got ", count);
    update = new (memory) GroupUpdate(args);
    if (!update->nothing() && !update->is_large()) update->compute();
  } catch (const NotReady&) {
    Py_RETURN_NONE;
  } catch (...) {
    if (update) update->~GroupUpdate();
    set_python_error();
    return nullptr;
  }
  answer = update->nothing() ? Py_False : Py_True;
  const std::exception_ptr error =
      update->is_large() ? without_lock([update] { update->compute(); }) : nullptr;
  update->~GroupUpdate();
  if (!error) return Py_NewRef(answer);
  try {
    std::rethrow_exception(error);
  } catch (...) {
    set_python_error();
  }
  return nullptr;
}

}  // namespace

void bind_updates(py::module_& m) {
  static PyMethodDef method = {
      "update_group", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(update_group)),
      METH_FASTCALL,
      "update_group(op, params, state, names, lr, momentum, scale, finite, attrs)\n\nOne step of "
      "all parameters that have a gradient: True, False where none has one, None where a "
      "parameter has no state yet or is no more the model's."};
  m.attr("update_group") =
      py::reinterpret_steal<py::object>(PyCFunction_NewEx(&method, nullptr, nullptr));
}

}  // namespace ranvier::python
