// Losses of an output and its target, element by element: the rows RV_LOSS of elementwise.def,
// each with its reduction as one op, forward and backward.
#include <array>

#include "core/dtypes.h"
#include "ops/elementwise.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/loss.h"
#include "ops/reduce.h"

namespace ranvier {
namespace {

Row row_of(const AttrReader& args) { return static_cast<Row>(args.op().row); }

// Whether the outputs of a row are summed first, so that the reduction is over rows.
bool by_rows(const AttrReader& args) { return row_of(args) == Row::half_squared_error; }

// Shape of what is reduced.
Dims shape_of_each(const AttrReader& args, const Dims& shape) {
  return by_rows(args) && !shape.empty() ? Dims{shape[0]} : shape;
}

std::vector<int64_t> axes_after_first(int dims) {
  std::vector<int64_t> axes;
  for (int i = 1; i < dims; ++i) axes.push_back(i);
  return axes;
}

// A logarithm of what is no probability is NaN: only then is the culprit looked for.
void check_probabilities(const ForwardArgs& args) {
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    if (kernels<T>().all_finite(args.out[0].numel(), args.out[0].data<T>())) return;
    const Tensor input = packed(args.in[0]);
    for (int64_t i = 0; i < input.numel(); ++i) {
      const T p = input.data<T>()[i];
      if (p < 0 || p > 1)
        fail(ErrorKind::value, "[", args.op().name, "] expected probabilities from 0 to 1 for ",
             "'input', got ", p, "; apply sigmoid, or use binary_cross_entropy_with_logits");
    }
  });
}

Metas infer_loss(const InferArgs& args) {
  const Dims& shape = args.in[0].shape;
  check_target_shape(args, shape, args.in[1].shape);
  return {{reduced_shape(args, shape_of_each(args, shape)), args.in[0].dtype}};
}

void loss_forward(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &out = args.out[0];
  const MapFn f = kernel_table().forward[args.op().row][static_cast<int>(x.dtype())];
  const bool direct = reduction_of(args) == Reduction::none && !by_rows(args);
  Tensor each = direct ? out : Tensor::empty(x.shape(), x.dtype());
  map(f, attribute_of(args), each, {x, args.in[1]});
  if (by_rows(args) && x.dim() > 1) {
    const OpDef& sum = *registry().find("sum");
    const Tensors in = {each}, rows = {Tensor::empty({x.shape()[0]}, x.dtype())};
    sum.forward(ForwardArgs(sum, {axes_after_first(x.dim()), false}, in, rows));
    each = rows[0];
  }
  if (!direct) reduce_loss(args, each, out);
  if (row_of(args) == Row::binary_cross_entropy) check_probabilities(args);
}

// Whether a loss of few values is one call of its row and one sum.
bool is_one_call(const ForwardArgs& args, const Tensor& x, const Tensor& target) {
  const bool plain = x.is_contiguous() && target.is_contiguous() && !is_half(x.dtype());
  return plain && x.numel() > 0 && x.numel() <= kSumBlock && !by_rows(args) &&
         reduction_of(args) != Reduction::none;
}

// The values of each element in memory of its own, then their sum: of more than one block.
template <class T>
Prepared summed(const ForwardArgs& args, MapFn f) {
  const Tensor& x = args.in[0];
  const Tensor each = Tensor::empty(x.shape(), x.dtype());
  const AxisSplit all({x.numel()}, 0);
  const T n = reduction_of(args) == Reduction::mean ? static_cast<T>(x.numel()) : T(1);
  return [each, all, n, out = args.out[0].data<T>(),
          fill = prepared_map(f, attribute_of(args), each, {x, args.in[1]})] {
    fill();
    sum_split(each.data<T>(), all, out);
    *out /= n;
  };
}

Prepared values_prepare(const ForwardArgs& args) {
  constexpr int64_t kMost = 1 << 16;  // more memory is not kept
  const Tensor &x = args.in[0], &target = args.in[1], &out = args.out[0];
  if (is_half(x.dtype()) || by_rows(args)) return {};
  const MapFn f = kernel_table().forward[args.op().row][static_cast<int>(x.dtype())];
  if (reduction_of(args) == Reduction::none)
    return prepared_map(f, attribute_of(args), out, {x, target});
  Prepared call;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    if (!is_one_call(args, x, target)) {
      if (x.numel() > 0 && x.numel() <= kMost) call = summed<T>(args, f);
      return;
    }
    const auto n = static_cast<size_t>(x.numel());
    const T divisor = reduction_of(args) == Reduction::mean ? static_cast<T>(n) : T(1);
    call = [f, divisor, attribute = attribute_of(args), in = std::array{x.raw(), target.raw()},
            each = std::vector<T>(n), to = out.data<T>()]() mutable {
      const void* const from[] = {in[0], in[1]};
      const auto count = static_cast<int64_t>(each.size());
      f(count, from, each.data(), attribute);
      *to = kernels<T>().sum(count, each.data()) / divisor;
    };
  });
  return call;
}

Prepared loss_prepare(const ForwardArgs& args) {
  Prepared call = values_prepare(args);
  if (!call || row_of(args) != Row::binary_cross_entropy) return call;
  return [args, call] {
    call();
    check_probabilities(args);
  };
}

Tensors loss_composite(const Tensors& in, const AttrReader& args) {
  static const Op sum("sum");
  Tensor each = loss_graph(row_of(args), in, args);
  if (by_rows(args) && each.dim() > 1) each = sum({each}, {axes_after_first(each.dim()), false});
  return {reduce_loss(args, each)};
}

Tensors loss_backward(const BackwardArgs& args) {
  Tensors grads(2);
  for (size_t i = 0; i < 2; ++i)
    if (args.needs[i])
      grads[i] = call(args.op().name + (i == 0 ? "_backward_input" : "_backward_target"),
                      {args.grad[0], args.in[0], args.in[1]}, args.all())[0];
  return grads;
}

// ---- "<name>_backward_input" and "..._target": of grad, input and target

Metas infer_slope(const InferArgs& args) {
  const Dims& shape = args.in[1].shape;
  check_target_shape(args, shape, args.in[2].shape);
  if (!(args.in[0].shape == reduced_shape(args, shape_of_each(args, shape))))
    args.mismatch("'grad' in the shape of the loss");
  return {args.in[1]};
}

// How many values the mean is taken of; 1 where there is none.
double divisor(const AttrReader& args, const Dims& shape) {
  if (reduction_of(args) != Reduction::mean) return 1;
  return static_cast<double>(count(shape_of_each(args, shape)));
}

// The shape in which the gradient of each value broadcasts to the input.
Dims shape_of_gradient(const Dims& g, const Dims& input) {
  Dims shape = g;
  while (!shape.empty() && shape.size() < input.size()) shape.push_back(1);
  return shape;
}

template <bool First>
void slope_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[1];
  Tensor g = packed(args.in[0]);
  const Dims shape = shape_of_gradient(g.shape(), x.shape());
  if (!(shape == g.shape())) g = g.alias(shape, contiguous_strides(shape), g.impl()->offset);
  const double n = divisor(args, x.shape());
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    if (n != 1) g = scalar(static_cast<double>(*g.data<T>() / static_cast<T>(n)), x.dtype());
  });
  const KernelTable& table = kernel_table();
  const auto& rows = First ? table.backward_x : table.backward_y;
  const MapFn f = rows[args.op().row][static_cast<int>(x.dtype())];
  map(f, attribute_of(args), args.out[0], {g, x, args.in[2], Tensor()});
}

// A gradient that is one number for few values: it is spread, and the kernel called once.
Prepared one_slope(const ForwardArgs& args, MapFn f, double divisor) {
  const Tensor &g = args.in[0], &x = args.in[1], &target = args.in[2], &out = args.out[0];
  Prepared call;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    call = [f, count = static_cast<T>(divisor), attribute = attribute_of(args),
            in = std::array{x.raw(), target.raw()}, one = g.data<T>(),
            each = std::vector<T>(static_cast<size_t>(x.numel())), to = out.raw()]() mutable {
      std::fill(each.begin(), each.end(), *one / count);
      const void* const from[] = {each.data(), in[0], in[1], nullptr};
      f(static_cast<int64_t>(each.size()), from, to, attribute);
    };
  });
  return call;
}

template <bool First>
Prepared slope_prepare(const ForwardArgs& args) {
  const Tensor &x = args.in[1], &target = args.in[2], &out = args.out[0];
  if (is_half(x.dtype()) || !args.in[0].is_contiguous()) return {};
  const Dims shape = shape_of_gradient(args.in[0].shape(), x.shape());
  const Tensor given =
      args.in[0].alias(shape, contiguous_strides(shape), args.in[0].impl()->offset);
  const double n = divisor(args, x.shape());
  const Tensor g = n == 1 ? given : Tensor::empty({}, x.dtype());
  const KernelTable& table = kernel_table();
  const auto& rows = First ? table.backward_x : table.backward_y;
  const MapFn f = rows[args.op().row][static_cast<int>(x.dtype())];
  if (is_one_call(args, x, target) && out.is_contiguous()) return one_slope(args, f, n);
  Prepared call = prepared_map(f, attribute_of(args), out, {g, x, target, Tensor()});
  if (n == 1) return [given, call] { call(); };
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    call = [g, one = given.data<T>(), count = static_cast<T>(n), each = call] {
      *g.data<T>() = *one / count;
      each();
    };
  });
  return call;
}

template <bool First>
Tensors slope_by_ops(const Tensors& in, const AttrReader& args) {
  static const Op reshape("reshape"), expand("expand");
  const Dims &x = in[1].shape(), shape = shape_of_gradient(in[0].shape(), x);
  const double n = divisor(args, x);
  Tensor g = n == 1 ? in[0] : in[0] / n;
  if (!(shape == g.shape())) g = reshape({g}, {std::vector<int64_t>(shape.begin(), shape.end())});
  g = expand({g}, {std::vector<int64_t>(x.begin(), x.end())});
  return slope_composite(row_of(args), First)({g, in[1], in[2], Tensor()}, args);
}

template <bool First>
void declare_slope(Registry& r, const OpDef& op) {
  const Derivative& slope = op.formula.derivatives[First ? 0 : 1];
  r.add({.name = op.name + (First ? "_backward_input" : "_backward_target"),
         .doc = "Gradient of " + op.name + " with respect to '" + op.inputs[First ? 0 : 1] + "'.",
         .inputs = {"grad", "input", "target"},
         .attrs = op.attrs,
         .types = Types::floats,
         .infer = infer_slope,
         .forward = slope_forward<First>,
         .prepare = slope_prepare<First>,
         .composite = slope_by_ops<First>,
         .saves = {"grad", "input", "target"},
         .formula = {"g (" + slope.text + ")", "g\\,(" + slope.latex + ")", {}},
         .formula_for = slope_formula,
         .gradient_of = op.name,
         .row = op.row});
}

void declare_loss(Registry& r, OpDef op) {
  op.inputs = {"input", "target"};
  op.attrs.push_back(reduction_attr());
  op.types = Types::promote_floats;
  op.infer = infer_loss;
  op.forward = loss_forward;
  op.prepare = loss_prepare;
  op.backward = loss_backward;
  op.composite = loss_composite;
  op.saves = {"input", "target"};
  op.formula.text += ", then the reduction";
  op.formula_for = reduced_formula;
  op.example = "rv." + op.name + "(rv.tensor([0.2, 0.5]), rv.tensor([0.1, 0.8]))";
  const OpDef& added = r.add(std::move(op));
  declare_slope<true>(r, added);
  declare_slope<false>(r, added);
}

}  // namespace

void declare_losses(Registry& r) {
#define NO_ATTR \
  {             \
  }
#define ATTR(name, value)                     \
  {                                           \
    AttrDef { name, AttrKind::number, value } \
  }
#define RV_LOSS(row_name, text, attr, f, formula_text, latex_text, dx, dxt, dxl, dy, dyt, dyl) \
  {                                                                                            \
    OpDef op{.name = #row_name, .doc = text};                                                  \
    op.attrs = attr;                                                                           \
    op.formula = {formula_text, latex_text, {{"x", dxt, dxl}, {"t", dyt, dyl}}};               \
    op.row = static_cast<int>(Row::row_name);                                                  \
    declare_loss(r, std::move(op));                                                            \
  }
#include "ops/elementwise.def"
#undef NO_ATTR
#undef ATTR
}

}  // namespace ranvier
