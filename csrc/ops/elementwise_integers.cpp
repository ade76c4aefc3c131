// Rows of elementwise.def over integers and bool, and the ops of bits, which floats do not have.
// Arithmetic wraps around, as in NumPy and PyTorch; nothing here is undefined in C++.
#include <algorithm>

#include "core/dtypes.h"
#include "ops/elementwise.h"
#include "ops/loops.h"

namespace ranvier {
namespace {

// A row's expression over one integer, with the names that the vectors have.
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
One<I> operator&(One<I> x, One<I> y) {
  return {wrap<I>(wide(x) & wide(y))};
}
template <class I>
One<I> operator|(One<I> x, One<I> y) {
  return {wrap<I>(wide(x) | wide(y))};
}
template <class I>
One<I> operator^(One<I> x, One<I> y) {
  return {wrap<I>(wide(x) ^ wide(y))};
}
template <class I>
One<I> operator~(One<I> x) {
  if constexpr (std::is_same_v<I, bool>) return {!x.v};
  return {wrap<I>(~wide(x))};
}
template <class I>
constexpr int kWidth = 8 * sizeof(I);
template <class I>
One<I> operator<<(One<I> x, One<I> y) {
  const bool inside = y.v >= 0 && static_cast<uint64_t>(y.v) < kWidth<I>;
  return {inside ? wrap<I>(wide(x) << y.v) : I(0)};
}
template <class I>
One<I> operator>>(One<I> x, One<I> y) {
  const bool inside = y.v >= 0 && static_cast<uint64_t>(y.v) < kWidth<I>;
  return {static_cast<I>(inside ? x.v >> y.v : x.v < 0 ? -1 : 0)};
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
bool is_infinite(One<I>) {
  return false;
}
template <class I>
bool is_finite(One<I>) {
  return true;
}
template <class I>
One<I> select(bool m, One<I> x, One<I> y) {
  return m ? x : y;
}
template <class I>
One<I> abs(One<I> x) {
  return lt(x, One<I>{0}) ? -x : x;
}
template <class I>
One<I> floor_(One<I> x) {
  return x;
}
template <class I>
One<I> ceil_(One<I> x) {
  return x;
}
template <class I>
One<I> trunc_(One<I> x) {
  return x;
}
template <class I>
One<I> round_to(One<I> x, One<I>) {
  return x;
}
template <class I>
One<I> clamp(One<I> x, One<I> low, One<I> high) {
  return {std::min(std::max(x.v, low.v), high.v)};
}

// The divisor is not 0: check_integers() has looked. The smallest integer over -1 wraps around.
template <class I>
One<I> trunc_divide(One<I> x, One<I> y) {
  if (std::is_signed_v<I> && y.v == static_cast<I>(-1)) return -x;
  return {static_cast<I>(x.v / y.v)};
}
template <class I>
One<I> fmod(One<I> x, One<I> y) {
  if (std::is_signed_v<I> && y.v == static_cast<I>(-1)) return {0};
  return {static_cast<I>(x.v % y.v)};
}
template <class I>
bool rounds_down(One<I> rest, One<I> y) {
  return rest.v != 0 && (rest.v < 0) != (y.v < 0);
}
template <class I>
One<I> remainder(One<I> x, One<I> y) {
  const One<I> rest = fmod(x, y);
  return rounds_down(rest, y) ? rest + y : rest;
}
template <class I>
One<I> floor_divide(One<I> x, One<I> y) {
  const One<I> quotient = trunc_divide(x, y);
  return rounds_down(fmod(x, y), y) ? quotient - One<I>{1} : quotient;
}
// Negative exponents: of 1 and -1 exact, of others 0, as in PyTorch.
template <class I>
One<I> pow(One<I> x, One<I> y) {
  if (y.v < 0 && x.v != 1 && x.v != static_cast<I>(-1)) return {0};
  if (y.v < 0) return y.v % 2 ? x : One<I>{1};
  One<I> result{1};
  for (uint64_t n = wide(y); n > 0; n /= 2) {
    if (n % 2) result = result * x;
    x = x * x;
  }
  return result;
}

using enum RowTypes;
#define K(c) \
  V { static_cast<typename V::T>(c) }

template <Row row, class I>
void integer_map(int64_t n, const void* const* in, void* out, double attribute) {
  using V = One<I>;
  constexpr int inputs =
#define RV_UNARY(name, ...) row == Row::name ? 1:
#define RV_TEST(name, ...) row == Row::name ? 1:
#define RV_TERNARY(name, ...) row == Row::name ? 3:
#include "ops/elementwise.def"
      2;
  const auto* p = static_cast<const I*>(in[0]);
  const auto* q = static_cast<const I*>(in[inputs > 1 ? 1 : 0]);
  const auto* r = static_cast<const I*>(in[inputs > 2 ? 2 : 0]);
  [[maybe_unused]] const V a{convert<I>(attribute)};
  for (int64_t i = 0; i < n; ++i) {
    const V x{p[i]};
    [[maybe_unused]] const V y{q[i]}, w{r[i]};
#define RV_UNARY(name, doc, types, attr, f, ...) \
  if constexpr (row == Row::name && types != FLOATS) static_cast<I*>(out)[i] = (f).v;
#define RV_BINARY(name, doc, types, f, ...) \
  if constexpr (row == Row::name && types != FLOATS) static_cast<I*>(out)[i] = (f).v;
#define RV_TERNARY(name, doc, types, attr, second, third, f, ...) \
  if constexpr (row == Row::name && types != FLOATS) static_cast<I*>(out)[i] = (f).v;
#define RV_TEST(name, doc, f, ...) \
  if constexpr (row == Row::name) static_cast<bool*>(out)[i] = (f).v != 0;
#define RV_COMPARE(name, doc, f, ...) \
  if constexpr (row == Row::name) static_cast<bool*>(out)[i] = (f).v != 0;
#include "ops/elementwise.def"
  }
}

template <Row row, RowTypes types>
MapFn kernel_of(DType dtype) {
  if constexpr (types == FLOATS)
    return nullptr;
  else
    return visit(dtype, []<class I>(Tag<I>) -> MapFn {
      if constexpr (std::is_floating_point_v<I> || (types == NUMBERS && std::is_same_v<I, bool>))
        return nullptr;
      else
        return integer_map<row, I>;
    });
}

// ---- bits

enum class Bits : int {
#define RV_BITS(name, ...) name,
#include "ops/elementwise.def"
};

template <Bits bits, class I>
void bit_map(int64_t n, const void* const* in, void* out, double) {
  const auto* p = static_cast<const I*>(in[0]);
  const auto* q = static_cast<const I*>(in[1] ? in[1] : in[0]);
  for (int64_t i = 0; i < n; ++i) {
    const One<I> x{p[i]};
    [[maybe_unused]] const One<I> y{q[i]};
#define RV_BITS(name, doc, inputs, types, f, ...) \
  if constexpr (bits == Bits::name) static_cast<I*>(out)[i] = (f).v;
#include "ops/elementwise.def"
  }
}

template <Bits bits, RowTypes types>
void bit_forward(const ForwardArgs& args) {
  const MapFn f = visit(args.in[0].dtype(), []<class I>(Tag<I>) -> MapFn {
    if constexpr (std::is_floating_point_v<I> || (types == NUMBERS && std::is_same_v<I, bool>))
      return nullptr;
    else
      return bit_map<bits, I>;
  });
  if (!f) return;  // infer has refused it
  const Tensors in = args.out.empty() ? inputs_in_place(args) : args.in;
  map(f, 0, args.out.empty() ? args.in[0] : args.out[0], {in[0], in.size() > 1 ? in[1] : Tensor()});
}

template <RowTypes types>
Metas infer_bits(const InferArgs& args) {
  for (const Meta& m : args.in)
    if (is_floating(m.dtype) || (types == NUMBERS && m.dtype == DType::bool_))
      fail(ErrorKind::type, "[", args.op().name, "] expected integers",
           types == NUMBERS ? "" : " or bool", ", got ", name_of(m.dtype));
  if (args.op().outputs.empty()) return infer_in_place(args);
  Dims shape = args.in[0].shape;
  if (args.in.size() > 1) shape = broadcast(args, shape, args.in[1].shape);
  return {{shape, args.in[0].dtype}};
}

}  // namespace

MapFn integer_kernel(Row row, DType dtype) {
  using Find = MapFn (*)(DType);
  static constexpr Find rows[] = {
#define RV_UNARY(name, doc, types, ...) kernel_of<Row::name, types>,
#define RV_BINARY(name, doc, types, ...) kernel_of<Row::name, types>,
#define RV_TERNARY(name, doc, types, ...) kernel_of<Row::name, types>,
#define RV_TEST(name, ...) kernel_of<Row::name, ALL>,
#define RV_COMPARE(name, ...) kernel_of<Row::name, ALL>,
#define RV_LOSS(name, ...) kernel_of<Row::name, FLOATS>,
#include "ops/elementwise.def"
  };
  return rows[static_cast<int>(row)](dtype);
}
#undef K

void check_integers(const ForwardArgs& args, const Tensor& other) {
  if (is_floating(other.dtype())) return;
  const auto row = static_cast<Row>(args.op().row);
  const auto any = [&](auto wrong) {
    const Tensor values = packed(other);
    return visit(values.dtype(), [&]<class I>(Tag<I>) {
      const I* p = values.data<I>();
      return std::any_of(p, p + values.numel(), wrong);
    });
  };
  const bool divides = row == Row::fmod || row == Row::remainder || row == Row::floor_divide ||
                       row == Row::trunc_divide;
  if (divides && args.in[0].numel() > 0 && any([](auto v) { return v == 0; }))
    fail(
        ErrorKind::runtime, "[", args.op().name,
        "] expected divisors other than 0, got integers with a 0 (ZeroDivisionError); use float()");
  if (row == Row::pow && other.dim() == 0 &&
      any([](auto v) { return static_cast<int64_t>(v) < 0; }))
    fail(ErrorKind::runtime, "[", args.op().name,
         "] expected a whole exponent that is not negative for integers, got ", other.item_int(),
         "; call .float() on the base");
}

void declare_bits(Registry& r) {
#define RV_BITS(name_, doc_, count, kinds, f, text, latex)                      \
  {                                                                             \
    OpDef op{.name = #name_,                                                    \
             .doc = doc_,                                                       \
             .inputs = {"input", "other"},                                      \
             .types = Types::promote,                                           \
             .infer = infer_bits<kinds>,                                        \
             .forward = bit_forward<Bits::name_, kinds>,                        \
             .elementwise = true,                                               \
             .differentiable = false,                                           \
             .formula = {text, latex, {}},                                      \
             .example = "rv." #name_ "(rv.tensor([6, 3]), rv.tensor([2, 1]))",  \
             .method = true};                                                   \
    if (count == 1) {                                                           \
      op.inputs.pop_back();                                                     \
      op.example = "rv." #name_ "(rv.tensor([6, 3]))";                          \
    }                                                                           \
    declare_in_place(r, r.add(std::move(op)), bit_forward<Bits::name_, kinds>); \
  }
#include "ops/elementwise.def"
}

}  // namespace ranvier
