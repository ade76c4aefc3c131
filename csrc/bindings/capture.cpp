// The function that @rv.capture gives: a call that fits a program it knows runs that, with no
// Python in between; every other call goes to Python (ranvier/_capture.py), which finds or records
// a program.
#include <cxxabi.h>

#include <cstring>
#include <mutex>
#include <optional>

#include "autograd/node.h"
#include "bindings/bindings.h"
#include "core/recording.h"
#include "core/structure.h"
#include "program/plan.h"
#include "program/recorder.h"

namespace ranvier::python {
namespace {

constexpr size_t kMostArguments = 8, kMostKnown = 4;
// Nanoseconds of work from which other Python threads may go on meanwhile.
constexpr double kWorthSharing = 20'000;

struct Known {
  std::shared_ptr<Program> program;
  uint64_t structure;        // when it was last seen to hold
  std::optional<bool> grad;  // what it has to be; none: whatever it is
  PyObject* rebuild;  // makes what the function returns of its tensors; null: it is the one tensor
};

struct Captured {
  PyObject_HEAD vectorcallfunc call;
  PyObject *function, *miss, *dict, *weakrefs;
  std::vector<Known>* known;
};

// One call: the arguments as programs see them.
class Call {
 public:
  // False: something that only Python can look at.
  bool read(PyObject* const* args, size_t count) {
    if (count > kMostArguments) return false;
    for (size_t i = 0; i < count; ++i)
      if (!(is_tensor(args[i]) ? read_tensor(args[i]) : read_array(args[i]))) return false;
    return true;
  }
  std::span<const Argument> arguments() const { return {arguments_, count_}; }

 private:
  bool read_tensor(PyObject* object) {
    const Tensor t = py::handle(object).cast<Tensor>();
    if (requires_grad(t)) return false;
    arguments_[count_++] = argument_of(t);
    return true;
  }
  bool read_array(PyObject* object) {
    if (!py::isinstance<py::array>(object)) return false;
    const auto* const array = py::detail::array_proxy(object);
    const auto dtype = py::reinterpret_borrow<py::array>(object).dtype();
    if (dtype.byteorder() != '=' && dtype.byteorder() != '|') return false;
    if (array->nd > Dims::kMax) return false;
    Argument& a = arguments_[count_];
    switch (dtype.num()) {
      case py::detail::npy_api::NPY_FLOAT_:
        a.dtype = DType::float32;
        break;
      case py::detail::npy_api::NPY_DOUBLE_:
        a.dtype = DType::float64;
        break;
      case py::detail::npy_api::NPY_LONG_:
      case py::detail::npy_api::NPY_LONGLONG_:
        a.dtype = DType::int64;
        break;
      case py::detail::npy_api::NPY_INT_:
        a.dtype = DType::int32;
        break;
      case py::detail::npy_api::NPY_UBYTE_:
        a.dtype = DType::uint8;
        break;
      default:
        return false;
    }
    const auto size = static_cast<Py_ssize_t>(size_of(a.dtype));
    if (dtype.itemsize() != size) return false;
    if (reinterpret_cast<uintptr_t>(array->data) % static_cast<uintptr_t>(size) != 0) return false;
    a.data = array->data;
    a.dim = array->nd;
    for (int i = 0; i < array->nd; ++i) {
      if (array->strides[i] % size != 0 || array->strides[i] < 0) return false;
      shapes_[count_][i] = array->dimensions[i];
      strides_[count_][i] = array->strides[i] / size;
    }
    a.shape = shapes_[count_];
    a.strides = strides_[count_];
    ++count_;
    return true;
  }

  size_t count_ = 0;
  Argument arguments_[kMostArguments];
  int64_t shapes_[kMostArguments][Dims::kMax], strides_[kMostArguments][Dims::kMax];
};

PyObject* answer_of(const Tensors& results, PyObject* rebuild) {
  if (!rebuild) return py::cast(results[0]).release().ptr();
  const py::object list = py::cast(results);
  return PyObject_CallOneArg(rebuild, list.ptr());
}

// Runs a plan whose turn the caller has; what it threw.
std::exception_ptr computed(Program::Plan& plan, std::span<const Argument> arguments,
                            Tensors* results) {
  std::exception_ptr error;
  if (plan.nanoseconds > kWorthSharing) {
    error = without_lock([&] { plan.compute(arguments); });
  } else {
    try {
      plan.compute(arguments);
    } catch (...) {
      error = std::current_exception();
    }
  }
  if (error)
    plan.give_up();
  else
    plan.finish(arguments, results);
  return error;
}

// The turn of a plan, where it can be had and the plan still fits: waited for without the
// interpreter's lock, which whoever has the turn may need, and others may use to change what it
// depends on.
std::unique_lock<std::mutex> turn_for(Program::Plan& plan, std::span<const Argument> arguments) {
  std::unique_lock<std::mutex> turn(turn_of(plan), std::try_to_lock);
  if (turn.owns_lock()) return turn;
  if (plan.changing.empty()) return turn;  // who only predicts need not wait: the function is there
  (void)without_lock([&] { turn.lock(); });
  if (!plan.fits(arguments)) turn.unlock();
  return turn;
}

// What a program answers; nullptr without an error where the call does not fit it.
PyObject* replayed(const Known& known, std::span<const Argument> arguments) {
  const std::shared_ptr<Program> program = known.program;  // others may forget it meanwhile
  Program::Plan& plan = program->plan();
  if (!plan.fits(arguments)) return nullptr;
  const std::unique_lock<std::mutex> turn = turn_for(plan, arguments);
  if (!turn.owns_lock()) return nullptr;
  PyObject* const rebuild = Py_XNewRef(known.rebuild);
  Tensors results;
  const std::exception_ptr error = computed(plan, arguments, &results);
  PyObject* const answer = error ? nullptr : answer_of(results, rebuild);
  Py_XDECREF(rebuild);
  if (error) std::rethrow_exception(error);
  return answer;
}

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t flags, PyObject* names) {
  auto& captured = *reinterpret_cast<Captured*>(self);
  if (!names && !recording) {
    try {
      Call call;
      const uint64_t structure = structure_version();
      const bool grad = grad_enabled();
      if (!captured.known->empty() &&
          call.read(args, static_cast<size_t>(PyVectorcall_NARGS(flags))))
        for (size_t i = 0; i < captured.known->size(); ++i) {
          const Known& known = (*captured.known)[i];
          if (known.structure != structure || known.grad.value_or(grad) != grad) continue;
          PyObject* const answer = replayed(known, call.arguments());
          if (answer || PyErr_Occurred()) return answer;
        }
    } catch (const abi::__forced_unwind&) {  // the interpreter ends, and this thread with it
      throw;
    } catch (...) {
      set_python_error();
      return nullptr;
    }
  }
  return PyObject_Vectorcall(captured.miss, args, PyVectorcall_NARGS(flags), names);
}

// ---- the type

void forget(Captured& captured) {
  std::vector<Known> old;
  old.swap(*captured.known);
  for (const Known& known : old) Py_XDECREF(known.rebuild);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  auto& captured = *reinterpret_cast<Captured*>(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(captured.function);
  Py_VISIT(captured.miss);
  Py_VISIT(captured.dict);
  for (const Known& known : *captured.known) Py_VISIT(known.rebuild);
  return 0;
}
int clear(PyObject* self) {
  auto& captured = *reinterpret_cast<Captured*>(self);
  Py_CLEAR(captured.function);
  Py_CLEAR(captured.miss);
  Py_CLEAR(captured.dict);
  forget(captured);
  return 0;
}
void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  auto& captured = *reinterpret_cast<Captured*>(self);
  if (captured.weakrefs) PyObject_ClearWeakRefs(self);
  clear(self);
  delete captured.known;
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* make(PyTypeObject* type, PyObject* args, PyObject* names) {
  PyObject *function = nullptr, *miss = nullptr;
  static const char* keywords[] = {"function", "miss", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, names, "OO", const_cast<char**>(keywords), &function,
                                   &miss))
    return nullptr;
  auto* const known = new std::vector<Known>;
  PyObject* const self = type->tp_alloc(type, 0);
  if (!self) {
    delete known;
    return nullptr;
  }
  auto& captured = *reinterpret_cast<Captured*>(self);
  captured.call = vectorcall;
  captured.function = Py_NewRef(function);
  captured.miss = Py_NewRef(miss);
  captured.dict = captured.weakrefs = nullptr;
  captured.known = known;
  return self;
}

// remember(program, structure, grad, rebuild): the next calls that fit it go there at once.
PyObject* remember(PyObject* self, PyObject* const* args, Py_ssize_t count) {
  try {
    if (count != 4) fail(ErrorKind::type, "[remember] expected 4 arguments, got ", count);
    auto program = py::handle(args[0]).cast<std::shared_ptr<Program>>();
    if (!program->plan().is_plain()) Py_RETURN_NONE;
    const auto structure = py::handle(args[1]).cast<uint64_t>();
    auto& all = *reinterpret_cast<Captured*>(self)->known;
    std::optional<bool> grad;
    if (args[2] != Py_None) grad = args[2] == Py_True;
    const auto it =
        std::find_if(all.begin(), all.end(), [&](const Known& k) { return k.program == program; });
    if (it != all.end()) {
      it->structure = structure;
      std::rotate(all.begin(), it, it + 1);
      Py_RETURN_NONE;
    }
    PyObject* const dropped = all.size() >= kMostKnown ? all.back().rebuild : nullptr;
    if (all.size() >= kMostKnown) all.pop_back();
    all.insert(all.begin(), Known{std::move(program), structure, grad,
                                  args[3] == Py_None ? nullptr : Py_NewRef(args[3])});
    Py_XDECREF(dropped);
    Py_RETURN_NONE;
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

PyObject* forget_all(PyObject* self, PyObject*) {
  forget(*reinterpret_cast<Captured*>(self));
  Py_RETURN_NONE;
}

PyObject* get(PyObject* self, PyObject* object, PyObject*) {
  return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

void bind_captured(py::module_& m) {
  static PyMethodDef methods[] = {
      {"remember", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(remember)),
       METH_FASTCALL, nullptr},
      {"forget", forget_all, METH_NOARGS, nullptr},
      {}};
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(Captured, call), READONLY, nullptr},
      {"__dictoffset__", T_PYSSIZET, offsetof(Captured, dict), READONLY, nullptr},
      {"__weaklistoffset__", T_PYSSIZET, offsetof(Captured, weakrefs), READONLY, nullptr},
      {}};
  static PyGetSetDef properties[] = {
      {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr}, {}};
  static PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(make)},
                                {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                                {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                                {Py_tp_clear, reinterpret_cast<void*>(clear)},
                                {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                {Py_tp_descr_get, reinterpret_cast<void*>(get)},
                                {Py_tp_methods, methods},
                                {Py_tp_members, members},
                                {Py_tp_getset, properties},
                                {0, nullptr}};
  static PyType_Spec spec = {"ranvier._C.Captured", sizeof(Captured), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC |
                                 Py_TPFLAGS_METHOD_DESCRIPTOR,
                             slots};
  m.attr("Captured") = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
}

// ---- what _capture.py needs

// dtype, shape and strides of tensors, as one key.
py::object layouts_of(const Tensors& tensors) {
  std::string key;
  const auto add = [&](int64_t value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    key.append(bytes, sizeof value);
  };
  for (const Tensor& t : tensors) {
    if (requires_grad(t)) return py::none();
    add(static_cast<int64_t>(t.dtype()));
    add(t.dim());
    for (int i = 0; i < t.dim(); ++i) add(t.shape()[i]);
    for (int i = 0; i < t.dim(); ++i) add(t.shape()[i] > 1 ? t.strides()[i] : 0);
  }
  return py::bytes(key);
}

py::tuple record_program(const py::object& function, const Tensors& inputs, Flag may_end) {
  Recorded recorded = record_plan(
      [&](const Tensors& given) { return function(*py::tuple(py::cast(given))).cast<Tensors>(); },
      inputs, {.may_end = true, .may_end_by_read = may_end});
  py::object program = py::none();
  if (recorded.plan && recorded.plan->leaking)
    recorded.reason = "it keeps a tensor that it makes";
  else if (recorded.plan)
    program = py::cast(std::make_shared<Program>(std::move(recorded.plan)));
  return py::make_tuple(program, recorded.reason);
}

// The results of a run; None where the arguments do not fit.
py::object run_program(const std::shared_ptr<Program>& program, const Tensors& given) {
  Program::Plan& plan = program->plan();
  SmallVector<Argument, 8> arguments;
  for (const Tensor& t : given) arguments.push_back(argument_of(t));
  const std::span<const Argument> all(arguments.begin(), arguments.size());
  if (!plan.fits(all)) return py::none();
  const std::unique_lock<std::mutex> turn = turn_for(plan, all);
  if (!turn.owns_lock()) return py::none();
  for (size_t i = 0; i < given.size(); ++i)
    if (plan.written[i] && given[i].impl()->storage->read_only) return py::none();
  Tensors results;
  if (const std::exception_ptr error = computed(plan, all, &results)) std::rethrow_exception(error);
  for (size_t i = 0; i < given.size(); ++i)
    if (plan.written[i]) ++given[i].impl()->storage->version;
  plan.take_from(given, &results);
  return py::cast(results);
}

}  // namespace

void bind_capture(py::module_& m) {
  bind_captured(m);
  m.def("structure_version", &structure_version);
  m.def("structure_changed", &structure_changed);
  m.def("layouts_of", &layouts_of, py::arg("tensors"));
  m.def("record_program", &record_program, py::arg("function"), py::arg("inputs"),
        py::arg("may_end"));
  m.def("run_program", &run_program, py::arg("program"), py::arg("inputs"));
  m.def("pause_recording", [](Flag pause) {
    if (recorder()) recording = !pause;
  });
  m.def("end_recording", [](const std::string& what) {
    if (recording && !end_recording(what.c_str(), false)) forbid_while_recording(what.c_str());
  });
  m.def("program_fits", [](const std::shared_ptr<Program>& p, const Tensors& given) {
    SmallVector<Argument, 8> arguments;
    for (const Tensor& t : given) arguments.push_back(argument_of(t));
    return p->plan().fits({arguments.begin(), arguments.size()});
  });
  m.def("program_holds", [](const std::shared_ptr<Program>& p) { return p->plan().holds(); });
}

}  // namespace ranvier::python
