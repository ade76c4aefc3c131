// The ops of elementwise.def, made from its rows.
#include "ops/elementwise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/loops.h"

namespace ranvier {
namespace {

using enum RowTypes;

RowTypes types_of(Row row) {
  static constexpr RowTypes types[] = {
#define RV_UNARY(name, doc, types, ...) types,
#define RV_BINARY(name, doc, types, ...) types,
#define RV_TERNARY(name, doc, types, ...) types,
#define RV_TEST(...) ALL,
#define RV_COMPARE(...) ALL,
#define RV_LOSS(...) FLOATS,
#include "ops/elementwise.def"
  };
  return types[static_cast<int>(row)];
}

// What an element of an expression costs, in elements copied. Called are a few instructions, for
// which memory is as slow, or a polynomial.
constexpr int64_t work_of(std::string_view expression) {
  constexpr std::pair<std::string_view, int> costs[] = {
      {"abs", 0},       {"ceil_", 0},    {"clamp", 0},     {"copysign", 0},    {"eq", 0},
      {"floor_", 0},    {"fma", 0},      {"is_finite", 0}, {"is_infinite", 0}, {"is_nan", 0},
      {"K", 0},         {"le", 0},       {"lt", 0},        {"max_", 0},        {"select", 0},
      {"trunc_", 0},    {"sqrt", 1},     {"exp", 1},       {"exp2", 1},        {"log", 1},
      {"log10", 1},     {"log2", 1},     {"expm1", 4},     {"log1p", 4},       {"sigmoid", 4},
      {"remainder", 4}, {"round_to", 4}, {"tanh", 5},
  };
  int64_t sum = 1;
  for (size_t at = 0; at < expression.size(); ++at) {
    if (expression[at] == '/') ++sum;
    if (expression[at] != '(') continue;
    size_t begin = at;
    const auto in_name = [](char c) {
      return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    while (begin > 0 && in_name(expression[begin - 1])) --begin;
    if (begin == at) continue;  // brackets around a term
    int cost = 8;
    for (const auto& [name, its] : costs)
      if (name == expression.substr(begin, at - begin)) cost = its;
    sum += cost;
  }
  return sum < 16 ? sum : 16;
}

struct Work {
  int64_t forward, backward_x, backward_y;
};

Work work_of(int row) {
  static constexpr Work works[] = {
#define RV_UNARY(name, doc, types, attr, f, text, latex, ux, dx, ...) \
  {work_of(#f), work_of(#dx), 1},
#define RV_BINARY(name, doc, types, f, text, latex, ux, dx, dxt, dxl, uy, dy, ...) \
  {work_of(#f), work_of(#dx), work_of(#dy)},
#define RV_TERNARY(name, doc, types, attr, second, third, f, text, latex, ux, dx, dxt, dxl, uy, \
                   dy, ...)                                                                     \
  {work_of(#f), work_of(#dx), work_of(#dy)},
#define RV_TEST(...) {1, 1, 1},
#define RV_COMPARE(...) {1, 1, 1},
#define RV_LOSS(name, doc, attr, f, text, latex, dx, dxt, dxl, dy, ...) \
  {work_of(#f), work_of(#dx), work_of(#dy)},
#include "ops/elementwise.def"
  };
  return works[row];
}

// An input that was not given; an infinite bound of integers is their last one.
Tensor default_input(double value, DType dtype) {
  if (std::isfinite(value)) return scalar(value, dtype);
  const bool low = value < 0;
  Tensor t = Tensor::empty({}, dtype);
  visit(dtype, [&]<class T>(Tag<T>) {
    using Limits = std::numeric_limits<T>;
    const T most = Limits::has_infinity ? Limits::infinity() : Limits::max();
    *t.data<T>() = !low ? most : Limits::has_infinity ? static_cast<T>(-most) : Limits::lowest();
  });
  return t;
}

void run_row(const ForwardArgs& args, const Tensors& in, const Tensor& out) {
  const auto row = static_cast<Row>(args.op().row);
  const DType dtype = in[0].dtype();
  if (row == Row::square && dtype == DType::bool_) return copy(out, in[0]);  // 0 and 1 of int64
  if (in.size() == 2) check_integers(args, in[1]);
  const MapFn f = is_floating(dtype)
                      ? kernel_table().forward[static_cast<int>(row)][static_cast<int>(dtype)]
                      : integer_kernel(row, dtype);
  const double attribute = attribute_of(args);
  const int64_t work = work_of(args.op().row).forward;
  if (in.size() == 1) return map(f, attribute, out, {in[0]}, work);
  if (in.size() == 2) return map(f, attribute, out, {in[0], in[1]}, work);
  const Defaults defaults = defaults_of(row);
  const auto given = [&](const Tensor& t, double value) {
    return t.defined() ? t : default_input(value, dtype);
  };
  map(f, attribute, out, {in[0], given(in[1], defaults.second), given(in[2], defaults.third)},
      work);
}

void forward(const ForwardArgs& args) { run_row(args, args.in, args.out[0]); }

// The same as one sweep. Integers are looked at before some of their kernels, and so at each call.
Sweep sweep_into(const ForwardArgs& args, const Tensor& out) {
  const Tensors& in = args.in;
  const auto row = static_cast<Row>(args.op().row);
  const DType dtype = in[0].dtype();
  if (is_half(dtype) || (row == Row::square && dtype == DType::bool_)) return {};
  const bool floating = is_floating(dtype);
  const bool looked_at = row == Row::pow || row == Row::floor_divide || row == Row::trunc_divide ||
                         row == Row::remainder || row == Row::fmod;
  if (!floating && in.size() == 2 && looked_at) return {};
  const MapFn f = floating ? kernel_table().forward[args.op().row][static_cast<int>(dtype)]
                           : integer_kernel(row, dtype);
  Sweep sweep{.operands = {out}, .map = f, .attribute = attribute_of(args)};
  sweep.work = work_of(args.op().row).forward;
  const Defaults defaults = defaults_of(row);
  for (size_t i = 0; i < in.size(); ++i) {
    sweep.operands.push_back(in[i]);
    if (in[i].defined()) continue;
    sweep.operands.back() = default_input(i == 1 ? defaults.second : defaults.third, dtype);
    sweep.made.push_back(sweep.operands.back());
  }
  return sweep;
}

Sweep sweep_of_row(const ForwardArgs& args) { return sweep_into(args, args.out[0]); }

Sweep sweep_in_place(const ForwardArgs& args) {
  const Tensor& to = args.in[0];
  for (const Tensor& t : args.in)
    if (t.defined() && (t.dtype() != to.dtype() || !is_apart(t, to))) return {};
  return sweep_into(args, to);
}

// Forward of "<name>_": the result goes where the first input is.
void forward_in_place(const ForwardArgs& args) { run_row(args, inputs_in_place(args), args.in[0]); }

// Forward of "<name>_backward": inputs are grad, input, other, result.
template <bool First>
void derivative(const ForwardArgs& args) {
  const KernelTable& table = kernel_table();
  const auto& kernels = First ? table.backward_x : table.backward_y;
  const MapFn f = kernels[args.op().row][static_cast<int>(args.in[0].dtype())];
  const Work work = work_of(args.op().row);
  map(f, attribute_of(args), args.out[0], {args.in[0], args.in[1], args.in[2], args.in[3]},
      First ? work.backward_x : work.backward_y);
}

template <bool First>
Sweep sweep_of_derivative(const ForwardArgs& args) {
  const DType dtype = args.in[0].dtype();
  if (is_half(dtype)) return {};
  const KernelTable& table = kernel_table();
  const auto& kernels = First ? table.backward_x : table.backward_y;
  const Work work = work_of(args.op().row);
  return {.operands = {args.out[0], args.in[0], args.in[1], args.in[2], args.in[3]},
          .map = kernels[args.op().row][static_cast<int>(dtype)],
          .attribute = attribute_of(args),
          .work = First ? work.backward_x : work.backward_y};
}

Dims broadcast_all(const InferArgs& args) {
  Dims shape = args.in[0].shape;
  for (size_t i = 1; i < args.in.size(); ++i)
    if (args.given_inputs[i]) shape = broadcast(args, shape, args.in[i].shape);
  return shape;
}

// What a row does not take, whether in place or not.
void check_row(const InferArgs& args, DType dtype) {
  const auto row = static_cast<Row>(args.op().row);
  if (types_of(row) == NUMBERS && dtype == DType::bool_)
    fail(ErrorKind::type, "[", args.op().name,
         "] expected numbers, got bool; use the logical ops (~ & | ^), or call .int() on it");
  if (row == Row::square && dtype == DType::bool_ && args.op().outputs.empty())
    fail(ErrorKind::type, "[", args.op().name, "] expected a result that fits into bool, got one ",
         "of int64; use square()");
  if (row == Row::clamp && !args.given_inputs[1] && !args.given_inputs[2])
    fail(ErrorKind::value, "[", args.op().name, "] expected 'min' or 'max' or both, got none");
  if (row == Row::round && !is_floating(dtype) && args.integer(0) != 0)
    fail(ErrorKind::type, "[", args.op().name, "] expected decimals=0 for ", name_of(dtype),
         ", got ", args.integer(0), "; call .float() on it");
}

Metas infer_row(const InferArgs& args) {
  check_row(args, args.in[0].dtype);
  if (static_cast<Row>(args.op().row) == Row::square && args.in[0].dtype == DType::bool_)
    return {{args.in[0].shape, DType::int64}};
  if (args.in.size() == 1) return same_as_first(args);
  return {{broadcast_all(args), args.in[0].dtype}};
}
Metas infer_compare(const InferArgs& args) { return {{broadcast_all(args), DType::bool_}}; }

Metas infer_slope(const InferArgs& args) {
  for (size_t i = 1; i < args.in.size(); ++i)
    if (args.given_inputs[i] &&
        !(broadcast(args, args.in[0].shape, args.in[i].shape) == args.in[0].shape))
      args.mismatch("operands that broadcast to the shape of 'grad'");
  return same_as_first(args);
}

// What one derivative needs to be declared and called.
struct Slope {
  unsigned uses;
  std::string text, latex;
  void (*forward)(const ForwardArgs&);
};

std::string backward_name(const std::string& name, bool unary, bool first) {
  return name + (unary ? "_backward" : first ? "_backward_input" : "_backward_other");
}

Tensor apply_slope(const BackwardArgs& args, int input, unsigned uses) {
  const Tensor& g = args.grad[0];
  if (!args.needs[input]) return {};
  const auto at = static_cast<size_t>(input);
  if (uses == kPass) return reduce_to(g, args.in_meta[input].shape, args.held_by(at));
  const bool unary = args.in.size() == 1;
  const auto pick = [&](unsigned bit, const Tensor& t) { return uses & bit ? t : Tensor(); };
  const Tensors result =
      call(backward_name(args.op().name, unary, input == 0),
           {g, pick(kX, args.in[0]), pick(kY, args.in.back()), pick(kZ, args.out[0])}, args.all());
  return reduce_to(result[0], args.in_meta[input].shape, args.held_by(at));
}

template <unsigned UsesX, unsigned UsesY>
Tensors backward(const BackwardArgs& args) {
  Tensors grads = {apply_slope(args, 0, UsesX)};
  if (args.in.size() > 1) grads.push_back(apply_slope(args, 1, UsesY));
  return grads;
}

// The names of what a derivative reads, but for the gradient.
std::vector<std::string> read_by(const std::vector<std::string>& inputs, unsigned uses) {
  std::vector<std::string> names;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (uses & (i == 0 ? kX : i == 1 ? kY : kW)) names.push_back(inputs[i]);
  if (uses & kZ) names.emplace_back("result");
  return names;
}

// What the derivatives read, each for the inputs whose derivatives read it.
std::vector<std::string> saved(std::vector<std::string> inputs, const std::vector<unsigned>& uses) {
  for (std::string& name : inputs) name = name.substr(0, name.find('?'));
  std::map<std::string, std::string> readers;
  for (size_t i = 0; i < uses.size(); ++i)
    for (const std::string& name : read_by(inputs, uses[i] == kPass ? 0 : uses[i]))
      readers[name] += (readers.contains(name) ? ", " : " for ") + inputs[i];
  std::vector<std::string> saves;
  for (const auto& [name, served] : readers) saves.push_back(name + served);
  return saves;
}

void declare_slope(Registry& r, const OpDef& op, const Slope& slope, bool first) {
  if (slope.uses == kPass) return;
  const std::string of = op.inputs[first ? 0 : 1];
  std::vector<std::string> saves = read_by({"input", "other"}, slope.uses);
  saves.emplace_back("grad");
  r.add({.name = backward_name(op.name, op.inputs.size() == 1, first),
         .doc = "Gradient of " + op.name + " with respect to '" + of + "'.",
         .inputs = {"grad", slope.uses & kX ? "input" : "input?",
                    slope.uses & kY ? "other" : "other?", slope.uses & kZ ? "result" : "result?"},
         .attrs = op.attrs,
         .types = Types::floats,
         .infer = infer_slope,
         .forward = slope.forward,
         .sweep = slope.forward == derivative<true>    ? sweep_of_derivative<true>
                  : slope.forward == derivative<false> ? sweep_of_derivative<false>
                                                       : nullptr,
         .composite = slope_composite(static_cast<Row>(op.row), first),
         .saves = saves,
         .elementwise = true,
         .formula = {"g (" + slope.text + ")", "g\\,(" + slope.latex + ")", {}},
         .gradient_of = op.name,
         .row = op.row});
}

// Where the keywords lead that PyTorch gives to some of the oldest ops.
const char* keyword_form(Row row) {
  return row == Row::add   ? "add_scaled"
         : row == Row::sub ? "sub_scaled"
         : row == Row::div ? "div_rounded"
                           : "";
}

void declare_row(Registry& r, OpDef op, const Slope& x, const Slope& y) {
  const bool unary = op.inputs.size() == 1;
  op.keyword_form = keyword_form(static_cast<Row>(op.row));
  op.saves = saved(op.inputs, unary ? std::vector{x.uses} : std::vector{x.uses, y.uses});
  op.continues = !unary;
  op.formula.derivatives = {{"x", x.text, x.latex}};
  if (!unary) op.formula.derivatives.push_back({"y", y.text, y.latex});
  const OpDef& added = r.add(std::move(op));
  declare_slope(r, added, x, true);
  if (!unary) declare_slope(r, added, y, false);
  declare_in_place(r, added, forward_in_place, sweep_in_place);
}

Types types_for(Row row) {
  return types_of(row) == FLOATS ? Types::promote_floats : Types::promote;
}

// What every row has; the kinds add to it.
OpDef row_op(Row row, std::string name, std::string doc, std::vector<std::string> inputs) {
  return {.name = std::move(name),
          .doc = std::move(doc),
          .inputs = std::move(inputs),
          .types = types_for(row),
          .infer = infer_row,
          .forward = forward,
          .sweep = sweep_of_row,
          .elementwise = true,
          .method = true,
          .row = static_cast<int>(row)};
}

}  // namespace

double attribute_of(const AttrReader& args) {
  if (args.all().empty()) return 0;
  const AttrDef& def = args.op().attrs[0];
  if (def.kind == AttrKind::number) return args.number(0);
  if (def.kind != AttrKind::integer) return 0;
  // Beyond 400 no double has any.
  const int64_t digits = std::clamp<int64_t>(args.integer(0), -400, 400);
  const double unit = std::pow(10.0, static_cast<double>(std::abs(digits)));
  return digits < 0 ? -unit : unit;
}

Tensors inputs_in_place(const ForwardArgs& args) {
  const Tensor& to = args.in[0];
  Tensors in = {to};
  for (size_t i = 1; i < args.in.size(); ++i)
    in.push_back(args.in[i].defined() ? apart(converted(args.in[i], to.dtype()), to) : Tensor());
  return in;
}

Metas infer_in_place(const InferArgs& args) {
  const DType to = args.in[0].dtype;
  const OpDef& op = *registry().find(args.op().in_place_of);
  if (op.row >= 0) check_row(args, to);
  const bool floats = op.types == Types::promote_floats && !is_floating(to);
  DType other = to;
  for (size_t i = 1; i < args.in.size(); ++i)
    if (args.given_inputs[i]) other = promote(other, args.in[i].dtype);
  const bool widens = is_floating(other) && !is_floating(to);
  if (floats || widens || (to == DType::bool_ && other != DType::bool_))
    fail(ErrorKind::type, "[", args.op().name, "] expected a result that fits into ", name_of(to),
         ", got one of ", name_of(floats ? DType::float32 : other), "; use ", op.name, "()");
  if (!(broadcast_all(args) == args.in[0].shape))
    args.mismatch("operands that broadcast to the shape of what is changed");
  return {};
}

void declare_in_place(Registry& r, const OpDef& op, void (*forward)(const ForwardArgs&),
                      Sweep (*sweep)(const ForwardArgs&)) {
  const std::string name = op.name + "_";
  std::vector<std::string> inputs = op.inputs;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (op.optional[i]) inputs[i] += "?";
  r.add({.name = name,
         .doc = op.doc + " In place.",
         .inputs = inputs,
         .outputs = {},
         .attrs = op.attrs,
         .infer = infer_in_place,
         .forward = forward,
         .sweep = sweep,
         .mutates = {"input"},
         .differentiable = false,
         .formula = {"x = " + op.formula.text, R"(x \leftarrow )" + op.formula.latex, {}},
         .example = "rv." + name + op.example.substr(op.example.find('(')),
         .in_place_of = op.name,
         .keyword_form = op.keyword_form.empty() ? "" : op.keyword_form + "_",
         .method = true,
         .row = op.row});
}

namespace {

void declare_ternary(Registry& r, OpDef op, const std::vector<unsigned>& uses) {
  op.backward = ternary_backward(static_cast<Row>(op.row));
  op.saves = saved(op.inputs, uses);
  op.continues = true;
  op.example = "rv." + op.name + "(rv.tensor([0.2, 0.5]), rv.tensor([0.1, 0.8]), 0.5)";
  declare_in_place(r, r.add(std::move(op)), forward_in_place, sweep_in_place);
}

const OpDef& declare_predicate(Registry& r, OpDef op) {
  op.types = Types::promote;
  op.infer = infer_compare;
  op.differentiable = false;
  return r.add(std::move(op));
}

// "eq_" and its like: the answers, 1 or 0, in the dtype of what is changed.
void declare_answer_in_place(Registry& r, const OpDef& op) {
  r.add({.name = op.name + "_",
         .doc = op.doc + " In place, as 1 or 0.",
         .inputs = op.inputs,
         .outputs = {},
         .infer = [](const InferArgs& args) -> Metas {
           if (!(broadcast_all(args) == args.in[0].shape))
             args.mismatch("operands that broadcast to the shape of what is changed");
           return {};
         },
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           call("copy_", {in[0], call(args.op().in_place_of, in)[0]});
           return {};
         },
         .mutates = {"input"},
         .differentiable = false,
         .formula = {"x = " + op.formula.text, R"(x \leftarrow )" + op.formula.latex, {}},
         .example = "rv." + op.name + "_" + op.example.substr(op.example.find('(')),
         .in_place_of = op.name,
         .method = true});
}

}  // namespace

void declare_elementwise(Registry& r) {
  const std::string one = "(rv.tensor([-1.0, 0.5, 2.0]))";
  const std::string two = "(rv.tensor([0.2, 0.5]), rv.tensor([0.1, 0.8]))";
#define NO_ATTR \
  {             \
  }
#define ATTR(name, value)                     \
  {                                           \
    AttrDef { name, AttrKind::number, value } \
  }
#define VALUE                                                                            \
  {                                                                                      \
    AttrDef { .name = "value", .kind = AttrKind::number, .value = 1.0, .keyword = true } \
  }
#define DECIMALS                                                                          \
  {                                                                                       \
    AttrDef {                                                                             \
      .name = "decimals", .kind = AttrKind::integer, .value = int64_t{0}, .keyword = true \
    }                                                                                     \
  }
#define RV_UNARY(name, doc, types, attr, f, text, latex, uses, dx, dtext, dlatex) \
  {                                                                               \
    OpDef op = row_op(Row::name, #name, doc, {"input"});                          \
    op.attrs = attr;                                                              \
    op.backward = backward<(uses), kPass>;                                        \
    op.formula = {text, latex, {}};                                               \
    op.example = "rv." #name + one;                                               \
    declare_row(r, std::move(op), {uses, dtext, dlatex, derivative<true>}, {});   \
  }
#define RV_BINARY(name, doc, types, f, text, latex, ux, dx, dxt, dxl, uy, dy, dyt, dyl) \
  {                                                                                     \
    const char* const second = Row::name == Row::pow ? "exponent" : "other";            \
    OpDef op = row_op(Row::name, #name, doc, {"input", second});                        \
    op.backward = backward<(ux), (uy)>;                                                 \
    op.formula = {text, latex, {}};                                                     \
    op.example = "rv." #name + two;                                                     \
    declare_row(r, std::move(op), {ux, dxt, dxl, derivative<true>},                     \
                {uy, dyt, dyl, derivative<false>});                                     \
  }
#define RV_TERNARY(name, doc, types, attr, second, third, f, text, latex, ux, dx, dxt, dxl, uy, \
                   dy, dyt, dyl, uw, dw, dwt, dwl)                                              \
  {                                                                                             \
    OpDef op = row_op(Row::name, #name, doc, {"input", second, third});                         \
    op.attrs = attr;                                                                            \
    op.formula = {text, latex, {{"x", dxt, dxl}, {"y", dyt, dyl}, {"w", dwt, dwl}}};            \
    declare_ternary(r, std::move(op), {ux, uy, uw});                                            \
  }
#define RV_TEST(name, doc, f, text, latex)                                \
  {                                                                       \
    OpDef op = row_op(Row::name, #name, doc, {"input"});                  \
    op.formula = {text, latex, {}};                                       \
    op.example = "rv." #name + one;                                       \
    const OpDef& added = declare_predicate(r, std::move(op));             \
    if (Row::name == Row::logical_not) declare_answer_in_place(r, added); \
  }
#define RV_COMPARE(name, doc, f, text, latex)                        \
  {                                                                  \
    OpDef op = row_op(Row::name, #name, doc, {"input", "other"});    \
    op.formula = {text, latex, {}};                                  \
    op.example = "rv." #name + two;                                  \
    declare_answer_in_place(r, declare_predicate(r, std::move(op))); \
  }
#include "ops/elementwise.def"
#undef NO_ATTR
#undef ATTR
#undef VALUE
#undef DECIMALS
  declare_bits(r);
  declare_where(r);
  declare_keyword_forms(r);
}

}  // namespace ranvier
