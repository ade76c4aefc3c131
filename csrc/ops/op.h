// How an op is declared. Everything that is known about an op stands in its one OpDef: names and
// attributes (from which bindings, printing and programs derive theirs), the shape rule, forward,
// backward, what backward needs, cost and formulas.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ranvier/ops.h"

namespace ranvier {

// Shape and type of a tensor, without its memory.
struct Meta {
  Dims shape;
  DType dtype = DType::float32;
};
using Metas = SmallVector<Meta, 3>;

struct OpDef;

// Typed reading of attributes; the declaration guarantees the kind.
class AttrReader {
 public:
  AttrReader(const OpDef& op, const Attrs& attrs) : op_(op), attrs_(attrs) {}
  bool given(int i) const { return !std::holds_alternative<std::monostate>(attrs_[i]); }
  bool flag(int i) const { return std::get<bool>(attrs_[i]); }
  int64_t integer(int i) const { return std::get<int64_t>(attrs_[i]); }
  double number(int i) const { return std::get<double>(attrs_[i]); }
  const std::string& text(int i) const { return std::get<std::string>(attrs_[i]); }
  const std::vector<int64_t>& integers(int i) const {
    return std::get<std::vector<int64_t>>(attrs_[i]);
  }
  Dims dims(int i) const { return Dims(std::span<const int64_t>(integers(i))); }
  const OpDef& op() const { return op_; }
  const Attrs& all() const { return attrs_; }

 private:
  const OpDef& op_;
  const Attrs& attrs_;
};

// What infer sees. `in` of an optional input that is not given has no dimensions and given[i] is
// false.
struct InferArgs : AttrReader {
  InferArgs(const OpDef& op, const Attrs& attrs, const Metas& metas, const Flags& has)
      : AttrReader(op, attrs), in(metas), given_inputs(has) {}
  const Metas& in;
  const Flags& given_inputs;
  [[noreturn]] void mismatch(const std::string& expected) const;  // names op and every shape
};

struct ForwardArgs : AttrReader {
  ForwardArgs(const OpDef& op, const Attrs& attrs, const Tensors& inputs, const Tensors& outputs)
      : AttrReader(op, attrs), in(inputs), out(outputs) {}
  const Tensors& in;
  const Tensors& out;
};

// `in` and `out` hold what the op saves; the other tensors are undefined.
struct BackwardArgs : AttrReader {
  BackwardArgs(const OpDef& op, const Attrs& attrs, const Tensors& inputs, const Tensors& outputs,
               const Tensors& grads, const Metas& metas, const Flags& wanted)
      : AttrReader(op, attrs),
        in(inputs),
        out(outputs),
        grad(grads),
        in_meta(metas),
        needs(wanted) {}
  const Tensors& in;
  const Tensors& out;
  const Tensors& grad;  // of each output; undefined where nothing came
  const Metas& in_meta;
  const Flags& needs;  // which inputs ask for a gradient
  // For an op that `continues`: the gradients that its inputs hold already, where adding to them in
  // place changes nothing else. What was added to is returned as it is.
  Tensors held = {};
  Tensor held_by(size_t i) const { return i < held.size() ? held[i] : Tensor(); }
};

// What is left to do of an instruction whose tensors stand still.
using Prepared = std::function<void()>;

// An instruction that can be done a part at a time: a kernel that maps elements, or one of rows.
// Programs run several of them block by block.
struct Sweep {
  Tensors operands = {};  // results, then what is read; undefined: not given
  int results = 1;
  MapFn map = nullptr;  // every operand broadcasts to the one result; or
  double attribute = 0;
  // rows(count, at) on so many rows of `row` elements of the first result: at[i] is where operand i
  // begins, which goes on by steps[i] elements a row. The first result is row-major.
  std::function<void(int64_t, void* const*)> rows = {};
  SmallVector<int64_t, 6> steps = {};
  int64_t row = 1;
  int64_t work = 1;   // of an element, in elements copied
  Tensors made = {};  // operands that are not the instruction's
  explicit operator bool() const { return map || rows; }
};

struct Layout {
  Dims shape, strides;
  int64_t offset = 0;
  int64_t room = -1;  // elements of the memory; unknown where only shapes are asked for
};

struct Cost {
  double flops = 0, bytes = 0;
};

// How inputs are brought to one type before anything else.
enum class Types {
  any,             // as they are
  promote,         // to the widest of them
  promote_rest,    // all but the first to the widest of them
  promote_floats,  // to the widest of them, integers to float32
  floats,          // must be floating and equal; an error says `.float()` or `.double()`
};

enum class AttrKind { flag, integer, number, text, integers, dtype };

struct AttrDef {
  std::string name;
  AttrKind kind;
  Attr value;  // default; ignored when required
  bool required = false;
  bool optional = false;  // None is a value
  bool keyword = false;   // never by position
};

struct Derivative {
  std::string of, text, latex;
};
struct Formula {
  std::string text, latex;
  std::vector<Derivative> derivatives;
};

// Inputs as bits; all beyond the 32nd share the last one.
using InputSet = uint32_t;
inline InputSet input_bit(size_t i) { return InputSet{1} << std::min<size_t>(i, 31); }

// An input or an output that backward reads, and the inputs whose gradients it is read for.
struct SavedValue {
  int place = 0;
  InputSet serves = ~InputSet{0};
};

struct OpDef {
  std::string name;
  std::string doc = {};  // one or two sentences; first line of the help
  // "bias?" is optional; "tensors*", the last, stands for any number of tensors.
  std::vector<std::string> inputs = {};
  // What a "tensors*" is made of, where it stands for any number of groups; "bias?" is optional.
  std::vector<std::string> each = {};
  // "_lse" is kept for backward, not returned; "results*" stands for any number.
  std::vector<std::string> outputs = {"result"};
  bool fewer_results = false;  // infer may leave out the last ones: max without dim has no indices
  std::vector<AttrDef> attrs = {};
  // Order of a call's arguments where it is not inputs, then attributes.
  std::vector<std::string> arguments = {};
  Types types = Types::any;
  // Only moves elements: takes every dtype as it is. All other ops refuse the storage-only ones
  // and compute the half ones in float32.
  bool moves = false;
  bool casts = false;  // the attribute "dtype", where given, is what inputs are converted to first

  Metas (*infer)(const InferArgs&) = nullptr;  // the only shape rule
  // In its place where the shape depends on values (nonzero); `out` is empty. Such an op cannot be
  // recorded.
  Metas (*infer_by_value)(const ForwardArgs&) = nullptr;
  void (*forward)(const ForwardArgs&) = nullptr;     // null: only the composite
  bool (*takes_half)(const ForwardArgs&) = nullptr;  // half precision goes to forward as it is
  // Forward with all decisions taken, for a program; tensors outlive it and keep their places.
  // Null, or empty for these tensors: forward itself.
  Prepared (*prepare)(const ForwardArgs&) = nullptr;
  // In its place, of an op that can be done a part at a time.
  Sweep (*sweep)(const ForwardArgs&) = nullptr;
  Tensors (*backward)(const BackwardArgs&) = nullptr;  // null: derived from the composite
  Tensors (*composite)(const Tensors&, const AttrReader&) = nullptr;  // in simpler ops
  // A view has no kernel: the result shares the input's memory. False: no such view exists.
  bool (*view)(const AttrReader&, const Layout& in, Layout* out) = nullptr;
  bool view_may_copy = false;  // where no view exists, the input is packed first

  // Inputs and outputs that backward reads. "weight for input": kept only where the gradient of
  // 'input' is asked for; several are listed with commas. Needs a backward that looks at `needs`.
  std::vector<std::string> saves = {};
  bool (*saves_results)(const AttrReader&) = nullptr;  // whether results are needed; null: yes
  // Inputs, or members of each group, that forward changes; no other result is theirs.
  std::vector<std::string> mutates = {};
  bool overwrites = false;   // what it mutates it does not read
  bool elementwise = false;  // one layout for all: results keep the input's if it is dense
  bool differentiable = true;
  bool continues = false;  // backward can go on from the gradients that leaves hold
  Cost (*cost)(const Metas& in, const Metas& out, const AttrReader&) = nullptr;  // null: by size
  Formula formula = {};
  // The formula of a call with these settings and inputs, where it says less than that of all.
  std::string (*formula_for)(const AttrReader&, const Flags& given) = nullptr;
  std::string example = {};      // one Python expression that runs
  std::string gradient_of = {};  // for a kernel that only the backward of that op calls
  std::string in_place_of = {};  // for the form of that op that overwrites its first input
  // For what changes its first input in place and is the form of no other op: the new values, by
  // ops. It is what gradients see of the change.
  Tensors (*new_values)(const Tensors&, const AttrReader&) = nullptr;
  // The op that a call goes to instead where it names one of its keywords: add(x, y, alpha=2).
  std::string keyword_form = {};
  bool method = false;   // also a method of Tensor
  bool fronted = false;  // a Python function is in front of it, which is public instead
  int row = -1;          // of elementwise.def

  // Derived when the op is added.
  std::vector<bool> optional = {}, each_optional = {};
  std::vector<SavedValue> saved_in = {}, saved_out = {};
  std::vector<int> mutated = {};  // places, of groups in the first one: see for_mutated
  int dtype_attr = -1;            // of an op that casts

  size_t positional = 0;         // arguments that need no name
  std::vector<int> places = {};  // of each argument: input i as i, attribute i as -1 - i
  bool variadic = false;         // the last input stands for any number of tensors
  bool many_results = false;
  // By the place among the tensors of a call.
  const std::string& input_name(size_t i) const {
    return in_group(i) ? each[member(i)] : inputs[std::min(i, inputs.size() - 1)];
  }
  bool is_optional(size_t i) const {
    return in_group(i) ? each_optional[member(i)] : optional[std::min(i, inputs.size() - 1)];
  }
  // f(i) for every tensor that a call with `count` of them changes.
  template <class F>
  void for_mutated(size_t count, F f) const {
    for (const int first : mutated)
      for (size_t i = static_cast<size_t>(first); i < count;
           i += each.empty() ? count : each.size())
        f(i);
  }
  bool in_group(size_t i) const { return !each.empty() && i + 1 >= inputs.size(); }
  size_t member(size_t i) const { return (i + 1 - inputs.size()) % each.size(); }
};

class Registry {
 public:
  // Checks and completes a declaration; a mistake in one is a std::logic_error.
  const OpDef& add(OpDef def);
  const OpDef* find(std::string_view name) const;
  const std::deque<OpDef>& all() const { return ops_; }

 private:
  std::deque<OpDef> ops_;  // addresses stay valid
  std::map<std::string, const OpDef*, std::less<>> by_name_;
};

// All ops; filled at the first use by the declare_* functions of the families.
const Registry& registry();

// What `call` does, for an op that is already looked up. Attributes must be complete. On request
// an op that has a kernel runs its composite instead, with the same checks.
Tensors run(const OpDef& op, const Tensors& inputs, Attrs attrs, bool by_composite = false);
// The kernel alone, on memory that is there.
void execute(const OpDef& op, const Attrs& attrs, const Tensors& inputs, const Tensors& outputs);
// What a replay does instead: the same with all decisions taken. The lists have to outlive it; it
// expects IEEE arithmetic, and to count versions is left to the caller. Without `stand_still` the
// tensors' memory may be elsewhere in each call.
Prepared prepared_call(const OpDef& op, const Attrs& attrs, const Tensors& inputs,
                       const Tensors& outputs, bool stand_still);
Cost cost_of(const OpDef& op, const Metas& in, const Metas& out, const Attrs& attrs);
std::string to_string(const Attr& attr);
inline Meta meta_of(const Tensor& t) { return {t.shape(), t.dtype()}; }
inline Layout layout_of(const Tensor& t) {
  return {t.shape(), t.strides(), t.impl()->offset,
          static_cast<int64_t>(t.impl()->storage->bytes / size_of(t.dtype()))};
}
// The same memory in another layout, without a step of a graph or a program.
Tensor view_of(const Tensor& t, const Layout& layout);

// Shape rules shared by families.
Dims broadcast(const InferArgs& args, const Dims& a, const Dims& b);
Metas same_as_first(const InferArgs& args);
Metas infer_view(const InferArgs& args);  // a view's layout rule on a packed input

// Sums a gradient over the axes along which an input of `shape` was broadcast; the rows of axis 0
// one after another, in place onto `held` where that is given, so that k small batches add up to
// one large batch.
Tensor reduce_to(const Tensor& g, const Dims& shape, const Tensor& held = {});
// A gradient in the dtype of its input; it stays a part of the graph.
Tensor cast_to(const Tensor& g, DType dtype);

// A 0-dimensional tensor.
Tensor scalar(double value, DType dtype);

}  // namespace ranvier
