// One value, or values in a row, where a mask or an index says so.
#include "core/dtypes.h"
#include "ops/elementwise.h"
#include "ops/families.h"
#include "ops/indices.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

Tensor in_type(const Tensor& t, DType dtype) {
  static const Op cast("cast");
  return t.dtype() == dtype ? t : cast({t}, {static_cast<int64_t>(dtype)});
}

Tensor inverted(const Tensor& mask) {
  static const Op eq("eq");
  return eq({mask, scalar(0, DType::bool_)});
}

Tensor filled_with_zero(const Tensor& g, const Tensor& mask) {
  static const Op fill("masked_fill");
  return fill({g, mask, scalar(0, g.dtype())});
}

void expect_single(const InferArgs& args, size_t i) {
  if (!args.in[i].shape.empty())
    args.mismatch("a number or a tensor without dimensions for '" + args.op().inputs[i] + "'");
}

Dims masked_shape(const InferArgs& args) {
  if (args.in[1].dtype != DType::bool_)
    fail(ErrorKind::type, "[", args.op().name, "] expected a bool 'mask', got ",
         name_of(args.in[1].dtype), "; call .bool() on it");
  return broadcast(args, args.in[0].shape, args.in[1].shape);
}

// ---- masked_fill

Dims masked_fill_shape(const InferArgs& args) {
  expect_single(args, 2);
  return masked_shape(args);
}

void fill_into(const ForwardArgs& args, const Tensor& to) {
  const Tensor value = value_as(args, args.in[2], to.dtype());
  map(picks(to.dtype()), 0, to, {apart(args.in[1], to), value, args.in[0]});
}

Sweep sweep_into(const ForwardArgs& args, const Tensor& to) {
  const Tensor &mask = args.in[1], &value = args.in[2];
  if (value.dtype() != to.dtype() || !is_apart(mask, to) || !is_apart(value, to)) return {};
  return {.operands = {to, mask, value, args.in[0]}, .map = picks(to.dtype())};
}

Tensors masked_fill_back(const BackwardArgs& args) {
  static const Op sum("sum");
  Tensors grads(3);
  const Tensor &g = args.grad[0], &mask = args.in[1];
  if (args.needs[0]) grads[0] = reduce_to(filled_with_zero(g, mask), args.in_meta[0].shape);
  if (args.needs[2])
    grads[2] = in_type(sum({filled_with_zero(g, inverted(mask))}), args.in_meta[2].dtype);
  return grads;
}

// ---- index_fill

Dims index_fill_shape(const InferArgs& args) {
  expect_integers(args, 1);
  expect_single(args, 2);
  normal_axis(args.op().name.c_str(), args.integer(0), args.in[0].shape.size());
  if (args.in[1].shape.size() > 1) args.mismatch("an index with one axis");
  return args.in[0].shape;
}

void index_fill_change(const ForwardArgs& args, const Tensor& target) {
  const int axis = normal_axis(args.op().name.c_str(), args.integer(0), target.dim());
  const AxisSplit s(target.dim() == 0 ? Dims{1} : target.shape(), axis);
  const Tensor index = positions(args, packed_apart(args.in[1], target), axis, s.size, true);
  const Tensor value = value_as(args, args.in[2], target.dtype());
  const int64_t n = index.numel();
  visit_size(size_of(target.dtype()), [&]<class T>(Tag<T>) {
    const T v = *value.data<T>();
    for (int64_t i = 0; i < s.outer * n; ++i)
      std::fill_n(target.data<T>() + (i / n * s.size + index.data<int64_t>()[i % n]) * s.inner,
                  s.inner, v);
  });
}

// True along the axis where the index names a position.
Tensor named_positions(const BackwardArgs& args) {
  static const Op expand("expand"), fill("index_fill"), reshape("reshape");
  const Dims& shape = args.in_meta[0].shape;
  const int axis = normal_axis("index_fill", args.integer(0), shape.size());
  std::vector<int64_t> kept(static_cast<size_t>(shape.size()), 1);
  const int64_t size = shape.empty() ? 1 : shape[axis];
  if (!shape.empty()) kept[static_cast<size_t>(axis)] = size;
  const Tensor none = expand({scalar(0, DType::bool_)}, {std::vector<int64_t>{size}});
  return reshape({fill({none, args.in[1], scalar(1, DType::bool_)}, {int64_t{0}})}, {kept});
}

Tensors index_fill_back(const BackwardArgs& args) {
  static const Op sum("sum");
  Tensors grads(3);
  const Tensor &g = args.grad[0], named = named_positions(args);
  if (args.needs[0]) grads[0] = filled_with_zero(g, named);
  if (args.needs[2])
    grads[2] = in_type(sum({filled_with_zero(g, inverted(named))}), args.in_meta[2].dtype);
  return grads;
}

// ---- masked_scatter: elements of a source one after another

Dims masked_scatter_shape(const InferArgs& args) {
  if (args.in[2].dtype != args.in[0].dtype)
    fail(ErrorKind::type, "[", args.op().name, "] expected ", name_of(args.in[0].dtype),
         " for 'source' as for 'input', got ", name_of(args.in[2].dtype));
  return masked_shape(args);
}

Tensor spread_mask(const Tensor& mask, const Tensor& over) {
  if (mask.shape() == over.shape()) return packed(mask);
  const Tensor wide = Tensor::empty(over.shape(), DType::bool_);
  copy(wide, mask);
  return wide;
}

void masked_scatter_change(const ForwardArgs& args, const Tensor& target) {
  const Tensor mask = spread_mask(packed_apart(args.in[1], target), target);
  const Tensor source = packed_apart(args.in[2], target);
  const bool* const m = mask.data<bool>();
  const int64_t wanted = std::count(m, m + mask.numel(), true);
  if (wanted > source.numel())
    fail(ErrorKind::shape, "[", args.op().name, "] expected a source with at least ", wanted,
         " elements, one for each that the mask names, got shape ", to_string(source.shape()));
  visit_size(size_of(target.dtype()), [&]<class T>(Tag<T>) {
    const T* from = source.data<T>();
    T* const to = target.data<T>();
    for (int64_t i = 0; i < target.numel(); ++i)
      if (m[i]) to[i] = *from++;
  });
}

Metas infer_masked_scatter_backward(const InferArgs& args) {
  if (!(broadcast(args, args.in[0].shape, args.in[1].shape) == args.in[0].shape))
    args.mismatch("a mask that broadcasts to the gradient");
  if (args.in[1].dtype != DType::bool_) args.mismatch("a bool mask");
  return {{args.dims(0), args.in[0].dtype}};
}

void masked_scatter_backward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]), mask = spread_mask(args.in[1], g);
  const Tensor& out = args.out[0];
  const bool* const m = mask.data<bool>();
  visit_size(size_of(g.dtype()), [&]<class T>(Tag<T>) {
    T* const to = out.data<T>();
    std::fill_n(to, out.numel(), T(0));
    int64_t at = 0;
    for (int64_t i = 0; i < g.numel() && at < out.numel(); ++i)
      if (m[i]) to[at++] = g.data<T>()[i];
  });
}

Tensors masked_scatter_back(const BackwardArgs& args) {
  Tensors grads(3);
  const Tensor &g = args.grad[0], &mask = args.in[1];
  if (args.needs[0]) grads[0] = reduce_to(filled_with_zero(g, mask), args.in_meta[0].shape);
  if (args.needs[2])
    grads[2] = call("masked_scatter_backward", {g, mask}, {list(args.in_meta[2].shape)})[0];
  return grads;
}

void declare_masked_fill(Registry& r) {
  OpDef op = {.name = "masked_fill",
              .doc = "The input with one value wherever a mask is true.",
              .inputs = {"input", "mask", "value"},
              .moves = true,
              .backward = masked_fill_back,
              .saves = {"mask"},
              .formula = {"v where the mask is true, x elsewhere",
                          R"(v [m] + x [\neg m])",
                          {{"x", "g where the mask is false", R"(g [\neg m])"},
                           {"v", "sum of g where the mask is true", R"(\sum g [m])"}}},
              .example = "rv.masked_fill(rv.zeros(2), rv.tensor([True, False]), 7.0)",
              .method = true};
  OpDef form = in_place_form(op, infer_change_in_place<masked_fill_shape>,
                             [](const ForwardArgs& args) { fill_into(args, args.in[0]); });
  form.sweep = [](const ForwardArgs& args) { return sweep_into(args, args.in[0]); };
  op.infer = infer_change<masked_fill_shape>;
  op.forward = [](const ForwardArgs& args) { fill_into(args, args.out[0]); };
  op.sweep = [](const ForwardArgs& args) { return sweep_into(args, args.out[0]); };
  r.add(std::move(op));
  r.add(std::move(form));
}

void declare_masked_scatter(Registry& r) {
  declare_change<masked_scatter_shape, masked_scatter_change>(
      r, {.name = "masked_scatter",
          .doc = "The input with the elements of a source, one after another, wherever a mask is "
                 "true.",
          .inputs = {"input", "mask", "source"},
          .moves = true,
          .backward = masked_scatter_back,
          .saves = {"mask"},
          .formula = {"the next of y where the mask is true, x elsewhere",
                      R"(y_k [m] + x [\neg m])",
                      {{"x", "g where the mask is false", R"(g [\neg m])"},
                       {"y", "g where the mask is true, in order", "g_{(k)}"}}},
          .example = "rv.masked_scatter(rv.zeros(2), rv.tensor([False, True]), rv.ones(1))"});
  r.add({.name = "masked_scatter_backward",
         .doc = "Gradient of masked_scatter's source: what the mask names, in a row.",
         .inputs = {"grad", "mask"},
         .attrs = {{.name = "shape", .kind = AttrKind::integers, .value = {}, .required = true}},
         .moves = true,
         .infer = infer_masked_scatter_backward,
         .forward = masked_scatter_backward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           static const Op expand("expand"), scatter("masked_scatter");
           const Meta& g = args.in_meta[0];
           const Tensor none = expand({scalar(0, g.dtype)}, {list(g.shape)});
           return {scatter({none, args.in[1], args.grad[0]}), Tensor()};
         },
         .saves = {"mask"},
         .formula = {"g where the mask is true", "g_{(k)}", {}},
         .gradient_of = "masked_scatter"});
}

}  // namespace

void declare_fills(Registry& r) {
  declare_masked_fill(r);
  declare_masked_scatter(r);
  declare_change<index_fill_shape, index_fill_change>(
      r, {.name = "index_fill",
          .doc = "The input with one value in the slices that an integer vector names along an "
                 "axis.",
          .inputs = {"input", "index", "value"},
          .attrs = {{.name = "dim", .kind = AttrKind::integer, .value = {}, .required = true}},
          .arguments = {"input", "dim", "index", "value"},
          .moves = true,
          .backward = index_fill_back,
          .saves = {"index"},
          .formula = {"v at the index, x elsewhere",
                      R"(v [j \in t] + x_j [j \notin t])",
                      {{"x", "g, 0 at the index", R"(g_j [j \notin t])"},
                       {"v", "sum of g at the index", R"(\sum g_j [j \in t])"}}},
          .example = "rv.index_fill(rv.zeros(3), 0, rv.tensor([0, 2]), 1.0)"});
}

}  // namespace ranvier
