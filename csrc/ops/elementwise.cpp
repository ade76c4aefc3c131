// The ops of elementwise.def, made from its rows.

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

// A row's expression over one integer, with the names that the vectors have. Arithmetic wraps
// around, as in NumPy and PyTorch.
template <class I>
struct One {
  using T = I;
  I v;
};
template <class I>
I wrap(uint64_t x) {
  if constexpr (std::is_same_v<I, bool>)
    return x != 0;
  else
    return static_cast<I>(x);
}
template <class I>
uint64_t wide(One<I> x) {
  return static_cast<uint64_t>(x.v);
}
template <class I>
One<I> operator+(One<I> x, One<I> y) {
  return {wrap<I>(wide(x) + wide(y))};
}
template <class I>
One<I> operator-(One<I> x, One<I> y) {
  return {wrap<I>(wide(x) - wide(y))};
}
template <class I>
One<I> operator*(One<I> x, One<I> y) {
  return {wrap<I>(wide(x) * wide(y))};
}
template <class I>
One<I> operator-(One<I> x) {
  return {wrap<I>(uint64_t{0} - wide(x))};
}
template <class I>
bool lt(One<I> x, One<I> y) {
  return x.v < y.v;
}
template <class I>
bool le(One<I> x, One<I> y) {
  return x.v <= y.v;
}
template <class I>
bool eq(One<I> x, One<I> y) {
  return x.v == y.v;
}
template <class I>
bool is_nan(One<I>) {
  return false;
}
template <class I>
One<I> select(bool m, One<I> x, One<I> y) {
  return m ? x : y;
}
template <class I>
One<I> abs(One<I> x) {
  return lt(x, One<I>{0}) ? -x : x;
}

enum RowTypes { FLOATS, ALL };
#define K(c) \
  V { static_cast<typename V::T>(c) }

template <Row row, class I>
void integer_map(int64_t n, const void* const* in, void* out, double) {
  using V = One<I>;
  constexpr int inputs =
#define RV_UNARY(name, ...) row == Row::name ? 1:
#define RV_BINARY(name, ...)
#define RV_COMPARE(name, ...)
#include "ops/elementwise.def"
      2;
  const auto* a = static_cast<const I*>(in[0]);
  const auto* b = static_cast<const I*>(in[inputs - 1]);
  for (int64_t i = 0; i < n; ++i) {
    const V x{a[i]};
    [[maybe_unused]] const V y{b[i]};
#define RV_UNARY(name, doc, types, attr, f, ...) \
  if constexpr (row == Row::name && types == ALL) static_cast<I*>(out)[i] = (f).v;
#define RV_BINARY(name, doc, types, f, ...) \
  if constexpr (row == Row::name && types == ALL) static_cast<I*>(out)[i] = (f).v;
#define RV_COMPARE(name, doc, f, ...) \
  if constexpr (row == Row::name) static_cast<bool*>(out)[i] = (f).v != 0;
#include "ops/elementwise.def"
  }
}
#undef K

template <Row row>
MapFn integer_kernel(DType dtype) {
  switch (dtype) {
    case DType::int64:
      return integer_map<row, int64_t>;
    case DType::int32:
      return integer_map<row, int32_t>;
    case DType::int16:
      return integer_map<row, int16_t>;
    case DType::int8:
      return integer_map<row, int8_t>;
    case DType::uint8:
      return integer_map<row, uint8_t>;
    default:
      return integer_map<row, bool>;
  }
}

template <Row row>
void forward(const ForwardArgs& args) {
  const DType dtype = args.in[0].dtype();
  const MapFn f = is_floating(dtype)
                      ? kernel_table().forward[static_cast<int>(row)][static_cast<int>(dtype)]
                      : integer_kernel<row>(dtype);
  const double attribute = args.all().empty() ? 0 : args.number(0);
  if (args.in.size() == 1)
    map(f, attribute, args.out[0], {args.in[0]});
  else
    map(f, attribute, args.out[0], {args.in[0], args.in[1]});
}

// Forward of "<name>_": the result goes where the first input is.
template <Row row>
void forward_in_place(const ForwardArgs& args) {
  const Tensor& to = args.in[0];
  Tensors in = {to};
  if (args.in.size() > 1) in.push_back(apart(converted(args.in[1], to.dtype()), to));
  const Tensors out = {to};
  forward<row>(ForwardArgs(args.op(), args.all(), in, out));
}

// Forward of "<name>_backward": inputs are grad, input, other, result.
template <Row row, bool First>
void derivative(const ForwardArgs& args) {
  const KernelTable& table = kernel_table();
  const auto& kernels = First ? table.backward_x : table.backward_y;
  const MapFn f = kernels[static_cast<int>(row)][static_cast<int>(args.in[0].dtype())];
  map(f, args.all().empty() ? 0 : args.number(0), args.out[0],
      {args.in[0], args.in[1], args.in[2], args.in[3]});
}

Metas infer_binary(const InferArgs& args) {
  return {{broadcast(args, args.in[0].shape, args.in[1].shape), args.in[0].dtype}};
}
Metas infer_compare(const InferArgs& args) {
  return {{broadcast(args, args.in[0].shape, args.in[1].shape), DType::bool_}};
}

Metas infer_in_place(const InferArgs& args) {
  const DType to = args.in[0].dtype;
  const OpDef& op = *registry().find(args.op().in_place_of);
  const bool floats = op.types == Types::promote_floats && !is_floating(to);
  const DType other = args.in.back().dtype;
  const bool widens = is_floating(other) && !is_floating(to);
  if (floats || widens || (to == DType::bool_ && other != DType::bool_))
    fail(ErrorKind::type, "[", args.op().name, "] expected a result that fits into ", name_of(to),
         ", got one of ", name_of(floats ? DType::float32 : other), "; use ", op.name, "()");
  if (args.in.size() > 1 &&
      !(broadcast(args, args.in[0].shape, args.in[1].shape) == args.in[0].shape))
    args.mismatch("a second operand that broadcasts to the shape of what is changed");
  return {};
}

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
  if (uses == kPass) return reduce_to(g, args.in_meta[input].shape);
  const bool unary = args.in.size() == 1;
  const auto pick = [&](unsigned bit, const Tensor& t) { return uses & bit ? t : Tensor(); };
  const Tensors result =
      call(backward_name(args.op().name, unary, input == 0),
           {g, pick(kX, args.in[0]), pick(kY, args.in.back()), pick(kZ, args.out[0])}, args.all());
  return reduce_to(result[0], args.in_meta[input].shape);
}

template <unsigned UsesX, unsigned UsesY>
Tensors backward(const BackwardArgs& args) {
  Tensors grads = {apply_slope(args, 0, UsesX)};
  if (args.in.size() > 1) grads.push_back(apply_slope(args, 1, UsesY));
  return grads;
}

void declare_slope(Registry& r, const OpDef& op, const Slope& slope, bool first) {
  if (slope.uses == kPass) return;
  const std::string of = op.inputs[first ? 0 : 1];
  r.add({.name = backward_name(op.name, op.inputs.size() == 1, first),
         .doc = "Gradient of " + op.name + " with respect to '" + of + "'.",
         .inputs = {"grad", slope.uses & kX ? "input" : "input?",
                    slope.uses & kY ? "other" : "other?", slope.uses & kZ ? "result" : "result?"},
         .attrs = op.attrs,
         .types = Types::floats,
         .infer = infer_slope,
         .forward = slope.forward,
         .elementwise = true,
         .differentiable = false,
         .formula = {"g (" + slope.text + ")", "g\\,(" + slope.latex + ")", {}},
         .gradient_of = op.name});
}

std::vector<std::string> saved(unsigned uses) {
  std::vector<std::string> names;
  if (uses & kPass) uses &= ~unsigned{kPass};
  if (uses & kX) names.emplace_back("input");
  if (uses & kY) names.emplace_back("other");
  if (uses & kZ) names.emplace_back("result");
  return names;
}

void declare_in_place(Registry& r, const OpDef& op, void (*forward)(const ForwardArgs&)) {
  const std::string name = op.name + "_";
  r.add({.name = name,
         .doc = op.doc + " In place.",
         .inputs = op.inputs,
         .outputs = {},
         .attrs = op.attrs,
         .infer = infer_in_place,
         .forward = forward,
         .mutates = {"input"},
         .differentiable = false,
         .formula = {"x = " + op.formula.text, R"(x \leftarrow )" + op.formula.latex, {}},
         .example = "rv." + name + op.example.substr(op.example.find('(')),
         .in_place_of = op.name,
         .method = true});
}

void declare_row(Registry& r, OpDef op, const Slope& x, const Slope& y,
                 void (*in_place)(const ForwardArgs&)) {
  const bool unary = op.inputs.size() == 1;
  op.saves = saved(x.uses | (unary ? 0u : y.uses));
  op.elementwise = true;
  op.method = true;
  op.formula.derivatives = {{"x", x.text, x.latex}};
  if (!unary) op.formula.derivatives.push_back({"y", y.text, y.latex});
  const OpDef& added = r.add(std::move(op));
  declare_slope(r, added, x, true);
  if (!unary) declare_slope(r, added, y, false);
  declare_in_place(r, added, in_place);
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
#define RV_UNARY(name_, doc_, types_, attr, f, text, latex, uses, dx, dtext, dlatex)         \
  declare_row(r,                                                                             \
              {.name = #name_,                                                               \
               .doc = doc_,                                                                  \
               .inputs = {"input"},                                                          \
               .attrs = attr,                                                                \
               .types = types_ == ALL ? Types::promote : Types::promote_floats,              \
               .infer = same_as_first,                                                       \
               .forward = forward<Row::name_>,                                               \
               .backward = backward<uses, kPass>,                                            \
               .formula = {text, latex, {}},                                                 \
               .example = "rv." #name_ + one,                                                \
               .row = static_cast<int>(Row::name_)},                                         \
              {uses, dtext, dlatex, derivative<Row::name_, true>}, {kPass, "", "", nullptr}, \
              forward_in_place<Row::name_>);
#define RV_BINARY(name_, doc_, types_, f, text, latex, ux, dx, dxt, dxl, uy, dy, dyt, dyl) \
  declare_row(r,                                                                           \
              {.name = #name_,                                                             \
               .doc = doc_,                                                                \
               .inputs = {"input", "other"},                                               \
               .types = types_ == ALL ? Types::promote : Types::promote_floats,            \
               .infer = infer_binary,                                                      \
               .forward = forward<Row::name_>,                                             \
               .backward = backward<(ux), (uy)>,                                           \
               .formula = {text, latex, {}},                                               \
               .example = "rv." #name_ + two,                                              \
               .row = static_cast<int>(Row::name_)},                                       \
              {ux, dxt, dxl, derivative<Row::name_, true>},                                \
              {uy, dyt, dyl, derivative<Row::name_, false>}, forward_in_place<Row::name_>);
#define RV_COMPARE(name_, doc_, f, text, latex) \
  r.add({.name = #name_,                        \
         .doc = doc_,                           \
         .inputs = {"input", "other"},          \
         .types = Types::promote,               \
         .infer = infer_compare,                \
         .forward = forward<Row::name_>,        \
         .elementwise = true,                   \
         .differentiable = false,               \
         .formula = {text, latex, {}},          \
         .example = "rv." #name_ + two,         \
         .method = true,                        \
         .row = static_cast<int>(Row::name_)});
#include "ops/elementwise.def"
#undef NO_ATTR
#undef ATTR
}

}  // namespace ranvier
