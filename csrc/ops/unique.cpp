// Different elements, or different slices along an axis, with where they came from and how often.
#include <numeric>

#include "ops/reduce.h"

namespace ranvier {
namespace {

// A tensor as `count` rows of `width` elements each: one for every element, or for every slice.
struct Slices {
  Tensor memory;  // keeps the rows alive
  int64_t count = 0, width = 1;
  Dims slice;  // shape of a slice; its axis is where the result has its own
  int axis = 0;
};

// Attribute: dim.
Slices slices_of(const AttrReader& args, const Tensor& x) {
  Slices s;
  if (!args.given(0)) {
    s.memory = packed(x);
    s.count = x.numel();
    return s;
  }
  s.axis = normal_axis(args.op().name.c_str(), args.integer(0), x.dim());
  Dims shape = x.shape(), strides = x.strides();
  if (x.dim() > 0) {
    shape.erase(s.axis);
    strides.erase(s.axis);
    s.slice = shape;
    s.width = count(shape);
    shape.insert(0, x.shape()[s.axis]);
    strides.insert(0, x.strides()[s.axis]);
  }
  s.memory = packed(x.alias(shape, strides, x.impl()->offset));
  s.count = x.dim() > 0 ? x.shape()[s.axis] : 1;
  if (s.width == 0 && s.count > 0)
    fail(ErrorKind::shape, "[", args.op().name, "] expected slices with elements, got shape ",
         to_string(x.shape()));
  return s;
}

// The rows in order (as they come, without sorting), and for each whether it differs from the one
// before. A NaN differs from everything and comes last.
struct Groups {
  std::vector<int64_t> order;
  std::vector<bool> fresh;
  int64_t count = 0;
};

template <class T>
int compare(const T* a, const T* b, int64_t width) {
  for (int64_t i = 0; i < width; ++i) {
    if (a[i] == b[i]) continue;
    if (a[i] < b[i]) return -1;
    if (b[i] < a[i]) return 1;
    const bool first = a[i] != a[i], second = b[i] != b[i];
    if (first != second) return first ? 1 : -1;
  }
  return 0;
}

template <class T>
bool equal(const T* a, const T* b, int64_t width) {
  return std::equal(a, a + width, b);
}

Groups groups_of(const Slices& s, bool sort) {
  Groups groups;
  groups.order.resize(static_cast<size_t>(s.count));
  groups.fresh.resize(static_cast<size_t>(s.count));
  std::iota(groups.order.begin(), groups.order.end(), int64_t{0});
  visit_ordered(s.memory.dtype(), [&]<class T>(Tag<T>) {
    const T* const x = s.memory.data<T>();
    const int64_t width = s.width;
    if (sort)
      std::stable_sort(groups.order.begin(), groups.order.end(), [&](int64_t a, int64_t b) {
        return compare(x + a * width, x + b * width, width) < 0;
      });
    for (size_t i = 0; i < groups.order.size(); ++i) {
      const T* const mine = x + groups.order[i] * width;
      groups.fresh[i] = i == 0 || !equal(mine, x + groups.order[i - 1] * width, width);
      groups.count += groups.fresh[i];
    }
  });
  return groups;
}

template <bool Sort>
Metas unique_metas(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  const Slices s = slices_of(args, is_half(x.dtype()) ? converted(x, DType::float32) : x);
  const int64_t n = groups_of(s, Sort).count;
  const bool whole = !args.given(0);
  Dims values = s.slice;
  values.insert(whole ? 0 : s.axis, n);
  return {
      {values, x.dtype()}, {whole ? x.shape() : Dims{s.count}, DType::int64}, {{n}, DType::int64}};
}

template <bool Sort>
void unique_forward(const ForwardArgs& args) {
  const Slices s = slices_of(args, args.in[0]);
  const Groups groups = groups_of(s, Sort);
  int64_t* const inverse = args.out[1].data<int64_t>();
  int64_t* const counts = args.out[2].data<int64_t>();
  const int64_t n = args.out[2].numel();
  std::fill_n(counts, n, 0);
  // The values with their axis in front, then to where it belongs.
  Dims shape = s.slice;
  shape.insert(0, n);
  const Tensor values = Tensor::empty(shape, args.out[0].dtype());
  const auto bytes = static_cast<size_t>(s.width) * size_of(values.dtype());
  const auto* const from = static_cast<const char*>(s.memory.raw());
  auto* const to = static_cast<char*>(values.raw());
  int64_t group = -1;
  for (size_t i = 0; i < groups.order.size(); ++i) {
    const auto row = static_cast<size_t>(groups.order[i]);
    if (groups.fresh[i] && group < n - 1) {
      ++group;
      std::copy_n(from + row * bytes, bytes, to + static_cast<size_t>(group) * bytes);
    }
    inverse[row] = group;
    ++counts[group];
  }
  Dims moved = values.shape(), strides = values.strides();
  moved.erase(0);
  strides.erase(0);
  moved.insert(s.axis, n);
  strides.insert(s.axis, values.strides()[0]);
  copy(args.out[0], values.alias(moved, strides, 0));
}

}  // namespace

void declare_unique(Registry& r) {
  r.add({.name = "unique",
         .doc = "The different elements in ascending order, or the different slices along an axis; "
                "for each element which of them it is, and how often each occurs. Every NaN is "
                "different.",
         .inputs = {"input"},
         .outputs = {"output", "inverse", "counts"},
         .attrs = {axis_attr()},
         .infer_by_value = unique_metas<true>,
         .forward = unique_forward<true>,
         .differentiable = false,
         .formula = {"different x", R"(\{x_i\})", {}},
         .example = "rv.unique(rv.tensor([3, 1, 1]))",
         .fronted = true});
  r.add({.name = "unique_consecutive",
         .doc = "The elements, or slices along an axis, that differ from the one before; for each "
                "element which of them it is, and how long each run is.",
         .inputs = {"input"},
         .outputs = {"output", "inverse", "counts"},
         .attrs = {axis_attr()},
         .infer_by_value = unique_metas<false>,
         .forward = unique_forward<false>,
         .differentiable = false,
         .formula = {"x_i that differ from x_(i-1)", R"(\{x_i : x_i \ne x_{i-1}\})", {}},
         .example = "rv.unique_consecutive(rv.tensor([1, 1, 2, 1]))",
         .fronted = true});
}

}  // namespace ranvier
