// The one way in: checks, types, shapes, memory, kernel, recording, gradient.
#include <algorithm>

#include "autograd/node.h"
#include "core/parallel.h"
#include "core/recording.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "program/recorder.h"

namespace ranvier {

Tensor view_of(const Tensor& t, const Layout& layout) {
  const Tensor view = t.alias(layout.shape, layout.strides, layout.offset);
  TensorImpl& impl = *view.impl();
  impl.base = t.impl()->base ? t.impl()->base : t.ref();
  if (impl.base->autograd) impl.base_history = impl.base->autograd->history;
  return view;
}

namespace {

// [op] expected ..., got a type: the message says what to call.
[[noreturn]] void wrong_type(const OpDef& op, const std::string& expected, const Tensor& t,
                             size_t i) {
  const char* hint = t.dtype() == DType::float64 ? "; call .float() on it or .double() on the rest"
                                                 : "; call .float() or .double() on it";
  fail(ErrorKind::type, "[", op.name, "] expected ", expected, ", got ", name_of(t.dtype()),
       " for '", op.input_name(i), "'", hint);
}

void check_arithmetic(const OpDef& op, const Tensors& inputs) {
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined() && is_storage_only(inputs[i].dtype()))
      fail(ErrorKind::type, "[", op.name, "] expected a dtype that is computed with, got ",
           name_of(inputs[i].dtype()), " for '", op.input_name(i),
           "', which is only stored; convert it with .to(rv.int64) or .float()");
}

void check_floats(const OpDef& op, const Tensors& inputs) {
  const Tensor* first = nullptr;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i].defined()) continue;
    if (!is_floating(inputs[i].dtype())) wrong_type(op, "a floating dtype", inputs[i], i);
    if (!first) first = &inputs[i];
    if (inputs[i].dtype() == first->dtype()) continue;
    if (first->dtype() == DType::float64 && inputs[i].dtype() == DType::float32)
      fail(ErrorKind::type, "[", op.name, "] expected float64 as for '", op.inputs[0],
           "', got float32 for '", op.input_name(i), "'; call .float() on '", op.inputs[0],
           "', or .double() on the rest");
    wrong_type(op, std::string(name_of(first->dtype())) + " as for '" + op.inputs[0] + "'",
               inputs[i], i);
  }
}

// To the dtype that the caller asked for, as in sum(x, dtype=float64).
void cast_inputs(const OpDef& op, const Attrs& attrs, Tensors& inputs) {
  static const Op cast("cast");
  if (op.dtype_attr < 0) return;
  const auto* wanted = std::get_if<int64_t>(&attrs[static_cast<size_t>(op.dtype_attr)]);
  if (!wanted) return;
  for (Tensor& t : inputs)
    if (t.defined() && static_cast<int64_t>(t.dtype()) != *wanted) t = cast({t}, {*wanted});
}

// Casts inputs to one type where the op wants that. A tensor without dimensions does not widen the
// others within its category, so that `x * scalar` keeps the type of x, as in PyTorch.
void unify_types(const OpDef& op, Tensors& inputs) {
  static const Op cast("cast");
  const size_t first = op.types == Types::promote_rest ? 1 : 0;
  DType sized = DType::bool_, single = DType::bool_;
  bool any_sized = false;
  for (size_t i = first; i < inputs.size(); ++i) {
    const Tensor& t = inputs[i];
    if (!t.defined()) continue;
    if (t.dim() > 0) any_sized = true;
    DType& group = t.dim() > 0 ? sized : single;
    group = promote(group, t.dtype());
  }
  DType common = any_sized ? sized : single;
  const auto category = [](DType d) { return is_floating(d) ? 2 : d == DType::bool_ ? 0 : 1; };
  if (any_sized && category(single) > category(sized)) common = promote(sized, single);
  if (op.types == Types::promote_floats && !is_floating(common)) common = default_dtype();
  for (size_t i = first; i < inputs.size(); ++i)
    if (inputs[i].defined() && inputs[i].dtype() != common)
      inputs[i] = cast({inputs[i]}, {static_cast<int64_t>(common)});
}

// Results of an elementwise op keep the layout of the inputs when all share a dense one.
Dims layout_for(const OpDef& op, const Tensors& inputs, const Meta& out) {
  if (op.elementwise) {
    const Tensor& first = inputs[0];
    const bool same = std::all_of(inputs.begin(), inputs.end(), [&](const Tensor& t) {
      return !t.defined() || t.dim() == 0 ||
             (t.shape() == first.shape() && t.strides() == first.strides());
    });
    if (same && first.shape() == out.shape && first.is_dense()) return first.strides();
  }
  return contiguous_strides(out.shape);
}

bool made_while_recording(const Storage& storage) {
  return recording && storage.unrecorded == recording_number;
}

void check_mutation(const OpDef& op, const Tensor& t, const std::string& name) {
  if (!t.defined()) return;
  Storage& storage = *t.impl()->storage;
  const bool whole = static_cast<size_t>(t.numel()) * size_of(t.dtype()) == storage.bytes;
  if (made_while_recording(storage) && op.overwrites && whole)
    storage.unrecorded = recording_number | kMadeAnew;
  if (made_while_recording(storage) &&
      !end_recording("changes memory that no instruction makes", false))
    fail(ErrorKind::runtime, "[", op.name, "] expected '", name,
         "' from an op or from before the recording, got memory made by no instruction, which a ",
         "replay would not make anew; clone() it, or make it outside");
  if (t.impl()->storage->read_only)
    fail(ErrorKind::runtime, "[", op.name, "] expected '", name,
         "' to be writable, got memory that is read-only; clone() it first");
  for (int i = 0; i < t.dim(); ++i)
    if (t.strides()[i] == 0 && t.shape()[i] > 1 && t.numel() > 0)
      fail(ErrorKind::runtime, "[", op.name, "] expected '", name,
           "' with memory for every element, got one that was expanded; clone() it first");
}

// An update or a random fill has no gradient: it must not swallow one silently. An op with a
// gradient (dropout, batch norm) has none for what it changes.
void check_no_gradient(const OpDef& op, const Tensors& inputs) {
  if (!grad_enabled()) return;
  const auto check = [&](size_t i) {
    if (inputs[i].defined() && requires_grad(inputs[i]))
      fail(ErrorKind::runtime, "[", op.name, "] expected '", op.input_name(i),
           "' without gradient for a change in place, got one that requires it; use no_grad(), or ",
           "the form that makes a new tensor");
  };
  if (op.differentiable) return op.for_mutated(inputs.size(), check);
  for (size_t i = 0; i < inputs.size(); ++i) check(i);
}

// A kernel of some backward, run while gradients shall have a graph: without a derivative of its
// own it would cut that graph silently.
void check_second_derivative(const OpDef& op, const Tensors& inputs) {
  if (op.differentiable || op.gradient_of.empty() || !grad_enabled()) return;
  for (const Tensor& t : inputs)
    if (t.defined() && requires_grad(t))
      fail(ErrorKind::runtime, "[", op.name, "] expected gradients without a graph, got ",
           "create_graph=True: the gradient of '", op.gradient_of, "' has no derivative");
}

Metas metas_of(const Tensors& tensors) {
  Metas metas;
  metas.reserve(tensors.size());
  for (const Tensor& t : tensors) metas.push_back(t.defined() ? meta_of(t) : Meta{});
  return metas;
}

// Runs a view. Returns false when the input must be packed first.
bool run_view(const OpDef& op, const Tensor& in, const Attrs& attrs, Tensors* outputs) {
  Layout out;
  if (!op.view(AttrReader(op, attrs), layout_of(in), &out)) return false;
  outputs->push_back(view_of(in, out));
  return true;
}

Metas inferred(const OpDef& op, const Tensors& inputs, const Attrs& attrs) {
  const Metas metas = metas_of(inputs);
  Flags given;
  for (const Tensor& t : inputs) given.push_back(t.defined());
  return op.infer(InferArgs(op, attrs, metas, given));
}

Tensors allocate_and_run(const OpDef& op, const Tensors& inputs, const Attrs& attrs) {
  Tensors outputs;
  if (op.infer_by_value) forbid_while_recording((op.name + "()").c_str());
  const InsideKernel kernel;
  const Metas metas = op.infer_by_value ? op.infer_by_value(ForwardArgs(op, attrs, inputs, outputs))
                                        : inferred(op, inputs, attrs);
  for (const Meta& m : metas)
    outputs.push_back(Tensor::empty_strided(m.shape, layout_for(op, inputs, m), m.dtype));
  execute(op, attrs, inputs, outputs);
  return outputs;
}

}  // namespace

namespace {

bool any_half(const Tensors& tensors) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const Tensor& t) { return t.defined() && is_half(t.dtype()); });
}

// Whether a call goes through copies in float32.
bool converts(const ForwardArgs& args) {
  const OpDef& op = args.op();
  if (op.moves || !(any_half(args.in) || any_half(args.out))) return false;
  return !(op.takes_half && op.takes_half(args));
}

// Half precision is a way to store numbers: kernels see float32 copies.
void forward_in_float32(const OpDef& op, const Attrs& attrs, const Tensors& inputs,
                        const Tensors& outputs) {
  Tensors in = inputs, out = outputs;
  for (Tensor& t : in)
    if (t.defined() && is_half(t.dtype())) t = converted(t, DType::float32);
  for (Tensor& t : out)
    if (is_half(t.dtype())) t = Tensor::empty(t.shape(), DType::float32);
  op.forward(ForwardArgs(op, attrs, in, out));
  for (size_t i = 0; i < out.size(); ++i)
    if (!out[i].same(outputs[i])) copy(outputs[i], out[i]);
  op.for_mutated(inputs.size(), [&](size_t i) {
    if (inputs[i].defined() && !in[i].same(inputs[i])) copy(inputs[i], in[i]);
  });
}

}  // namespace

Prepared prepared_call(const OpDef& op, const Attrs& attrs, const Tensors& inputs,
                       const Tensors& outputs, bool stand_still) {
  const ForwardArgs args(op, attrs, inputs, outputs);
  Prepared call = op.prepare && stand_still ? op.prepare(args) : Prepared();
  if (op.sweep && stand_still)
    if (const Sweep sweep = op.sweep(args)) call = prepared_sweep(sweep);
  if (call) return call;
  if (converts(args))
    return [args] { forward_in_float32(args.op(), args.all(), args.in, args.out); };
  return [args, forward = op.forward] { forward(args); };
}

void execute(const OpDef& op, const Attrs& attrs, const Tensors& inputs, const Tensors& outputs) {
  const IeeeArithmetic ieee;
  const InsideKernel kernel;
  const ForwardArgs args(op, attrs, inputs, outputs);
  if (converts(args))
    forward_in_float32(op, attrs, inputs, outputs);
  else
    op.forward(args);
  op.for_mutated(inputs.size(), [&](size_t i) {
    if (inputs[i].defined()) ++inputs[i].impl()->storage->version;
  });
}

namespace {

// A change in place within a graph: the new values by the op that makes a tensor of them, copied
// to where they belong, and their history for the tensor that was changed.
Tensors run_in_place(const OpDef& op, const Tensors& inputs, const Attrs& attrs) {
  static const Op cast("cast"), copy_into("copy_"), clone_op("clone");
  if (op.infer) inferred(op, inputs, attrs);  // for its checks
  const Tensor& target = inputs[0];
  Tensors in = inputs;
  const OpDef* form = op.in_place_of.empty() ? nullptr : registry().find(op.in_place_of);
  // What backward needs of the memory that is about to change is kept as it was.
  const InputSet asked = asked_for(inputs);
  if (form)
    for (const auto& [i, serves] : form->saved_in)
      if ((serves & asked) && in[i].defined() && in[i].impl()->storage == target.impl()->storage)
        in[i] = clone_op({in[i]});
  Tensor values = form ? run(*form, in, attrs)[0] : op.new_values(in, AttrReader(op, attrs))[0];
  if (values.dtype() != target.dtype())
    values = cast({values}, {static_cast<int64_t>(target.dtype())});
  {
    const NoGrad off;
    copy_into({target, values});
  }
  take_history(target, values);
  return {};
}

}  // namespace

Tensors run(const OpDef& op, const Tensors& given, Attrs attrs, bool by_composite) {
  Tensors inputs = given;
  if (inputs.size() > op.inputs.size() && !op.variadic)
    fail(ErrorKind::type, "[", op.name, "] expected at most ", op.inputs.size(), " tensors, got ",
         inputs.size());
  while (inputs.size() + (op.variadic ? 1 : 0) < op.inputs.size()) inputs.emplace_back();
  for (size_t i = 0; i < inputs.size(); ++i)
    if (!inputs[i].defined() && !op.is_optional(i))
      fail(ErrorKind::type, "[", op.name, "] expected a tensor for '", op.input_name(i),
           "', got None; a forward() without `return` gives None");
  cast_inputs(op, attrs, inputs);
  if (!op.moves && op.forward) check_arithmetic(op, inputs);
  if (op.types == Types::floats) check_floats(op, inputs);
  if (op.types != Types::any && op.types != Types::floats) unify_types(op, inputs);
  op.for_mutated(inputs.size(), [&](size_t i) { check_mutation(op, inputs[i], op.input_name(i)); });
  if (!op.mutated.empty()) {
    if (op.in_place_of.empty() && !op.new_values)
      check_no_gradient(op, inputs);
    else if (change_is_recorded(op, inputs[0], inputs))
      return run_in_place(op, inputs, attrs);
  }
  check_second_derivative(op, inputs);
  if (op.composite && (by_composite || !op.forward)) {
    if (op.infer) inferred(op, inputs, attrs);  // for its checks
    return op.composite(inputs, AttrReader(op, attrs));
  }

  Tensors outputs;
  if (!op.view) {
    outputs = allocate_and_run(op, inputs, attrs);
  } else if (!run_view(op, inputs[0], attrs, &outputs)) {
    if (!op.view_may_copy)
      fail(ErrorKind::runtime, "[", op.name, "] expected a layout that allows a view, got shape ",
           to_string(inputs[0].shape()), " with strides ", to_string(inputs[0].strides()),
           "; use reshape()");
    static const Op contiguous("contiguous");
    inputs[0] = contiguous({inputs[0]});
    run_view(op, inputs[0], attrs, &outputs);
  }
  if (Recorder* r = recorder())
    r->instructions.push_back(
        {&op, attrs, inputs, outputs, current_place ? current_place() : Place()});
  if (op.differentiable) record_gradient(op, attrs, inputs, outputs);
  return outputs;
}

namespace {

// Fills in defaults; the kinds are the caller's word in C++ and checked by the bindings.
void complete(const OpDef& op, Attrs& attrs) {
  if (attrs.size() > op.attrs.size())
    fail(ErrorKind::type, "[", op.name, "] expected at most ", op.attrs.size(), " attributes, got ",
         attrs.size());
  for (size_t i = attrs.size(); i < op.attrs.size(); ++i) {
    if (op.attrs[i].required)
      fail(ErrorKind::type, "[", op.name, "] expected a value for '", op.attrs[i].name,
           "', got none");
    attrs.push_back(op.attrs[i].value);
  }
  for (size_t i = 0; i < attrs.size(); ++i) {
    const AttrDef& def = op.attrs[i];
    if (def.kind == AttrKind::number && std::holds_alternative<int64_t>(attrs[i]))
      attrs[i] = static_cast<double>(std::get<int64_t>(attrs[i]));
    if (def.kind == AttrKind::integers && std::holds_alternative<int64_t>(attrs[i]))
      attrs[i] = std::vector<int64_t>{std::get<int64_t>(attrs[i])};
    const bool none = std::holds_alternative<std::monostate>(attrs[i]);
    constexpr size_t kIndex[] = {1, 2, 3, 4, 5, 2};  // of each AttrKind in Attr
    if (none ? !def.optional : attrs[i].index() != kIndex[static_cast<int>(def.kind)])
      fail(ErrorKind::type, "[", op.name, "] expected another type for '", def.name, "', got ",
           to_string(attrs[i]));
  }
}

}  // namespace

Tensors call(std::string_view name, const Tensors& inputs, Attrs attrs) {
  const OpDef* op = registry().find(name);
  if (!op) fail(ErrorKind::key, "[call] there is no op '", name, "'");
  complete(*op, attrs);
  return run(*op, inputs, std::move(attrs));
}

const OpDef& Op::def() const {
  const OpDef* def = def_.load(std::memory_order_acquire);
  if (!def) {
    def = registry().find(name_);
    if (!def) fail(ErrorKind::key, "[call] there is no op '", name_, "'");
    def_.store(def, std::memory_order_release);
  }
  return *def;
}

Tensors Op::all(const Tensors& inputs, Attrs attrs) const {
  const OpDef& op = def();
  complete(op, attrs);
  return run(op, inputs, std::move(attrs));
}

Tensor Op::operator()(const Tensors& inputs, Attrs attrs) const {
  Tensors results = all(inputs, std::move(attrs));
  return results.empty() ? Tensor() : results[0];
}

namespace {
const Op add_op("add"), sub_op("sub"), mul_op("mul"), div_op("div"), neg_op("neg"),
    clone_op("clone"), add_into("add_");
}

Tensor operator+(const Tensor& a, const Tensor& b) { return add_op({a, b}); }
Tensor operator-(const Tensor& a, const Tensor& b) { return sub_op({a, b}); }
Tensor operator*(const Tensor& a, const Tensor& b) { return mul_op({a, b}); }
Tensor operator/(const Tensor& a, const Tensor& b) { return div_op({a, b}); }
Tensor operator-(const Tensor& a) { return neg_op({a}); }
Tensor operator*(const Tensor& a, double b) { return mul_op({a, scalar(b, a.dtype())}); }
Tensor operator/(const Tensor& a, double b) { return div_op({a, scalar(b, a.dtype())}); }
Tensor clone(const Tensor& t) { return clone_op({t}); }
void operator+=(const Tensor& a, const Tensor& b) { add_into({a, b}); }

}  // namespace ranvier
