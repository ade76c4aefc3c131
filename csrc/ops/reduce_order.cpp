// What depends on the order of the elements along an axis: median, mode and quantiles.
#include <limits>

#include "ops/reduce.h"

namespace ranvier {
namespace {

// f(row, result): every row along the axis, adjacent in memory of its own.
template <class T, class F>
void each_row_copied(const T* x, const AxisSplit& s, F f) {
  parallel_items(s.outer * s.inner, s.size, kGrainRunning, [&](int64_t begin, int64_t end) {
    std::vector<T> row(static_cast<size_t>(s.size));
    for (int64_t i = begin; i < end; ++i) {
      const T* const from = x + i / s.inner * s.size * s.inner + i % s.inner;
      for (int64_t k = 0; k < s.size; ++k) row[static_cast<size_t>(k)] = from[k * s.inner];
      f(row, i);
    }
  });
}

template <class T>
bool is_nan(T x) {
  return x != x;
}

// The lower of the two middle elements, and the first place where it stands.
template <bool SkipNan, class T>
std::pair<T, int64_t> median_of(const std::vector<T>& row) {
  const auto first_nan = std::find_if(row.begin(), row.end(), is_nan<T>);
  if (!SkipNan && first_nan != row.end()) return {*first_nan, first_nan - row.begin()};
  std::vector<T> values = row;
  if (SkipNan) values.erase(std::remove_if(values.begin(), values.end(), is_nan<T>), values.end());
  if (values.empty()) return {row.front(), 0};
  const auto middle = values.begin() + (static_cast<int64_t>(values.size()) - 1) / 2;
  std::nth_element(values.begin(), middle, values.end());
  const auto place = std::find(row.begin(), row.end(), *middle);
  return {*place, place - row.begin()};
}

template <bool SkipNan>
void median_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const AxisSplit s = axis_split(args, x);
  visit_ordered(x.dtype(), [&]<class T>(Tag<T>) {
    T* const y = args.out[0].data<T>();
    if (s.size == 0) {  // only of a whole floating tensor
      if constexpr (std::is_floating_point_v<T>) y[0] = std::numeric_limits<T>::quiet_NaN();
      return;
    }
    int64_t* const at = args.given(0) ? args.out[1].data<int64_t>() : nullptr;
    each_row_copied(x.data<T>(), s, [&](const std::vector<T>& row, int64_t i) {
      const auto [value, place] = median_of<SkipNan>(row);
      y[i] = value;
      if (at) at[i] = place;
    });
  });
}

Metas infer_median(const InferArgs& args) {
  const Meta& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.shape.size());
  if (args.given(0) || !is_floating(x.dtype)) expect_elements(args, axes, args.given(0));
  const Dims shape = reduced(x.shape, axes, args.flag(1));
  return args.given(0) ? Metas{{shape, x.dtype}, {shape, DType::int64}} : Metas{{shape, x.dtype}};
}

// As of every extreme: the whole tensor's is shared by all elements of its value.
Tensors median_backward(const BackwardArgs& args) {
  static const Op eq("eq");
  if (args.given(0)) return picked_back(args);
  const Tensor chosen = as(eq({args.in[0], args.out[0]}), args.grad[0].dtype());
  const std::vector<int> axes = axes_of(args, args.in_meta[0].shape.size());
  const Dims& shape = args.in_meta[0].shape;
  return {kept(args.grad[0], shape, axes) / total(chosen, axes) * chosen};
}

// The most frequent value, the smallest of several, and the last place where it stands. Every NaN
// is a value of its own.
void mode_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const AxisSplit s = axis_split(args, x);
  if (x.numel() == 0) return;
  visit_ordered(x.dtype(), [&]<class T>(Tag<T>) {
    T* const y = args.out[0].data<T>();
    int64_t* const at = args.out[1].data<int64_t>();
    each_row_copied(x.data<T>(), s, [&](const std::vector<T>& row, int64_t i) {
      std::vector<T> sorted = row;
      std::sort(sorted.begin(), sorted.end(),
                [](T a, T b) { return a < b || (is_nan(b) && !is_nan(a)); });
      T best = sorted[0];
      size_t most = 0;
      for (size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
        for (end = begin + 1; end < sorted.size() && sorted[end] == sorted[begin];) ++end;
        if (end - begin <= most) continue;
        most = end - begin;
        best = sorted[begin];
      }
      const auto last = std::find_if(row.rbegin(), row.rend(), [&](T value) {
        return value == best || (is_nan(best) && is_nan(value));
      });
      y[i] = *last;
      at[i] = row.rend() - last - 1;
    });
  });
}

Metas infer_mode(const InferArgs& args) {
  const Meta& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.shape.size());
  expect_elements(args, axes, true);
  const Dims shape = reduced(x.shape, axes, args.flag(1));
  return {{shape, x.dtype}, {shape, DType::int64}};
}

// ---- quantile

// The number of the interpolation, in the order of `names`.
int interpolation_of(const AttrReader& args) {
  static const std::vector<std::string> names = {"linear", "lower", "higher", "midpoint",
                                                 "nearest"};
  const auto it = std::find(names.begin(), names.end(), args.text(2));
  if (it == names.end())
    fail(ErrorKind::value, "[quantile] expected an interpolation 'linear', 'lower', 'higher', ",
         "'midpoint' or 'nearest', got '", args.text(2), "'");
  return static_cast<int>(it - names.begin());
}

void check_quantile(const Tensor& x, const Tensor& q) {
  if (!is_floating(x.dtype()) || !is_floating(q.dtype()))
    fail(ErrorKind::type, "[quantile] expected floating dtypes for 'input' and 'q', got ",
         name_of(x.dtype()), " and ", name_of(q.dtype()), "; call .float() on them");
  if (x.numel() == 0)
    fail(ErrorKind::shape, "[quantile] expected elements, got shape ", to_string(x.shape()));
  if (q.dim() > 1)
    fail(ErrorKind::shape, "[quantile] expected q with at most one axis, got shape ",
         to_string(q.shape()));
  const Tensor values = converted(q, DType::float64);
  for (int64_t i = 0; i < q.numel(); ++i)
    if (const double value = values.data<double>()[i]; !(value >= 0 && value <= 1))
      fail(ErrorKind::value, "[quantile] expected q in [0, 1], got ", value);
}

// Elements of the sorted input around rank q (n - 1), and how they are mixed.
Tensor at_ranks(const Tensor& sorted, const Tensor& q, int axis, int how) {
  static const Op index_select("index_select"), minimum("minimum"), gt("gt"), reshape("reshape");
  const auto last = static_cast<double>(sorted.shape()[axis] - 1);
  const auto truth = [&](const Tensor& x, double than) {
    return as(gt({x, scalar(than, x.dtype())}), x.dtype());
  };
  const auto pick = [&](const Tensor& at) {
    return index_select({sorted, as(at, DType::int64)}, {int64_t{axis}});
  };
  const Tensor rank = reshape({q}, {std::vector<int64_t>{-1}}) * last;
  const Tensor below = as(as(rank, DType::int64), q.dtype()), rest = rank - below;
  if (how == 1) return pick(below);
  if (how == 2) return pick(below + truth(rest, 0));
  if (how == 4) {  // half to even, as rounding does
    const Tensor half = as(as(below * 0.5, DType::int64), q.dtype());
    return pick(below + truth(rest + (below - half * 2.0) * 1e-3, 0.5));
  }
  const Tensor above = minimum({below + scalar(1, q.dtype()), scalar(last, q.dtype())});
  std::vector<int64_t> shape(static_cast<size_t>(sorted.dim() - axis), 1);
  shape[0] = q.numel();
  const Tensor weight = reshape({how == 3 ? truth(rest, 0) * 0.5 : rest}, {shape});
  const Tensor low = pick(below);
  return low + (pick(above) - low) * weight;
}

Tensors quantile_composite(const Tensors& in, const AttrReader& args) {
  static const Op reshape("reshape"), sort("sort"), select("select"), eq("eq"), permute("permute"),
      unsqueeze("unsqueeze");
  const int how = interpolation_of(args);
  Tensor x = in[0];
  check_quantile(x, in[1]);
  const Tensor q = as(in[1], x.dtype());
  const Dims whole = x.shape();
  const std::vector<int> axes = axes_of(args, x.dim());
  if (!args.given(0) || x.dim() == 0) x = reshape({x}, {std::vector<int64_t>{-1}});
  const int axis = args.given(0) && whole.size() > 0 ? axes[0] : 0;
  const Tensor sorted = sort({x}, {int64_t{axis}});
  // A NaN is sorted to the end, and 0 / 0 is one.
  const Tensor last = select({sorted}, {int64_t{axis}, x.shape()[axis] - 1});
  const Tensor number = as(eq({last, last}), x.dtype());
  const Tensor nan = unsqueeze({scalar(0, x.dtype()) / number}, {int64_t{axis}});
  Tensor y = at_ranks(sorted, q, axis, how) + nan;
  std::vector<int64_t> order = {axis};
  for (int i = 0; i < y.dim(); ++i)
    if (i != axis) order.push_back(i);
  y = permute({y}, {order});
  std::vector<int64_t> shape = list(reduced(whole, axes, args.flag(1)));
  if (q.dim() == 1) shape.insert(shape.begin(), q.numel());
  return {reshape({y}, {shape})};
}

// ---- declarations

template <bool SkipNan>
void declare_median(Registry& r, OpDef op) {
  op.inputs = {"input"};
  op.outputs = {"values", "indices"};
  op.fewer_results = true;
  op.attrs = {axis_attr(), keepdim_attr()};
  op.infer = infer_median;
  op.forward = median_forward<SkipNan>;
  op.backward = median_backward;
  op.saves = {"input", "values", "indices"};
  op.formula = {
      op.name + "(x)",
      R"(\operatorname{median}_i x_i)",
      {{"x", "1 at the index, else 0; of all 1 / k at the k elements of its value", R"([i = m])"}}};
  op.method = true;
  r.add(std::move(op));
}

}  // namespace

void declare_orders(Registry& r) {
  declare_median<false>(
      r, {.name = "median",
          .doc = "The lower of the two middle elements of all, NaN if there is one; or, with dim, "
                 "values and the indices of the first ones along that axis.",
          .example = "rv.median(rv.tensor([3.0, 1.0, 2.0, 4.0]))"});
  declare_median<true>(
      r, {.name = "nanmedian",
          .doc = "The lower of the two middle elements that are not NaN; or, with dim, values and "
                 "the indices of the first ones along that axis.",
          .example = "rv.nanmedian(rv.tensor([3.0, float('nan'), 2.0]))"});
  r.add(
      {.name = "mode",
       .doc = "The most frequent values along an axis, the smallest of several, and the indices "
              "of the last ones.",
       .inputs = {"input"},
       .outputs = {"values", "indices"},
       .attrs = {{.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}}, keepdim_attr()},
       .infer = infer_mode,
       .forward = mode_forward,
       .backward = picked_back,
       .saves = {"indices"},
       .formula = {"most frequent x",
                   R"(\operatorname{mode}_i x_i)",
                   {{"x", "1 at the index, else 0", "[i = m]"}}},
       .example = "rv.mode(rv.tensor([3.0, 1.0, 1.0]))",
       .method = true});
  r.add({.name = "quantile",
         .doc =
             "What lies at each fraction q in [0, 1] of the sorted elements, along an axis or of "
             "all; between two of them as `interpolation` says: linear, lower, higher, midpoint "
             "or nearest. NaN travels.",
         .inputs = {"input", "q"},
         .attrs = {axis_attr(),
                   keepdim_attr(),
                   {.name = "interpolation",
                    .kind = AttrKind::text,
                    .value = std::string("linear"),
                    .keyword = true}},
         .composite = quantile_composite,
         .formula = {"s_i + (s_(i+1) - s_i) (r - i), s sorted x, r = q (n - 1), i = floor(r)",
                     R"(s_i + (s_{i+1} - s_i)(r - i),\ r = q(n-1))",
                     {{"x", "1 - (r - i) at s_i, r - i at s_(i+1)", R"(1 - (r - i),\ r - i)"},
                      {"q", "(n - 1) (s_(i+1) - s_i)", R"((n-1)(s_{i+1} - s_i))"}}},
         .example = "rv.quantile(rv.tensor([3.0, 1.0, 2.0, 4.0]), 0.5)",
         .method = true});
}

}  // namespace ranvier
