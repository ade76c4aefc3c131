// where: one of two tensors, element by element. It only moves elements, whatever they are.
// nan_to_num: numbers in place of what is none.
#include <limits>

#include "core/dtypes.h"
#include "ops/elementwise.h"
#include "ops/loops.h"

namespace ranvier {
namespace {

template <class T>
void pick(int64_t n, const void* const* in, void* out, double) {
  const auto* condition = static_cast<const bool*>(in[0]);
  const auto *x = static_cast<const T*>(in[1]), *y = static_cast<const T*>(in[2]);
  auto* z = static_cast<T*>(out);
  // Without a jump: conditions that no processor foresees would cost ten times as much.
  for (int64_t i = 0; i < n; ++i) {
    const T other = y[i], differs = x[i] ^ other;
    z[i] = static_cast<T>(other ^ (differs & static_cast<T>(-static_cast<T>(condition[i]))));
  }
}

}  // namespace

MapFn picks(DType dtype) {
  MapFn kernel = nullptr;
  visit_size(size_of(dtype), [&]<class T>(Tag<T>) { kernel = pick<T>; });
  return kernel;
}

namespace {

void where_forward(const ForwardArgs& args) {
  map(picks(args.out[0].dtype()), 0, args.out[0], {args.in[0], args.in[1], args.in[2]});
}

Sweep where_sweep(const ForwardArgs& args) {
  return {.operands = {args.out[0], args.in[0], args.in[1], args.in[2]},
          .map = picks(args.out[0].dtype())};
}

Metas infer_where(const InferArgs& args) {
  if (args.in[0].dtype != DType::bool_)
    fail(ErrorKind::type, "[where] expected a condition of dtype bool, got ",
         name_of(args.in[0].dtype), "; compare it with something, or call .bool()");
  const Dims both = broadcast(args, args.in[1].shape, args.in[2].shape);
  return {{broadcast(args, args.in[0].shape, both), args.in[1].dtype}};
}

Tensors where_backward(const BackwardArgs& args) {
  static const Op where("where");
  const Tensor &condition = args.in[0], &g = args.grad[0], zero = scalar(0, g.dtype());
  Tensors grads(3);
  if (args.needs[1]) grads[1] = reduce_to(where({condition, g, zero}), args.in_meta[1].shape);
  if (args.needs[2]) grads[2] = reduce_to(where({condition, zero, g}), args.in_meta[2].shape);
  return grads;
}

// ---- nan_to_num. Attributes: nan, posinf, neginf.

double largest(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return 65504.0;
    case DType::bfloat16:
      return 0x1.FEp127;
    case DType::float32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

Tensors nan_to_num(const Tensors& in, const AttrReader& args) {
  static const Op where("where"), isnan("isnan"), isposinf("isposinf"), isneginf("isneginf");
  const Tensor& x = in[0];
  if (!is_floating(x.dtype())) return {clone(x)};
  const double most = largest(x.dtype());
  const auto number = [&](int i, double otherwise) {
    return scalar(args.given(i) ? args.number(i) : otherwise, x.dtype());
  };
  Tensor y = where({isnan({x}), number(0, 0), x});
  y = where({isposinf({x}), number(1, most), y});
  return {where({isneginf({x}), number(2, -most), y})};
}

Tensors nan_to_num_in_place(const Tensors& in, const AttrReader& args) {
  call("copy_", {in[0], nan_to_num(in, args)[0]});
  return {};
}

void declare_nan_to_num(Registry& r) {
  const auto number = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::number, .value = {}, .optional = true};
  };
  OpDef op{.name = "nan_to_num",
           .doc =
               "Numbers in place of NaN (0), inf and -inf (the largest and the smallest of the "
               "dtype), unless others are given. Integers are copied.",
           .inputs = {"input"},
           .attrs = {number("nan"), number("posinf"), number("neginf")},
           .composite = nan_to_num,
           .formula = {"x where it is a number",
                       R"(x [x \in \mathbb R])",
                       {{"x", "1 where x is a number, else 0", R"([x \in \mathbb R])"}}},
           .example = "rv.nan_to_num(rv.tensor([1.0, float('nan'), float('inf')]), posinf=9.0)",
           .method = true};
  OpDef changing = op;
  r.add(std::move(op));
  changing.name = "nan_to_num_";
  changing.doc += " In place.";
  changing.outputs = {};
  changing.composite = nan_to_num_in_place;
  changing.mutates = {"input"};
  changing.differentiable = false;
  changing.formula.derivatives.clear();
  changing.example = "rv.nan_to_num_(rv.tensor([1.0, float('nan')]))";
  changing.in_place_of = "nan_to_num";
  r.add(std::move(changing));
}

}  // namespace

void declare_where(Registry& r) {
  r.add(
      {.name = "where",
       .doc = "Elements of input where the condition is true, of other elsewhere.",
       .inputs = {"condition", "input", "other"},
       .types = Types::promote_rest,
       .moves = true,
       .infer = infer_where,
       .forward = where_forward,
       .sweep = where_sweep,
       .backward = where_backward,
       .saves = {"condition"},
       .formula = {"x if c else y",
                   R"(\begin{cases}x & c\\ y & \text{else}\end{cases})",
                   {{"input", "1 if c else 0", "[c]"}, {"other", "0 if c else 1", R"([\lnot c])"}}},
       .example = "rv.where(rv.tensor([True, False]), rv.tensor([1.0, 2.0]), 0.0)",
       .fronted = true});
  declare_nan_to_num(r);
}

}  // namespace ranvier
