// where: one of two tensors, element by element. It only moves elements, whatever they are.
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
  for (int64_t i = 0; i < n; ++i) z[i] = condition[i] ? x[i] : y[i];
}

void where_forward(const ForwardArgs& args) {
  visit_size(size_of(args.out[0].dtype()), [&]<class T>(Tag<T>) {
    map(pick<T>, 0, args.out[0], {args.in[0], args.in[1], args.in[2]});
  });
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
       .backward = where_backward,
       .saves = {"condition"},
       .formula = {"x if c else y",
                   R"(\begin{cases}x & c\\ y & \text{else}\end{cases})",
                   {{"input", "1 if c else 0", "[c]"}, {"other", "0 if c else 1", R"([\lnot c])"}}},
       .example = "rv.where(rv.tensor([True, False]), rv.tensor([1.0, 2.0]), 0.0)"});
}

}  // namespace ranvier
