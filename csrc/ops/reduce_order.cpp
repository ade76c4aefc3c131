// What depends on the order of the elements along an axis: median and mode.
#include <limits>

#include "ops/reduce.h"

namespace ranvier {
namespace {

// The axis that is looked along; the flattened tensor where none is named.
AxisSplit axis_split(const AttrReader& args, const Tensor& x) {
  if (!args.given(0)) return AxisSplit({x.numel()}, 0);
  return AxisSplit(x.shape(), normal_axis(args.op().name.c_str(), args.integer(0), x.dim()));
}

// Booleans are seen as bytes of 0 and 1: a vector of bool is none.
template <class F>
void visit_ordered(DType dtype, F f) {
  visit(dtype == DType::bool_ ? DType::uint8 : dtype, f);
}

// f(row, result): every row along the axis, adjacent in memory of its own.
template <class T, class F>
void each_row_copied(const T* x, const AxisSplit& s, F f) {
  parallel_items(s.outer * s.inner, s.size, 1 << 12, [&](int64_t begin, int64_t end) {
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
}

}  // namespace ranvier
