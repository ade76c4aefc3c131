// Products along axes. The product is folded in float64; its gradient comes from the composite, a
// tree of multiplications without any division, and is right with zeros in the input.
#include "ops/reduce.h"

namespace ranvier {
namespace {

struct WholeProduct {
  uint64_t product = 1;  // an overflow wraps around instead of being undefined
  template <class T>
  void take(T value, int64_t) {
    product *= static_cast<uint64_t>(value);
  }
  void join(const WholeProduct& later) { product *= later.product; }
};

struct FloatProduct {
  double product = 1;
  template <class T>
  void take(T value, int64_t) {
    product *= static_cast<double>(value);
  }
  void join(const FloatProduct& later) { product *= later.product; }
};

void prod_forward(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &out = args.out[0];
  AxisSplit split({}, 0);
  const Tensor from = gathered(x, axes_of(args, x.dim()), &split);
  if (is_floating(x.dtype()))
    return visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
      T* const y = out.data<T>();
      fold(from.data<T>(), split, FloatProduct(),
           [&](int64_t i, const FloatProduct& p) { y[i] = static_cast<T>(p.product); });
    });
  const Tensor wide = out.dtype() == DType::int64 ? out : Tensor::empty(out.shape(), DType::int64);
  int64_t* const y = wide.data<int64_t>();
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    fold(from.data<T>(), split, WholeProduct(),
         [&](int64_t i, const WholeProduct& p) { y[i] = static_cast<int64_t>(p.product); });
  });
  if (!wide.same(out)) copy(out, wide);
}

// Halves are multiplied with one another until one slice is left.
Tensor product_tree(Tensor x, int axis) {
  static const Op slice("slice");
  Tensor odd;
  for (int64_t n = x.shape()[axis]; n > 1; n /= 2) {
    const auto part = [&](int64_t begin, int64_t end) {
      return slice({x}, {int64_t{axis}, begin, end, int64_t{1}});
    };
    if (n % 2) {
      const Tensor last = part(n - 1, n);
      odd = odd.defined() ? odd * last : last;
    }
    x = part(0, n / 2) * part(n / 2, n / 2 * 2);
  }
  return odd.defined() ? x * odd : x;
}

Tensors prod_composite(const Tensors& in, const AttrReader& args) {
  static const Op permute("permute"), reshape("reshape"), sum("sum");
  const Dims& shape = in[0].shape();
  const std::vector<int> axes = axes_of(args, in[0].dim());
  const Dims left = reduced(shape, axes, false);
  std::vector<int64_t> order;
  for (int i = 0; i < shape.size(); ++i)
    if (!std::binary_search(axes.begin(), axes.end(), i)) order.push_back(i);
  order.insert(order.end(), axes.begin(), axes.end());
  std::vector<int64_t> flat = list(left);
  flat.push_back(count_along(shape, axes));
  Tensor x = reshape({permute({in[0]}, {order})}, {flat});
  if (!is_floating(x.dtype()) && !args.given(2)) x = as(x, DType::int64);
  if (flat.back() == 0)  // a product of nothing: sums of nothing, plus 1
    x = sum({x}, {std::vector<int64_t>{left.size()}, true}) + scalar(1, x.dtype());
  return {reshape({product_tree(x, left.size())}, {list(reduced(shape, axes, args.flag(1)))})};
}

}  // namespace

void declare_products(Registry& r) {
  r.add({.name = "prod",
         .doc = "Product over the given axes, or over all; 1 over no elements. Integers and "
                "booleans multiply to int64.",
         .inputs = {"input"},
         .attrs = {axes_attr(), keepdim_attr(), dtype_attr()},
         .casts = true,
         .infer = [](const InferArgs& args) -> Metas {
           const Meta& x = args.in[0];
           const DType dtype = args.given(2)          ? static_cast<DType>(args.integer(2))
                               : is_floating(x.dtype) ? x.dtype
                                                      : DType::int64;
           return {{reduced(x.shape, axes_of(args, x.shape.size()), args.flag(1)), dtype}};
         },
         .forward = prod_forward,
         .composite = prod_composite,
         .saves = {"input"},
         .formula = {"product of x",
                     R"(\prod_i x_i)",
                     {{"x", "product of the others", R"(\prod_{j \ne i} x_j)"}}},
         .example = "rv.prod(rv.tensor([2.0, 3.0, 4.0]))",
         .method = true});
}

}  // namespace ranvier
