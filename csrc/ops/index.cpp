// Picking elements by integer tensors and by masks. What is picked twice gets the sum of both
// gradients; these sums have one order, that of the index.
#include <algorithm>
#include <cstring>

#include "core/dtypes.h"
#include "core/recording.h"
#include "ops/families.h"
#include "ops/indices.h"

namespace ranvier {

void expect_integers(const InferArgs& args, size_t i) {
  const DType dtype = args.in[i].dtype;
  if (is_floating(dtype) || dtype == DType::bool_)
    fail(ErrorKind::type, "[", args.op().name, "] expected integers for '", args.op().inputs[i],
         "', got ", name_of(dtype), "; call .long() on it");
}

Tensor positions(const AttrReader& args, const Tensor& index, int axis, int64_t size,
                 bool from_end) {
  Tensor result = index.dtype() == DType::int64 ? packed(index) : converted(index, DType::int64);
  const int64_t* const p = result.data<int64_t>();
  const int64_t n = result.numel(), least = from_end ? -size : 0;
  int64_t low = 0, high = -1;
  for (int64_t i = 0; i < n; ++i) {
    low = std::min(low, p[i]);
    high = std::max(high, p[i]);
  }
  if (low < least || high >= size) {
    const int64_t bad = *std::find_if(p, p + n, [&](int64_t i) { return i < least || i >= size; });
    const std::string where = axis < 0 ? "a flattened tensor" : "axis " + std::to_string(axis);
    fail(ErrorKind::index, "[", args.op().name, "] expected indices in [", least, ", ", size - 1,
         "] for ", where, " of size ", size, ", got ", bad);
  }
  if (low < 0) {
    if (result.impl() == index.impl()) {
      result = Tensor::empty(index.shape(), DType::int64);
      std::copy_n(p, n, result.data<int64_t>());
    }
    int64_t* const q = result.data<int64_t>();
    for (int64_t i = 0; i < n; ++i)
      if (q[i] < 0) q[i] += size;
  }
  return result;
}

Tensor packed_apart(const Tensor& t, const Tensor& to) {
  const Tensor result = packed(apart(t, to));
  if (result.raw() != to.raw() || result.numel() == 0) return result;
  const Tensor fresh = Tensor::empty(t.shape(), t.dtype());
  copy(fresh, result);
  return fresh;
}

namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

Tensor zeros_of(const Meta& meta) {
  static const Op expand("expand");
  return expand({scalar(0, meta.dtype)}, {list(meta.shape)});
}

// A single value counts as a vector of one.
int64_t size_along(const Dims& shape, int axis) { return shape.empty() ? 1 : shape[axis]; }

// ---- index_select: whole slices along one axis

Metas infer_select(const InferArgs& args) {
  expect_integers(args, 1);
  const Dims& index = args.in[1].shape;
  if (index.size() > 1) args.mismatch("an index with one axis");
  Meta out = args.in[0];
  const int axis = normal_axis("index_select", args.integer(0), out.shape.size());
  if (out.shape.empty() && count(index) != 1) args.mismatch("one index for a single value");
  if (!out.shape.empty()) out.shape[axis] = count(index);
  return {out};
}

// Of what it selects from it reads no more than that.
Cost select_cost(const Metas& in, const Metas& out, const AttrReader&) {
  const auto bytes = [](const Meta& m) {
    return double(count(m.shape)) * double(size_of(m.dtype));
  };
  return {0, 2 * bytes(out[0]) + bytes(in[1])};
}

constexpr int64_t kAhead = 3;  // slices that are on their way while one is copied

// Copies one slice and asks for a later one, which no processor could foresee.
void copy_ahead(void* to, const void* from, const void* later, size_t bytes) {
  constexpr size_t kPart = 256, kLine = 64;
  auto* y = static_cast<char*>(to);
  const auto *x = static_cast<const char*>(from), *ahead = static_cast<const char*>(later);
  for (size_t at = 0; at < bytes; at += kPart) {
    const size_t end = std::min(bytes, at + kPart);
    for (size_t line = at; line < end; line += kLine) __builtin_prefetch(ahead + line);
    std::memcpy(y + at, x + at, end - at);
  }
}

void select_forward(const ForwardArgs& args) {
  const Tensor &given = args.in[0], &out = args.out[0];
  const int axis = normal_axis("index_select", args.integer(0), given.dim());
  const Tensor index = positions(args, args.in[1], axis, size_along(given.shape(), axis));
  const int64_t* const at = index.data<int64_t>();
  const int64_t n = index.numel();
  if (out.numel() == 0) return;
  if (!given.is_contiguous() && given.numel() / 4 > out.numel()) {
    // A few slices of something large: packing all of it first would cost more than them.
    Dims shape = out.shape();
    shape[axis] = 1;
    for (int64_t i = 0; i < n; ++i)
      copy(out.alias(shape, out.strides(), out.impl()->offset + i * out.strides()[axis]),
           given.alias(shape, given.strides(),
                       given.impl()->offset + at[i] * given.strides()[axis]));
    return;
  }
  const Tensor x = packed(given);
  const AxisSplit s(x.shape(), axis);
  visit_size(size_of(x.dtype()), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    T* const to = out.data<T>();
    const auto slice_of = [&](int64_t i) { return from + (i / n * s.size + at[i % n]) * s.inner; };
    const int64_t last = s.outer * n - 1;
    parallel_items(last + 1, s.inner, kGrainPicked, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* const slice = slice_of(i);
        if (s.inner == 1)
          to[i] = *slice;
        else
          copy_ahead(to + i * s.inner, slice, slice_of(std::min(i + kAhead, last)),
                     static_cast<size_t>(s.inner) * sizeof(T));
      }
    });
  });
}

Tensors select_back(const BackwardArgs& args) {
  static const Op index_add("index_add");
  return {index_add({zeros_of(args.in_meta[0]), args.in[1], args.grad[0]}, {args.integer(0)})};
}

// ---- gather: one element for every element of the index

Metas infer_gather(const InferArgs& args) {
  expect_integers(args, 1);
  const Dims &x = args.in[0].shape, &index = args.in[1].shape;
  const int axis = normal_axis("gather", args.integer(0), x.size());
  bool fits = std::max(x.size(), 1) == std::max(index.size(), 1);
  for (int i = 0; fits && i < std::min(x.size(), index.size()); ++i)
    fits = i == axis || index[i] <= x[i];
  if (!fits && count(index) > 0)
    args.mismatch("an index no larger than the input on every axis but the chosen one");
  return {{index, args.in[0].dtype}};
}

void gather_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  const int axis = normal_axis("gather", args.integer(0), x.dim());
  const Tensor index = positions(args, args.in[1], axis, size_along(x.shape(), axis));
  visit_size(size_of(x.dtype()), [&]<class T>(Tag<T>) {
    T* const to = args.out[0].data<T>();
    each_indexed<false>(x.data<const T>(), x.strides(), axis, index,
                        [to](const T& from, int64_t i) { to[i] = from; });
  });
}

Tensors gather_back(const BackwardArgs& args) {
  static const Op scatter_add("scatter_add");
  return {scatter_add({zeros_of(args.in_meta[0]), args.in[1], args.grad[0]}, {args.integer(0)})};
}

Tensors take_along_composite(const Tensors& in, const AttrReader& args) {
  static const Op gather("gather"), expand("expand"), reshape("reshape"), lt("lt"), cast("cast"),
      mul("mul"), add("add");
  Tensor x = in[0], index = in[1];
  int axis = 0;
  if (!args.given(0)) {
    x = reshape({x}, {std::vector<int64_t>{-1}});
    index = reshape({index}, {std::vector<int64_t>{-1}});
  } else {
    axis = normal_axis("take_along_dim", args.integer(0), x.dim());
    Dims of_x = x.shape(), of_index = index.shape();
    for (int i = 0; i < x.dim(); ++i) {
      if (i == axis) continue;
      const int64_t size = of_x[i] == 1 ? of_index[i] : of_x[i];
      of_x[i] = of_index[i] = size;
    }
    x = expand({x}, {list(of_x)});
    index = expand({index}, {list(of_index)});
  }
  const auto size = static_cast<double>(size_along(x.shape(), axis));
  index = cast({index}, {static_cast<int64_t>(DType::int64)});
  const Tensor negative = lt({index, scalar(0, DType::int64)});
  const Tensor shift =
      mul({cast({negative}, {static_cast<int64_t>(DType::int64)}), scalar(size, DType::int64)});
  return {gather({x, add({index, shift})}, {int64_t{axis}})};
}

Metas infer_take_along(const InferArgs& args) {
  expect_integers(args, 1);
  const Dims &x = args.in[0].shape, &index = args.in[1].shape;
  if (!args.given(0)) return {{{count(index)}, args.in[0].dtype}};
  const int axis = normal_axis("take_along_dim", args.integer(0), x.size());
  bool fits = x.size() == index.size();
  for (int i = 0; fits && i < x.size(); ++i)
    fits = i == axis || x[i] == index[i] || x[i] == 1 || index[i] == 1;
  if (!fits)
    args.mismatch("indices that broadcast with the input on every axis but the chosen one");
  return {{index, args.in[0].dtype}};
}

// ---- take: elements of the flattened input

Metas infer_take(const InferArgs& args) {
  expect_integers(args, 1);
  return {{args.in[1].shape, args.in[0].dtype}};
}

void take_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const Tensor index = positions(args, args.in[1], -1, x.numel(), true);
  visit_size(size_of(x.dtype()), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    const int64_t* const at = index.data<int64_t>();
    T* const to = args.out[0].data<T>();
    parallel_items(index.numel(), 1, kGrainPicked, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = from[at[i]];
    });
  });
}

Metas infer_take_backward(const InferArgs& args) {
  if (!is_floating(args.in[0].dtype)) args.mismatch("a floating gradient");
  expect_integers(args, 1);
  if (!(args.in[0].shape == args.in[1].shape)) args.mismatch("a gradient for every index");
  return {{args.dims(0), args.in[0].dtype}};
}

void take_backward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]);
  const Tensor& dx = args.out[0];
  const Tensor index = positions(args, args.in[1], -1, dx.numel(), true);
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = g.data<T>();
    const int64_t* const at = index.data<int64_t>();
    T* const to = dx.data<T>();
    std::fill_n(to, dx.numel(), T(0));
    for (int64_t i = 0; i < index.numel(); ++i) to[at[i]] += from[i];
  });
}

// ---- where something is true

constexpr int64_t kCounted = 1 << 15;  // elements counted by one thread

// How many elements before each piece of kCounted, and in all at the end, are not zero.
template <class T>
std::vector<int64_t> counts(const T* x, int64_t n) {
  const int64_t pieces = (n + kCounted - 1) / kCounted;
  std::vector<int64_t> before(static_cast<size_t>(pieces) + 1);
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      int64_t found = 0;
      for (int64_t i = p * kCounted; i < std::min(n, (p + 1) * kCounted); ++i)
        found += x[i] != T(0);
      before[static_cast<size_t>(p) + 1] = found;
    }
  });
  for (size_t p = 1; p < before.size(); ++p) before[p] += before[p - 1];
  return before;
}

Metas nonzero_shape(const ForwardArgs& args) {
  const bool half = is_half(args.in[0].dtype());
  const Tensor x = half ? converted(args.in[0], DType::float32) : packed(args.in[0]);
  int64_t n = 0;
  visit(x.dtype(), [&]<class T>(Tag<T>) { n = counts(x.data<T>(), x.numel()).back(); });
  return {{{n, x.dim()}, DType::int64}};
}

void nonzero_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const int axes = x.dim();
  int64_t* const out = args.out[0].data<int64_t>();
  const Dims steps = contiguous_strides(x.shape());
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    const std::vector<int64_t> before = counts(from, x.numel());
    parallel_for(static_cast<int64_t>(before.size()) - 1, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        int64_t* to = out + before[static_cast<size_t>(p)] * axes;
        for (int64_t i = p * kCounted; i < std::min(x.numel(), (p + 1) * kCounted); ++i) {
          if (from[i] == T(0)) continue;
          int64_t rest = i;
          for (int a = 0; a < axes; ++a) {
            *to++ = rest / steps[a];
            rest %= steps[a];
          }
        }
      }
    });
  });
}

Metas infer_masked_select(const InferArgs& args) {
  if (args.in[1].dtype != DType::bool_)
    fail(ErrorKind::type, "[masked_select] expected a bool 'mask', got ", name_of(args.in[1].dtype),
         "; call .bool() on it");
  return {{broadcast(args, args.in[0].shape, args.in[1].shape), args.in[0].dtype}};
}

Tensors masked_select_composite(const Tensors& in, const AttrReader&) {
  static const Op expand("expand"), reshape("reshape"), argwhere("argwhere"),
      select("index_select");
  forbid_while_recording("masked_select()");
  const Dims &x = in[0].shape(), &mask = in[1].shape();
  std::vector<int64_t> shape(static_cast<size_t>(std::max(x.size(), mask.size())));
  for (size_t i = 1; i <= shape.size(); ++i) {
    const int at = static_cast<int>(i);
    const int64_t a = at > x.size() ? 1 : x[x.size() - at];
    const int64_t b = at > mask.size() ? 1 : mask[mask.size() - at];
    shape[shape.size() - i] = a == 1 ? b : a;
  }
  const std::vector<int64_t> flat = {-1};
  const auto line = [&](const Tensor& t) { return reshape({expand({t}, {shape})}, {flat}); };
  const Tensor at = reshape({argwhere({line(in[1])})}, {flat});
  return {select({line(in[0]), at}, {int64_t{0}})};
}

void declare_picks(Registry& r) {
  const std::vector<AttrDef> dim = {
      {.name = "dim", .kind = AttrKind::integer, .value = {}, .required = true}};
  const Formula formula = {"x[index] along one axis",
                           "x_{t_i}",
                           {{"x", "sum of g over equal indices", R"(\sum_{t_i = j} g_i)"}}};
  r.add({.name = "gather",
         .doc = "One element along an axis for every element of an integer tensor.",
         .inputs = {"input", "index"},
         .attrs = dim,
         .arguments = {"input", "dim", "index"},
         .moves = true,
         .infer = infer_gather,
         .forward = gather_forward,
         .backward = gather_back,
         .saves = {"index"},
         .cost = select_cost,
         .formula = formula,
         .example = "rv.gather(rv.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, rv.tensor([[1], [0]]))",
         .method = true});
  r.add({.name = "index_select",
         .doc = "The slices along an axis that an integer vector names, in its order.",
         .inputs = {"input", "index"},
         .attrs = dim,
         .arguments = {"input", "dim", "index"},
         .moves = true,
         .infer = infer_select,
         .forward = select_forward,
         .backward = select_back,
         .saves = {"index"},
         .cost = select_cost,
         .formula = formula,
         .example = "rv.index_select(rv.arange(6), 0, rv.tensor([4, 0]))",
         .method = true});
  r.add({.name = "take_along_dim",
         .doc = "One element along an axis for every index; input and indices broadcast on the "
                "other axes. Without an axis, elements of the flattened input.",
         .inputs = {"input", "indices"},
         .attrs = {{.name = "dim", .kind = AttrKind::integer, .value = {}, .optional = true}},
         .infer = infer_take_along,
         .composite = take_along_composite,
         .formula = formula,
         .example = "rv.take_along_dim(rv.tensor([[3.0, 1.0]]), rv.tensor([[1, 0]]), dim=1)",
         .method = true});
  r.add({.name = "take",
         .doc = "Elements of the flattened input, in the shape of the index.",
         .inputs = {"input", "index"},
         .moves = true,
         .infer = infer_take,
         .forward = take_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call("take_backward", {args.grad[0], args.in[1]}, {list(args.in_meta[0].shape)});
         },
         .saves = {"index"},
         .cost = select_cost,
         .formula = formula,
         .example = "rv.take(rv.tensor([[4.0, 3.0], [5.0, 1.0]]), rv.tensor([0, -1]))",
         .method = true});
  r.add({.name = "take_backward",
         .doc = "Gradient of take: adds up what was picked from one place.",
         .inputs = {"grad", "index"},
         .attrs = {{.name = "shape", .kind = AttrKind::integers, .value = {}, .required = true}},
         .infer = infer_take_backward,
         .forward = take_backward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return {call("take", {args.grad[0], args.in[1]})[0], Tensor()};
         },
         .saves = {"index"},
         .formula = {"sum of g over equal indices", R"(\sum g)", {}},
         .gradient_of = "take"});
}

void declare_searches(Registry& r) {
  const Formula where = {"the positions i with x_i != 0", R"(\{i : x_i \neq 0\})", {}};
  r.add({.name = "argwhere",
         .doc = "The positions of all elements that are not zero, one row each.",
         .inputs = {"input"},
         .infer_by_value = nonzero_shape,
         .forward = nonzero_forward,
         .differentiable = false,
         .formula = where,
         .example = "rv.argwhere(rv.tensor([[0.0, 3.0], [1.0, 0.0]]))",
         .method = true});
  r.add({.name = "masked_select",
         .doc = "The elements where a mask is true, in a row.",
         .inputs = {"input", "mask"},
         .infer = infer_masked_select,
         .composite = masked_select_composite,
         .formula = {"x where the mask is true",
                     R"((x_i)_{m_i})",
                     {{"x", "g in its place, 0 elsewhere", R"(g_i [m_i])"}}},
         .example = "rv.masked_select(rv.arange(3), rv.tensor([True, False, True]))",
         .method = true});
}

}  // namespace

void declare_indexing(Registry& r) {
  declare_picks(r);
  declare_searches(r);
}

}  // namespace ranvier
