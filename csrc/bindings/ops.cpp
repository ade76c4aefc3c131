// Every op of the registry as a Python callable: `_C.ops.<name>`, methods and operators of Tensor.
// Calls come in through the vectorcall protocol, without a Python wrapper around them.

#include <algorithm>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>

#include "bindings/bindings.h"
#include "core/dtypes.h"

namespace ranvier::python {
namespace {

struct OpFunction {
  PyObject_HEAD vectorcallfunc call;
  const OpDef* op;
  bool swapped;    // other OP self
  bool operation;  // an operator: NotImplemented for operands that are no tensors
  bool composite;  // runs the composite in place of the kernel
};

// The op cannot take this operand; Python may ask the other one.
struct NotAnOperand {};

bool is_number(PyObject* o) { return PyFloat_Check(o) || PyLong_Check(o); }

// Python numbers take their type from the tensors beside them.
DType number_type(PyObject* number, const Tensors& beside) {
  const bool is_float = PyFloat_Check(number), is_bool = PyBool_Check(number);
  DType dtype = DType::bool_;
  for (const Tensor& t : beside)
    if (t.defined()) dtype = promote(dtype, t.dtype());
  if (is_floating(dtype)) return dtype;
  if (is_float) return default_dtype();
  return (dtype == DType::bool_ && !is_bool) || is_storage_only(dtype) ? DType::int64 : dtype;
}

Tensor number_tensor(const OpDef& op, PyObject* number, const Tensors& beside) {
  const DType dtype = number_type(number, beside);
  if (is_floating(dtype)) {
    const double value = PyFloat_AsDouble(number);
    if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
    return scalar(value, dtype);
  }
  const int64_t value = PyLong_AsLongLong(number);
  if (value == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::value, "[", op.name, "] expected a number that fits into ", name_of(dtype),
         ", got ", std::string(py::repr(number)));
  }
  Tensor t = Tensor::empty({}, dtype);
  visit(dtype, [&]<class T>(Tag<T>) {
    *t.data<T>() = static_cast<T>(value);
    if (static_cast<int64_t>(*t.data<T>()) != value)
      fail(ErrorKind::value, "[", op.name, "] expected a number that fits into ", name_of(dtype),
           ", got ", value);
  });
  return t;
}

std::vector<int64_t> integers_from(const OpDef& op, const std::string& name, PyObject* object) {
  std::vector<int64_t> values;
  const auto one = [&](PyObject* item) {
    if (!PyIndex_Check(item))
      fail(ErrorKind::type, "[", op.name, "] expected integers for '", name, "', got ",
           std::string(py::repr(item)));
    const Py_ssize_t value = PyNumber_AsSsize_t(item, PyExc_OverflowError);
    if (value == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      fail(ErrorKind::value, "[", op.name, "] expected integers of 64 bits for '", name, "', got ",
           std::string(py::repr(item)));
    }
    values.push_back(value);
  };
  if (PyTuple_Check(object) || PyList_Check(object)) {
    const py::sequence items = py::reinterpret_borrow<py::sequence>(object);
    for (const py::handle item : items) one(item.ptr());
  } else {
    one(object);
  }
  return values;
}

}  // namespace

Attr attr_from(const OpDef& op, const AttrDef& def, PyObject* object) {
  const auto wrong = [&](const char* expected) {
    fail(ErrorKind::type, "[", op.name, "] expected ", expected, " for '", def.name, "', got ",
         std::string(py::repr(object)));
  };
  if (object == Py_None) {
    if (!def.optional) wrong("a value");
    return {};
  }
  switch (def.kind) {
    case AttrKind::flag:
      if (!PyBool_Check(object)) wrong("True or False");
      return object == Py_True;
    case AttrKind::integer:
      if (!PyIndex_Check(object)) wrong("an integer");
      return integers_from(op, def.name, object)[0];
    case AttrKind::number:
      return exact_double(op.name, def.name, object);
    case AttrKind::text: {
      const char* text = PyUnicode_Check(object) ? PyUnicode_AsUTF8(object) : nullptr;
      if (!text) {
        PyErr_Clear();
        wrong("a string");
      }
      return std::string(text);
    }
    case AttrKind::integers:
      return integers_from(op, def.name, object);
    case AttrKind::dtype:
      return static_cast<int64_t>(dtype_from(object));
  }
  return {};
}

namespace {

size_t shown_outputs(const OpDef& op) {
  size_t shown = op.outputs.empty() ? 1 : 0;
  while (shown < op.outputs.size() && op.outputs[shown][0] != '_') ++shown;
  return shown;
}

// The named tuple of an op with several results, made at its first use. Names live in the op.
PyTypeObject* result_type(const OpDef& op) {
  static auto* const types = new std::map<const OpDef*, PyTypeObject*>;  // never destroyed
  PyTypeObject*& type = (*types)[&op];
  if (type) return type;
  const size_t shown = shown_outputs(op);
  auto* const fields = new PyStructSequence_Field[shown + 1]();
  for (size_t i = 0; i < shown; ++i) fields[i].name = op.outputs[i].c_str();
  const auto* const name = new std::string("ranvier.return_types." + op.name);
  PyStructSequence_Desc description = {name->c_str(), "The results of an op, by name.", fields,
                                       static_cast<int>(shown)};
  type = PyStructSequence_NewType(&description);
  if (!type) throw py::error_already_set();
  return type;
}

// The op itself, or its keyword form where a keyword asks for that.
const OpDef& chosen(const OpDef& op, PyObject* names) {
  if (!names || op.keyword_form.empty()) return op;
  const OpDef& form = *registry().find(op.keyword_form);
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); ++i)
    for (const AttrDef& attr : form.attrs)
      if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, i), attr.name.c_str()) == 0)
        return form;
  return op;
}

// One call: Python's arguments sorted into inputs and attributes.
class Call {
 public:
  Call(const OpFunction& f, PyObject* const* args, size_t count, PyObject* names)
      : f_(f), op_(chosen(*f.op, names)), given_(op_.arguments.size(), nullptr) {
    size_t at = 0;
    for (size_t i = 0; i < count; ++i, ++at) {
      if (at >= op_.positional)
        fail(ErrorKind::type, "[", op_.name, "] expected at most ", op_.positional,
             " arguments without a name, got ", count);
      given_[at] = args[i];
      // t.reshape(2, 3) and einsum("i,i", a, b): the rest belongs to one argument.
      if ((takes_rest(at) && PyLong_Check(args[i])) || takes_tensors(at, args[i])) {
        py::tuple rest(count - i);
        for (size_t j = i; j < count; ++j)
          rest[j - i] = py::reinterpret_borrow<py::object>(args[j]);
        rest_ = std::move(rest);
        given_[at] = rest_.ptr();
        break;
      }
    }
    const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    for (Py_ssize_t i = 0; i < named; ++i) name_one(PyTuple_GET_ITEM(names, i), args[count + i]);
    if (f.swapped) std::swap(given_[0], given_[1]);
  }

  // Needs the interpreter's lock, as result() does; compute() does not.
  void collect() { collect_arguments(); }

  void compute() { results_ = ranvier::run(op_, inputs_, std::move(attrs_), f_.composite); }

  PyObject* result() const { return returned(results_); }

  // Small work is over sooner than another thread could take the lock.
  bool is_large() const {
    int64_t work = 0;
    for (const Tensor& t : inputs_) work += t.defined() ? t.numel() : 0;
    return work > kWorthUnlocking;
  }

 private:
  using Numbers = SmallVector<std::pair<size_t, PyObject*>, 2>;  // inputs that are no tensors yet

  bool is_variadic(int input) const {
    return op_.variadic && input + 1 == static_cast<int>(op_.inputs.size());
  }
  bool takes_tensors(size_t at, PyObject* first) const {
    return at + 1 == op_.positional && is_variadic(op_.places[at]) && is_tensor(first);
  }
  bool takes_rest(size_t at) const {
    if (at + 1 != op_.positional || op_.places[at] >= 0) return false;
    const AttrDef& attr = op_.attrs[static_cast<size_t>(-1 - op_.places[at])];
    return attr.kind == AttrKind::integers && attr.required;
  }

  void name_one(PyObject* key, PyObject* value) {
    std::string name = PyUnicode_AsUTF8(key);
    if (name == "axis") name = "dim";  // NumPy's words
    if (name == "keepdims") name = "keepdim";
    if (name == "out") {
      out_ = value;
      return;
    }
    const auto it = std::find(op_.arguments.begin(), op_.arguments.end(), name);
    if (it == op_.arguments.end()) {
      std::string known;
      for (const std::string& n : op_.arguments) known += (known.empty() ? "" : ", ") + n;
      fail(ErrorKind::type, "[", op_.name, "] expected arguments out of ", known, ", got '", name,
           "'");
    }
    PyObject*& slot = given_[static_cast<size_t>(it - op_.arguments.begin())];
    if (slot) fail(ErrorKind::type, "[", op_.name, "] expected '", name, "' once, got it twice");
    slot = value;
  }

  void collect_arguments() {
    inputs_.resize(op_.inputs.size());
    attrs_.resize(op_.attrs.size());
    Numbers numbers;
    for (size_t at = 0; at < given_.size(); ++at) {
      PyObject* const object = given_[at];
      const std::string& name = op_.arguments[at];
      if (const int i = op_.places[at]; i >= 0) {
        if (object == Py_None && f_.operation) throw NotAnOperand();
        if (is_variadic(i))
          take_list(name, object, &numbers);
        else if (object && object != Py_None)
          take_input(static_cast<size_t>(i), object, &numbers);
        continue;
      }
      const auto i = static_cast<size_t>(-1 - op_.places[at]);
      if (!object && op_.attrs[i].required)
        fail(ErrorKind::type, "[", op_.name, "] expected a value for '", name, "', got none");
      attrs_[i] = object ? attr_from(op_, op_.attrs[i], object) : op_.attrs[i].value;
    }
    if (numbers.empty()) return;
    const Tensors tensors = inputs_;
    for (const auto& [i, number] : numbers) inputs_[i] = number_tensor(op_, number, tensors);
  }

  // "tensors*": a list or tuple, behind the inputs that have a name each.
  void take_list(const std::string& name, PyObject* object, Numbers* numbers) {
    if (!object || (!PyTuple_Check(object) && !PyList_Check(object)))
      fail(ErrorKind::type, "[", op_.name, "] expected a list or tuple of tensors for '", name,
           "', got ",
           object ? std::string(py::str(py::type::of(object).attr("__name__"))) : "none");
    const size_t first = op_.inputs.size() - 1;
    const auto items = py::reinterpret_borrow<py::sequence>(object);
    inputs_.resize(first + items.size());
    for (size_t i = 0; i < items.size(); ++i) {
      const py::object item = items[i];
      if (!item.is_none()) take_input(first + i, item.ptr(), numbers);
    }
  }

  void take_input(size_t i, PyObject* object, Numbers* numbers) {
    if (is_tensor(object)) {
      inputs_[i] = py::handle(object).cast<Tensor>();
    } else if (is_number(object) && !py::isinstance<py::array>(object)) {
      numbers->emplace_back(i, object);
    } else if (f_.operation && !PyList_Check(object) &&
               !PyObject_HasAttrString(object, "__array__")) {
      throw NotAnOperand();
    } else {
      inputs_[i] = tensor_from(object);
    }
  }

  PyObject* returned(const Tensors& results) const {
    if (op_.many_results) return py::tuple(py::cast(results)).release().ptr();
    // An op that only changes its input gives it back, so that calls can be chained.
    if (results.empty() && op_.each.empty()) return py::cast(inputs_[0]).release().ptr();
    if (results.empty()) Py_RETURN_NONE;
    const size_t shown = std::min(shown_outputs(op_), results.size());
    if (shown <= 1) return into_out(results[0]).release().ptr();
    const py::object tuple =
        py::reinterpret_steal<py::object>(PyStructSequence_New(result_type(op_)));
    if (!tuple) throw py::error_already_set();
    for (size_t i = 0; i < shown; ++i)
      PyStructSequence_SetItem(tuple.ptr(), static_cast<Py_ssize_t>(i),
                               py::cast(results[i]).release().ptr());
    return tuple.inc_ref().ptr();
  }

  // `out=` of NumPy and PyTorch: the result is copied into a tensor that is there.
  py::object into_out(const Tensor& result) const {
    if (!out_ || out_ == Py_None) return py::cast(result);
    if (!is_tensor(out_))
      fail(ErrorKind::type, "[", op_.name, "] expected a tensor for 'out', got ",
           std::string(py::repr(out_)));
    const Tensor out = py::handle(out_).cast<Tensor>();
    if (!(out.shape() == result.shape()))
      fail(ErrorKind::shape, "[", op_.name, "] expected 'out' of shape ", to_string(result.shape()),
           ", got ", to_string(out.shape()));
    call("copy_", {out, result});
    return py::reinterpret_borrow<py::object>(out_);
  }

  const OpFunction& f_;
  const OpDef& op_;
  SmallVector<PyObject*, 8> given_;  // borrowed, one for each argument
  py::object rest_;
  PyObject* out_ = nullptr;  // borrowed
  Tensors inputs_, results_;
  Attrs attrs_;
};

// Sets Python's error for what is in flight; NotImplemented for an operand that is none.
PyObject* refused() {
  try {
    throw;
  } catch (const NotAnOperand&) {
    Py_RETURN_NOTIMPLEMENTED;
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

PyObject* vectorcall(PyObject* self, PyObject* const* args, size_t flags, PyObject* names) {
  // Raw memory: where the thread ends within without_lock() no destructor may run.
  alignas(Call) unsigned char memory[sizeof(Call)];
  Call* call = nullptr;
  bool large = false;
  try {
    const auto& f = *reinterpret_cast<OpFunction*>(self);
    call = new (memory) Call(f, args, static_cast<size_t>(PyVectorcall_NARGS(flags)), names);
    call->collect();
    large = call->is_large();
    if (!large) call->compute();
  } catch (...) {
    PyObject* const answer = refused();
    if (call) call->~Call();
    return answer;
  }
  const std::exception_ptr error = large ? without_lock([call] { call->compute(); }) : nullptr;
  PyObject* answer = nullptr;
  try {
    if (error) std::rethrow_exception(error);
    answer = call->result();
  } catch (...) {
    answer = refused();
  }
  call->~Call();
  return answer;
}

PyObject* text_or_error(const std::string& text) {
  return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}
PyObject* get_doc(PyObject* self, void*) {
  return text_or_error(doc_of(*reinterpret_cast<OpFunction*>(self)->op));
}
PyObject* get_name(PyObject* self, void*) {
  return text_or_error(reinterpret_cast<OpFunction*>(self)->op->name);
}
PyObject* get_text_signature(PyObject* self, void*) {
  const OpDef& op = *reinterpret_cast<OpFunction*>(self)->op;
  return text_or_error(signature_of(op).substr(op.name.size()));
}
PyObject* get_signature(PyObject* self, void*) {
  try {
    return inspected(*reinterpret_cast<OpFunction*>(self)->op).release().ptr();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}
PyObject* op_repr(PyObject* self) {
  return text_or_error("<ranvier op " + signature_of(*reinterpret_cast<OpFunction*>(self)->op) +
                       ">");
}
PyObject* op_get(PyObject* self, PyObject* object, PyObject*) {
  return object ? PyMethod_New(self, object) : Py_NewRef(self);
}
// pickle and deepcopy find it again by its name.
PyObject* op_reduce(PyObject* self, PyObject*) {
  try {
    const std::string& name = reinterpret_cast<OpFunction*>(self)->op->name;
    const py::object find = py::module_::import("ranvier._C").attr("_op");
    return py::make_tuple(find, py::make_tuple(name)).release().ptr();
  } catch (...) {
    set_python_error();
    return nullptr;
  }
}

PyTypeObject* op_type() {
  static PyGetSetDef properties[] = {
      {"__doc__", get_doc, nullptr, nullptr, nullptr},
      {"__name__", get_name, nullptr, nullptr, nullptr},
      {"__qualname__", get_name, nullptr, nullptr, nullptr},
      {"__signature__", get_signature, nullptr, nullptr, nullptr},
      {"__text_signature__", get_text_signature, nullptr, nullptr, nullptr},
      {}};
  static PyMethodDef methods[] = {{"__reduce__", op_reduce, METH_NOARGS, nullptr}, {}};
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpFunction, call), READONLY, nullptr}, {}};
  static PyType_Slot slots[] = {{Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                                {Py_tp_repr, reinterpret_cast<void*>(op_repr)},
                                {Py_tp_descr_get, reinterpret_cast<void*>(op_get)},
                                {Py_tp_getset, properties},
                                {Py_tp_methods, methods},
                                {Py_tp_members, members},
                                {0, nullptr}};
  static PyType_Spec spec = {
      "ranvier._C.Op", sizeof(OpFunction), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_METHOD_DESCRIPTOR, slots};
  static auto* const type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return type;
}

}  // namespace

const OpDef& op_of(py::handle function) {
  if (Py_TYPE(function.ptr()) != op_type())
    fail(ErrorKind::type, "[op] expected one of ranvier.ops, got ",
         std::string(py::repr(function)));
  return *reinterpret_cast<OpFunction*>(function.ptr())->op;
}

namespace {

py::object function_of(const OpDef& op, bool operation = false, bool swapped = false,
                       bool composite = false) {
  auto* f = PyObject_New(OpFunction, op_type());
  if (!f) throw py::error_already_set();
  f->call = vectorcall;
  f->op = &op;
  f->operation = operation;
  f->swapped = swapped;
  f->composite = composite;
  return py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(f));
}

struct Operator {
  const char* method;
  const char* op;
  bool swapped;
};
constexpr Operator kOperators[] = {{"__add__", "add", false},
                                   {"__radd__", "add", true},
                                   {"__iadd__", "add_", false},
                                   {"__sub__", "sub", false},
                                   {"__rsub__", "sub", true},
                                   {"__isub__", "sub_", false},
                                   {"__mul__", "mul", false},
                                   {"__rmul__", "mul", true},
                                   {"__imul__", "mul_", false},
                                   {"__truediv__", "div", false},
                                   {"__rtruediv__", "div", true},
                                   {"__itruediv__", "div_", false},
                                   {"__floordiv__", "floor_divide", false},
                                   {"__rfloordiv__", "floor_divide", true},
                                   {"__ifloordiv__", "floor_divide_", false},
                                   {"__mod__", "remainder", false},
                                   {"__rmod__", "remainder", true},
                                   {"__imod__", "remainder_", false},
                                   {"__pow__", "pow", false},
                                   {"__rpow__", "pow", true},
                                   {"__ipow__", "pow_", false},
                                   {"__and__", "bitwise_and", false},
                                   {"__rand__", "bitwise_and", true},
                                   {"__iand__", "bitwise_and_", false},
                                   {"__or__", "bitwise_or", false},
                                   {"__ror__", "bitwise_or", true},
                                   {"__ior__", "bitwise_or_", false},
                                   {"__xor__", "bitwise_xor", false},
                                   {"__rxor__", "bitwise_xor", true},
                                   {"__ixor__", "bitwise_xor_", false},
                                   {"__lshift__", "bitwise_left_shift", false},
                                   {"__rlshift__", "bitwise_left_shift", true},
                                   {"__ilshift__", "bitwise_left_shift_", false},
                                   {"__rshift__", "bitwise_right_shift", false},
                                   {"__rrshift__", "bitwise_right_shift", true},
                                   {"__irshift__", "bitwise_right_shift_", false},
                                   {"__matmul__", "matmul", false},
                                   {"__rmatmul__", "matmul", true},
                                   {"__eq__", "eq", false},
                                   {"__ne__", "ne", false},
                                   {"__lt__", "lt", false},
                                   {"__le__", "le", false},
                                   {"__gt__", "gt", false},
                                   {"__ge__", "ge", false}};

}  // namespace

void bind_ops(py::module_& m) {
  py::module_ ops = m.def_submodule("ops", "Every op of the registry.");
  py::module_ composites = m.def_submodule("composites", "Fused ops in terms of simpler ones.");
  const py::object tensor = m.attr("Tensor");
  for (const OpDef& op : registry().all()) {
    ops.attr(op.name.c_str()) = function_of(op);
    if (op.composite && op.forward)
      composites.attr(op.name.c_str()) = function_of(op, false, false, true);
    if (op.method) tensor.attr(op.name.c_str()) = function_of(op);
  }
  for (const Operator& o : kOperators)
    tensor.attr(o.method) = function_of(*registry().find(o.op), true, o.swapped);
  tensor.attr("__neg__") = function_of(*registry().find("neg"));
  tensor.attr("__abs__") = function_of(*registry().find("abs"));
  tensor.attr("__invert__") = function_of(*registry().find("bitwise_not"));
  bind_descriptions(m);
  m.def("_op", [ops](const std::string& name) { return ops.attr(name.c_str()); });
  m.def("op_names", [] {
    py::list names;
    for (const OpDef& op : registry().all())
      if (op.gradient_of.empty() && !op.fronted) names.append(op.name);
    return names;
  });
}

}  // namespace ranvier::python
