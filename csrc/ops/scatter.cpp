// Writing, adding and reducing into positions that integer tensors name. Where an index comes
// twice, the order is that of the index: the last one is written, and sums have one order.
#include <cmath>
#include <limits>

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/indices.h"

namespace ranvier {

OpDef in_place_form(OpDef op, Metas (*infer)(const InferArgs&),
                    void (*forward)(const ForwardArgs&)) {
  op.example.insert(op.example.find(op.name + "(") + op.name.size(), "_");
  op.in_place_of = op.name;
  op.name += "_";
  op.doc.insert(0, "In place: ");
  op.infer = infer;
  op.forward = forward;
  op.backward = nullptr;
  op.composite = nullptr;
  op.saves = {};
  op.saves_results = nullptr;
  op.mutates = {op.inputs[0]};
  op.differentiable = false;
  op.formula.derivatives = {};
  return op;
}

Tensor value_as(const AttrReader& args, const Tensor& value, DType dtype) {
  const Tensor result = Tensor::empty({}, dtype);
  visit_all(dtype, [&]<class T>(Tag<T>) {
    const auto take = [&](auto v, auto whole) {
      const T t = convert<T>(v);
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        if (static_cast<decltype(v)>(t) != whole || (std::is_unsigned_v<T> && whole < 0))
          fail(ErrorKind::value, "[", args.op().name, "] expected a value that fits into ",
               name_of(dtype), ", got ", v);
      *result.data<T>() = t;
    };
    if (is_floating(value.dtype()))
      take(value.item(), std::trunc(value.item()));
    else
      take(value.item_int(), value.item_int());
  });
  return result;
}

namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

void expect_same_type(const InferArgs& args, size_t i) {
  if (args.in[i].dtype != args.in[0].dtype)
    fail(ErrorKind::type, "[", args.op().name, "] expected ", name_of(args.in[0].dtype), " for '",
         args.op().inputs[i], "' as for '", args.op().inputs[0], "', got ",
         name_of(args.in[i].dtype), "; call .to(", name_of(args.in[0].dtype), ") on it");
}

int axis_of(const AttrReader& args, const Dims& shape) {
  return normal_axis(args.op().name.c_str(), args.integer(0), shape.size());
}
int64_t size_along(const Dims& shape, int axis) { return shape.empty() ? 1 : shape[axis]; }

// ---- scatter: one place for every element of the index

// The index has no more positions than the source, nor than the input off the chosen axis.
Dims scatter_shape(const InferArgs& args) {
  expect_integers(args, 1);
  const Dims &x = args.in[0].shape, &index = args.in[1].shape;
  const int axis = axis_of(args, x);
  if (count(index) == 0) return x;
  bool fits = std::max(x.size(), 1) == std::max(index.size(), 1);
  for (int i = 0; fits && i < std::min(x.size(), index.size()); ++i)
    fits = i == axis || index[i] <= x[i];
  if (!fits) args.mismatch("an index no larger than the input on every axis but the chosen one");
  return x;
}

Dims scatter_shape_with_source(const InferArgs& args) {
  const Dims shape = scatter_shape(args);
  expect_same_type(args, 2);
  const Dims &index = args.in[1].shape, &src = args.in[2].shape;
  bool fits = std::max(src.size(), 1) == std::max(index.size(), 1) || count(index) == 0;
  for (int i = 0; fits && count(index) > 0 && i < std::min(src.size(), index.size()); ++i)
    fits = index[i] <= src[i];
  if (!fits) args.mismatch("a source at least as large as the index on every axis");
  return shape;
}

// A value for all positions may come in another dtype, as a Python number does.
Dims scatter_shape_with_value(const InferArgs& args) {
  const bool has_source = args.given_inputs[2], has_value = args.given(1);
  if (has_source == has_value)
    fail(ErrorKind::type, "[", args.op().name, "] expected either 'src' or 'value', got ",
         has_source ? "both" : "none");
  if (args.given(2) && args.text(2) != "add" && args.text(2) != "multiply")
    fail(ErrorKind::value, "[", args.op().name,
         "] expected 'add' or 'multiply' for 'reduce', got '", args.text(2),
         "'; see scatter_reduce() for others");
  if (has_value || args.in[2].shape.empty()) return scatter_shape(args);
  return scatter_shape_with_source(args);
}

// What is written: an element for each of the index, or one value for all (step 0).
struct Source {
  Tensor values;
  int64_t step = 1;
};

Source source_for(const ForwardArgs& args, const Tensor& target, const Tensor& index) {
  const Tensor& src = args.in[2];
  if (!src.defined())
    return {value_as(args, Tensor::full({}, args.number(1), DType::float64), target.dtype()), 0};
  if (src.dim() == 0) return {value_as(args, src, target.dtype()), 0};
  if (index.numel() == 0) return {target, 0};
  const Dims shape = index.dim() == 0 ? Dims{1} : index.shape();
  return {packed_apart(src.alias(shape, src.strides(), src.impl()->offset), target), 1};
}

// f(to, from) at every position, in the order of the index.
template <class F>
void each_scattered(const ForwardArgs& args, const Tensor& target, F f) {
  const int axis = axis_of(args, target.shape());
  const Tensor index =
      positions(args, packed_apart(args.in[1], target), axis, size_along(target.shape(), axis));
  const Source source = source_for(args, target, index);
  visit(target.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = source.values.data<T>();
    const int64_t step = source.step;
    each_indexed<true>(target.data<T>(), target.strides(), axis, index,
                       [&f, from, step](T& to, int64_t i) { f(to, from[i * step]); });
  });
}

void scatter_change(const ForwardArgs& args, const Tensor& target) {
  if (!args.given(2))
    each_scattered(args, target, [](auto& to, auto from) { to = from; });
  else if (args.text(2) == "add")
    each_scattered(args, target, [](auto& to, auto from) { to = wrapping_add(to, from); });
  else
    each_scattered(args, target, [](auto& to, auto from) { to = wrapping_mul(to, from); });
}

void scatter_add_change(const ForwardArgs& args, const Tensor& target) {
  each_scattered(args, target, [](auto& to, auto from) { to = wrapping_add(to, from); });
}

// The part of the source that the index reaches, and a gradient of it as one of the whole.
Tensor reached(const Tensor& src, const Dims& index) {
  static const Op slice("slice");
  Tensor part = src;
  for (int i = 0; i < index.size(); ++i)
    if (part.shape()[i] != index[i])
      part = slice({part}, {int64_t{i}, int64_t{0}, index[i], int64_t{1}});
  return part;
}
Tensor padded_to(const Tensor& g, const Dims& shape) {
  static const Op pad("pad"), reshape("reshape");
  if (g.shape() == shape) return g;
  if (g.dim() != shape.size() || g.numel() == 0) {  // one value, or nothing at all
    static const Op expand("expand");
    if (g.numel() == count(shape)) return reshape({g}, {list(shape)});
    return expand({scalar(0, g.dtype())}, {list(shape)});
  }
  std::vector<int64_t> widths;
  for (int i = shape.size() - 1; i >= 0; --i) {
    widths.push_back(0);
    widths.push_back(shape[i] - g.shape()[i]);
  }
  return pad({g}, {widths});
}

// Gradient of a source that was added, or written, once at every place of the index.
Tensor source_back(const BackwardArgs& args, const Tensor& g) {
  static const Op gather("gather"), sum("sum"), cast("cast");
  const Meta& src = args.in_meta[2];
  const Tensor picked = gather({g, args.in[1]}, {args.integer(0)});
  if (!src.shape.empty()) return padded_to(picked, src.shape);
  const Tensor total = sum({picked});
  return total.dtype() == src.dtype ? total : cast({total}, {static_cast<int64_t>(src.dtype)});
}

Tensors scatter_back(const BackwardArgs& args) {
  static const Op scatter("scatter");
  const Tensor& g = args.grad[0];
  const bool adds = args.given(2) && args.text(2) == "add";
  if (args.given(2) && !adds)
    fail(ErrorKind::runtime,
         "[scatter] expected reduce='add' or None for a gradient, got "
         "'multiply'; use scatter_reduce(..., 'prod')");
  Tensors grads(3);
  if (args.needs[0]) grads[0] = adds ? g : scatter({g, args.in[1]}, {args.integer(0), 0.0});
  if (args.needs[2]) grads[2] = source_back(args, g);
  return grads;
}

// ---- scatter_reduce

Dims reduce_shape(const InferArgs& args) {
  const std::string& how = args.text(1);
  if (how != "sum" && how != "prod" && how != "mean" && how != "amax" && how != "amin")
    fail(ErrorKind::value, "[", args.op().name,
         "] expected 'sum', 'prod', 'mean', 'amax' or 'amin' for 'reduce', got '", how, "'");
  return scatter_shape_with_source(args);
}

template <class T>
T neutral(const std::string& how) {
  using Limits = std::numeric_limits<T>;
  if (how == "prod") return T(1);
  if constexpr (std::is_floating_point_v<T>) {
    if (how == "amax") return -Limits::infinity();
    if (how == "amin") return Limits::infinity();
  } else {
    if (how == "amax") return Limits::lowest();
    if (how == "amin") return Limits::max();
  }
  return T(0);
}

// Means of integers are rounded down, as // does.
template <class T>
T divided(T sum, int64_t n) {
  if constexpr (std::is_floating_point_v<T>) {
    return sum / static_cast<T>(n);
  } else {
    const auto s = static_cast<int64_t>(sum);
    return static_cast<T>(s / n - (s % n != 0 && s < 0));
  }
}

void reduce_change(const ForwardArgs& args, const Tensor& target) {
  const std::string& how = args.text(1);
  if (!args.flag(2)) each_scattered(args, target, [&]<class T>(T& to, T) { to = neutral<T>(how); });
  if (how == "prod")
    each_scattered(args, target, [](auto& to, auto from) { to = wrapping_mul(to, from); });
  else if (how == "amax")
    each_scattered(args, target,
                   [](auto& to, auto from) { to = to != to || from <= to ? to : from; });
  else if (how == "amin")
    each_scattered(args, target,
                   [](auto& to, auto from) { to = to != to || from >= to ? to : from; });
  else
    each_scattered(args, target, [](auto& to, auto from) { to = wrapping_add(to, from); });
  if (how != "mean") return;
  const Tensor counts = Tensor::full(target.shape(), args.flag(2) ? 1 : 0, DType::int64);
  const int axis = axis_of(args, target.shape());
  each_indexed<true>(
      counts.data<int64_t>(), counts.strides(), axis,
      positions(args, packed_apart(args.in[1], target), axis, size_along(target.shape(), axis)),
      [](int64_t& n, int64_t) { ++n; });
  visit(target.dtype(), [&]<class T>(Tag<T>) {
    T* const to = target.data<T>();
    const int64_t* const n = counts.data<int64_t>();
    for (int64_t i = 0; i < target.numel(); ++i) to[i] = divided(to[i], std::max<int64_t>(n[i], 1));
  });
}

const Op eq_op("eq"), cast_op("cast"), gather_op("gather"), scatter_op("scatter"),
    scatter_add_op("scatter_add"), masked_fill_op("masked_fill"), reduce_op("scatter_reduce"),
    expand_op("expand");

Tensor as_type(const Tensor& t, DType dtype) { return cast_op({t}, {static_cast<int64_t>(dtype)}); }
Tensor constant(double value, const Dims& shape, DType dtype) {
  return expand_op({scalar(value, dtype)}, {list(shape)});
}

// What every gradient of scatter_reduce is made of.
struct Reduced {
  const BackwardArgs& args;
  Tensor x = args.in[0], index = args.in[1], src = reached(args.in[2], index.shape());
  Tensor g = args.grad[0];
  Attr dim = args.integer(0);

  Tensor picked(const Tensor& t) const { return gather_op({t, index}, {dim}); }
  // 0 at the places of the index where the input's own values do not take part.
  Tensor own(const Tensor& t) const {
    return args.flag(2) ? t : scatter_op({t, index}, {dim, 0.0});
  }
  Tensors grads(const Tensor& of_x, const Tensor& of_src) const {
    return {own(of_x), Tensor(), padded_to(of_src, args.in_meta[2].shape)};
  }
};

Tensors mean_back(const Reduced& r) {
  const Tensor ones = constant(1, r.index.shape(), r.g.dtype());
  const Tensor n =
      scatter_add_op({r.own(constant(1, r.g.shape(), r.g.dtype())), r.index, ones}, {r.dim});
  const Tensor part =
      r.g / masked_fill_op({n, eq_op({n, scalar(0, n.dtype())}), scalar(1, n.dtype())});
  return r.grads(part, r.picked(part));
}

// Those that hold the extreme value share the gradient.
Tensors extreme_back(const Reduced& r) {
  const Tensor& result = r.args.out[0];
  const Tensor mine = r.own(as_type(eq_op({r.x, result}), r.g.dtype()));
  const Tensor theirs = as_type(eq_op({r.src, r.picked(result)}), r.g.dtype());
  const Tensor holders = scatter_add_op({mine, r.index, theirs}, {r.dim});
  const Tensor none = eq_op({holders, scalar(0, holders.dtype())});
  const Tensor part = r.g / masked_fill_op({holders, none, scalar(1, holders.dtype())});
  return r.grads(mine * part, theirs * r.picked(part));
}

// The product of all others: by division, where no factor is 0.
Tensors product_back(const Reduced& r) {
  const DType dtype = r.g.dtype();
  const Tensor zero = scalar(0, dtype), one = scalar(1, dtype);
  const Attrs same = {r.dim, std::string("prod"), r.args.flag(2)};
  const Tensor x_zero = eq_op({r.x, zero});
  const Tensor x_rest = masked_fill_op({r.x, x_zero, one});
  const Tensor of_x = r.g * reduce_op({x_rest, r.index, r.src}, same) / x_rest;
  const Tensor src_zero = eq_op({r.src, zero});
  const Tensor zeros =
      scatter_add_op({constant(0, r.x.shape(), dtype), r.index, as_type(src_zero, dtype)}, {r.dim});
  const Tensor alone = as_type(src_zero, dtype) * as_type(eq_op({r.picked(zeros), one}), dtype);
  const Tensor is_alone = eq_op({alone, one});
  const Tensor without = reduce_op({r.x, r.index, masked_fill_op({r.src, is_alone, one})}, same);
  const Tensor result = reduce_op({r.x, r.index, r.src}, same);
  const Tensor divided = r.picked(r.g * result) / masked_fill_op({r.src, src_zero, one});
  const Tensor of_src = masked_fill_op({divided, is_alone, zero}) +
                        masked_fill_op({r.picked(r.g * without), eq_op({alone, zero}), zero});
  return r.grads(of_x, of_src);
}

Tensors reduce_back(const BackwardArgs& args) {
  const Reduced r{args};
  const std::string& how = args.text(1);
  if (how == "sum") return r.grads(r.g, r.picked(r.g));
  if (how == "mean") return mean_back(r);
  return how == "prod" ? product_back(r) : extreme_back(r);
}

// ---- index_add and index_copy: whole slices

Dims slices_shape(const InferArgs& args) {
  expect_integers(args, 1);
  expect_same_type(args, 2);
  const Dims &x = args.in[0].shape, &index = args.in[1].shape, &source = args.in[2].shape;
  const int axis = axis_of(args, x);
  bool fits = index.size() < 2 && source.size() == x.size();
  for (int i = 0; fits && i < x.size(); ++i) fits = i == axis || source[i] == x[i];
  if (!fits || size_along(source, axis) != count(index))
    args.mismatch("an index with one axis and a source with that many slices of the input's shape");
  return x;
}

// f(to, from, n) for every slice that the index names, in its order. A thread has some columns of
// all slices, so that no two come to the same element.
template <class T, class F>
void each_slice(const ForwardArgs& args, const Tensor& target, F f) {
  const int axis = axis_of(args, target.shape());
  const AxisSplit s(target.dim() == 0 ? Dims{1} : target.shape(), axis);
  const Tensor index = positions(args, packed_apart(args.in[1], target), axis, s.size);
  const Tensor source = packed_apart(args.in[2], target);
  const int64_t n = index.numel(), piece = std::min<int64_t>(s.inner, 64);
  if (n == 0 || target.numel() == 0) return;
  const int64_t* const at = index.data<int64_t>();
  const T* const from = source.data<T>();
  T* const to = target.data<T>();
  const int64_t pieces = (s.inner + piece - 1) / piece;
  parallel_items(s.outer * pieces, n * piece, kGrainPicked, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t o = unit / pieces, first = unit % pieces * piece;
      const int64_t width = std::min(piece, s.inner - first);
      for (int64_t i = 0; i < n; ++i)
        f(to + (o * s.size + at[i]) * s.inner + first, from + (o * n + i) * s.inner + first, width);
    }
  });
}

void index_add_change(const ForwardArgs& args, const Tensor& target) {
  visit(target.dtype(), [&]<class T>(Tag<T>) {
    const T alpha = convert<T>(args.number(1));
    each_slice<T>(args, target, [alpha](T* to, const T* from, int64_t n) {
      for (int64_t j = 0; j < n; ++j) to[j] = wrapping_add(to[j], wrapping_mul(alpha, from[j]));
    });
  });
}

void index_copy_change(const ForwardArgs& args, const Tensor& target) {
  visit_size(size_of(target.dtype()), [&]<class T>(Tag<T>) {
    each_slice<T>(args, target, [](T* to, const T* from, int64_t n) { std::copy_n(from, n, to); });
  });
}

Tensor selected(const BackwardArgs& args, const Tensor& g) {
  static const Op select("index_select"), reshape("reshape");
  return reshape({select({g, args.in[1]}, {args.integer(0)})}, {list(args.in_meta[2].shape)});
}

Tensors index_add_back(const BackwardArgs& args) {
  Tensors grads = {args.grad[0], Tensor(), Tensor()};
  if (!args.needs[2]) return grads;
  const double alpha = args.number(1);
  grads[2] = selected(args, alpha == 1 ? args.grad[0] : args.grad[0] * alpha);
  return grads;
}

Tensors index_copy_back(const BackwardArgs& args) {
  static const Op fill("index_fill");
  const Tensor& g = args.grad[0];
  Tensors grads(3);
  if (args.needs[0]) grads[0] = fill({g, args.in[1], scalar(0, g.dtype())}, {args.integer(0)});
  if (args.needs[2]) grads[2] = selected(args, g);
  return grads;
}

const AttrDef kDim = {.name = "dim", .kind = AttrKind::integer, .value = {}, .required = true};

void declare_slices(Registry& r) {
  declare_change<slices_shape, index_add_change>(
      r,
      {.name = "index_add",
       .doc = "The input with alpha times the slices of a source added at the positions of an "
              "integer vector along an axis.",
       .inputs = {"input", "index", "source"},
       .attrs = {kDim, {.name = "alpha", .kind = AttrKind::number, .value = 1.0, .keyword = true}},
       .arguments = {"input", "dim", "index", "source", "alpha"},
       .backward = index_add_back,
       .saves = {"index"},
       .formula = {"x, and alpha y added at the index",
                   R"(x_j + \alpha \sum_{t_i = j} y_i)",
                   {{"x", "1", "1"}, {"y", "alpha g[index]", R"(\alpha g_{t_i})"}}},
       .example = "rv.index_add(rv.zeros(3), 0, rv.tensor([0, 0, 2]), rv.ones(3))"});
  declare_change<slices_shape, index_copy_change>(
      r, {.name = "index_copy",
          .doc = "The input with the slices of a source written at the positions of an integer "
                 "vector along an axis; the last one where a position comes twice.",
          .inputs = {"input", "index", "source"},
          .attrs = {kDim},
          .arguments = {"input", "dim", "index", "source"},
          .moves = true,
          .backward = index_copy_back,
          .saves = {"index"},
          .formula = {"x, but y at the index",
                      R"(x_j, y_i \text{ where } t_i = j)",
                      {{"x", "g, 0 at the index", R"(g_j [j \notin t])"},
                       {"y", "g[index]", "g_{t_i}"}}},
          .example = "rv.index_copy(rv.zeros(3), 0, rv.tensor([2]), rv.ones(1))"});
}

}  // namespace

void declare_scatters(Registry& r) {
  const Formula sums = {"x, and y added at the index",
                        R"(x_j + \sum_{t_i = j} y_i)",
                        {{"x", "1", "1"}, {"y", "g[index]", "g_{t_i}"}}};
  declare_change<scatter_shape_with_value, scatter_change>(
      r, {.name = "scatter",
          .doc = "The input with the elements of src, or one value, written at the positions of "
                 "an integer tensor along an axis; reduce='add' or 'multiply' combines instead.",
          .inputs = {"input", "index", "src?"},
          .attrs = {kDim,
                    {.name = "value",
                     .kind = AttrKind::number,
                     .value = {},
                     .optional = true,
                     .keyword = true},
                    {.name = "reduce",
                     .kind = AttrKind::text,
                     .value = {},
                     .optional = true,
                     .keyword = true}},
          .arguments = {"input", "dim", "index", "src", "value", "reduce"},
          .backward = scatter_back,
          .saves = {"index"},
          .formula = {"x, but y at the index",
                      R"(x_j, y_i \text{ where } t_i = j)",
                      {{"x", "g, 0 at the index", R"(g_j [j \notin t])"},
                       {"y", "g[index]", "g_{t_i}"}}},
          .example = "rv.scatter(rv.zeros(2, 3), 1, rv.tensor([[2], [0]]), value=1)"});
  declare_change<scatter_shape_with_source, scatter_add_change>(
      r, {.name = "scatter_add",
          .doc = "The input with the elements of src added at the positions of an integer tensor "
                 "along an axis.",
          .inputs = {"input", "index", "src"},
          .attrs = {kDim},
          .arguments = {"input", "dim", "index", "src"},
          .backward = [](const BackwardArgs& args) -> Tensors {
            return {args.grad[0], Tensor(),
                    args.needs[2] ? source_back(args, args.grad[0]) : Tensor()};
          },
          .saves = {"index"},
          .formula = sums,
          .example = "rv.scatter_add(rv.zeros(3), 0, rv.tensor([0, 0, 2]), rv.ones(3))"});
  declare_change<reduce_shape, reduce_change>(
      r,
      {.name = "scatter_reduce",
       .doc = "The input combined with the elements of src at the positions of an integer "
              "tensor along an axis, by 'sum', 'prod', 'mean', 'amax' or 'amin'; with or "
              "without the input's own elements there.",
       .inputs = {"input", "index", "src"},
       .attrs = {kDim,
                 {.name = "reduce", .kind = AttrKind::text, .value = {}, .required = true},
                 {.name = "include_self", .kind = AttrKind::flag, .value = true, .keyword = true}},
       .arguments = {"input", "dim", "index", "src", "reduce", "include_self"},
       .backward = reduce_back,
       .saves = {"input", "index", "src", "result"},
       .formula = {"x combined with y at the index",
                   R"(x_j \oplus \bigoplus_{t_i = j} y_i)",
                   {{"x", "derivative of the reduction", R"(\partial_x \oplus)"},
                    {"y", "derivative of the reduction", R"(\partial_y \oplus)"}}},
       .example = "rv.scatter_reduce(rv.zeros(2), 0, rv.tensor([0, 0]), rv.ones(2), 'sum')"});
  declare_slices(r);
}

}  // namespace ranvier
