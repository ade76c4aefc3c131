// Whether numbers are close to one another, or among others.
#include <algorithm>
#include <cmath>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

Metas infer_isclose(const InferArgs& args) {
  const Meta &a = args.in[0], &b = args.in[1];
  if (a.dtype != b.dtype)
    fail(ErrorKind::type, "[", args.op().name, "] expected two tensors of one dtype, got ",
         name_of(a.dtype), " and ", name_of(b.dtype), "; convert one with .to(other.dtype)");
  for (int i = 0; i < 2; ++i)
    if (!(args.number(i) >= 0))
      fail(ErrorKind::value, "[", args.op().name, "] expected ", args.op().attrs[i].name,
           " >= 0, got ", args.number(i));
  return {{broadcast(args, a.shape, b.shape), DType::bool_}};
}

// Seen in a larger shape, axes of size 1 repeated, and packed.
Tensor widened(const Tensor& t, const Dims& shape) {
  Dims strides;
  const int extra = shape.size() - t.dim();
  for (int i = 0; i < shape.size(); ++i)
    strides.push_back(i < extra || t.shape()[i - extra] != shape[i] ? 0 : t.strides()[i - extra]);
  return packed(t.alias(shape, strides, t.impl()->offset));
}

void isclose_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const Tensor a = widened(args.in[0], out.shape()), b = widened(args.in[1], out.shape());
  const bool equal_nan = args.flag(2);
  bool* const close = out.data<bool>();
  visit(a.dtype(), [&]<class T>(Tag<T>) {
    // Floats are compared in their own precision, as in PyTorch; integers in float64.
    using Real = std::conditional_t<std::is_same_v<T, float>, float, double>;
    const auto rtol = static_cast<Real>(args.number(0)), atol = static_cast<Real>(args.number(1));
    const T *const x = a.data<T>(), *const y = b.data<T>();
    parallel_items(out.numel(), 4, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Real difference = std::abs(static_cast<Real>(x[i]) - static_cast<Real>(y[i]));
        const Real allowed = atol + std::abs(rtol * static_cast<Real>(y[i]));
        close[i] = x[i] == y[i] || (std::isfinite(difference) && difference <= allowed) ||
                   (equal_nan && x[i] != x[i] && y[i] != y[i]);
      }
    });
  });
}

// ---- isin. Attributes: assume_unique, invert.

void isin_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]), &out = args.out[0];
  const bool invert = args.flag(1);
  bool* const found = out.data<bool>();
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const Tensor among = Tensor::empty(args.in[1].shape(), x.dtype());
    copy(among, args.in[1]);
    T* const begin = among.data<T>();
    // NaN is in no set, and has no place in an order.
    T* const end = std::remove_if(begin, begin + among.numel(), [](T v) { return v != v; });
    std::sort(begin, end);
    const T* const values = x.data<T>();
    parallel_items(out.numel(), 16, kGrainCopied, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        found[i] = (values[i] == values[i] && std::binary_search(begin, end, values[i])) != invert;
    });
  });
}

void declare_isin(Registry& r) {
  r.add(
      {.name = "isin",
       .doc = "Whether elements are among those of another tensor; with invert, whether they "
              "are not. NaN is among none. assume_unique changes nothing.",
       .inputs = {"elements", "test_elements"},
       .attrs = {{.name = "assume_unique", .kind = AttrKind::flag, .value = false, .keyword = true},
                 {.name = "invert", .kind = AttrKind::flag, .value = false, .keyword = true}},
       .types = Types::promote,
       .infer = [](const InferArgs& args) -> Metas { return {{args.in[0].shape, DType::bool_}}; },
       .forward = isin_forward,
       .differentiable = false,
       .formula = {"x in y", R"(x \in \{y_i\})", {}},
       .example = "rv.isin(rv.tensor([1, 2, 3]), rv.tensor([2, 4]))",
       .method = true});
}

}  // namespace

void declare_comparisons(Registry& r) {
  declare_isin(r);
  r.add({.name = "isclose",
         .doc = "Whether |input - other| <= atol + rtol |other|, element by element. Equal "
                "infinities are close, NaN only to NaN and with equal_nan.",
         .inputs = {"input", "other"},
         .attrs = {{.name = "rtol", .kind = AttrKind::number, .value = 1e-5},
                   {.name = "atol", .kind = AttrKind::number, .value = 1e-8},
                   {.name = "equal_nan", .kind = AttrKind::flag, .value = false}},
         .infer = infer_isclose,
         .forward = isclose_forward,
         .differentiable = false,
         .formula = {"|x - y| <= atol + rtol |y|", R"(|x - y| \le a + r\,|y|)", {}},
         .example = "rv.isclose(rv.tensor([1.0, 2.0]), rv.tensor([1.0, 2.1]))",
         .method = true});
}

}  // namespace ranvier
