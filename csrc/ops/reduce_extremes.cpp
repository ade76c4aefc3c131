// Largest and smallest elements, where they are, and whether any or all are true. A NaN is the
// extreme of everything, the first of several equal elements is the one that is chosen.
#include "ops/reduce.h"

namespace ranvier {
namespace {

// ---- the value alone

template <class T, bool Largest>
bool better(T value, T than) {
  return (Largest ? value > than : value < than) || (value != value && than == than);
}

template <class T, bool Largest>
struct Best {
  T value;
  int64_t at = -1;
  void take(T x, int64_t i) {
    if (at >= 0 && !better<T, Largest>(x, value)) return;
    value = x;
    at = i;
  }
  void join(const Best& later) {
    if (later.at >= 0) take(later.value, later.at);
  }
};

// Long rows are cut into pieces, so that several threads share them.
template <class T, bool Largest>
void row_extremes(const T* x, int64_t rows, int64_t n, T* y) {
  const auto kernel = Largest ? kernels<T>().max : kernels<T>().min;
  const int64_t pieces = std::max<int64_t>((n + kFold - 1) / kFold, 1);
  const Scratch memory(static_cast<size_t>(rows * pieces) * sizeof(T));
  T* const partial = reinterpret_cast<T*>(memory.get());
  parallel_items(rows * pieces, std::min(n, kFold), kGrainFolded, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t first = unit % pieces * kFold;
      partial[unit] = kernel(std::min(n - first, kFold), x + unit / pieces * n + first);
    }
  });
  for (int64_t row = 0; row < rows; ++row) y[row] = kernel(pieces, partial + row * pieces);
}

// Rows are compared with one another, as many columns at a time as lie side by side.
template <class T, bool Largest>
void column_extremes(const T* x, const AxisSplit& s, T* y) {
  constexpr int64_t kTile = 1024;
  const MapFn larger =
      kernel_table().forward[static_cast<int>(Largest ? Row::maximum : Row::minimum)]
                            [std::is_same_v<T, double>];
  const int64_t tiles = (s.inner + kTile - 1) / kTile;
  parallel_items(s.outer * tiles, s.size * std::min(s.inner, kTile), kGrainFolded,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t unit = begin; unit < end; ++unit) {
                     const int64_t left = unit % tiles * kTile, o = unit / tiles;
                     const int64_t n = std::min(s.inner - left, kTile);
                     const T* const from = x + o * s.size * s.inner + left;
                     T* const to = y + o * s.inner + left;
                     std::copy_n(from, n, to);
                     for (int64_t r = 1; r < s.size; ++r) {
                       const void* const in[] = {to, from + r * s.inner};
                       larger(n, in, to, 0);
                     }
                   }
                 });
}

template <bool Largest>
void extremes(const Tensor& x, const AxisSplit& s, const Tensor& out) {
  if (out.numel() == 0) return;
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    T* const y = out.data<T>();
    if constexpr (std::is_floating_point_v<T>) {
      if (s.inner == 1) return row_extremes<T, Largest>(from, s.outer, s.size, y);
      if (s.inner >= 16) return column_extremes<T, Largest>(from, s, y);
    }
    fold(from, s, Best<T, Largest>(),
         [&](int64_t i, const Best<T, Largest>& best) { y[i] = best.value; });
  });
}

template <bool Largest>
void extremes_forward(const ForwardArgs& args) {
  AxisSplit split({}, 0);
  const Tensor from = gathered(args.in[0], axes_of(args, args.in[0].dim()), &split);
  extremes<Largest>(from, split, args.out[0]);
}

template <bool Largest>
Prepared extremes_prepare(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  const Standing s = is_half(x.dtype()) ? Standing() : standing(x, axes_of(args, x.dim()));
  if (!s.from.defined()) return {};
  return brought(s.bring, [from = s.from, split = s.split, out = args.out[0]] {
    extremes<Largest>(from, split, out);
  });
}

void aminmax_forward(const ForwardArgs& args) {
  AxisSplit split({}, 0);
  const Tensor from = gathered(args.in[0], axes_of(args, args.in[0].dim()), &split);
  extremes<false>(from, split, args.out[0]);
  extremes<true>(from, split, args.out[1]);
}

Metas infer_extremes(const InferArgs& args) {
  const Meta& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.shape.size());
  expect_elements(args, axes, args.given(0));
  const Meta out{reduced(x.shape, axes, args.flag(1)), x.dtype};
  return args.op().outputs.size() > 1 ? Metas{out, out} : Metas{out};
}

// The gradient of an extreme is shared equally by all elements that have its value.
Tensor shared(const BackwardArgs& args, size_t output) {
  static const Op eq("eq");
  const Dims& shape = args.in_meta[0].shape;
  const std::vector<int> axes = axes_of(args, shape.size());
  const Tensor g = kept(args.grad[output], shape, axes);
  const Tensor chosen =
      as(eq({args.in[0], kept(args.out[output], shape, axes)}), args.grad[output].dtype());
  return g / total(chosen, axes) * chosen;
}

Tensors shared_back(const BackwardArgs& args) {
  Tensor dx;
  for (size_t i = 0; i < args.grad.size(); ++i) {
    if (!args.grad[i].defined()) continue;
    const Tensor one = shared(args, i);
    dx = dx.defined() ? dx + one : one;
  }
  return {dx};
}

// ---- where it is

// Each of y and at may be null.
template <bool Largest, class T>
void find_extremes(const T* x, const AxisSplit& s, T* y, int64_t* at) {
  if constexpr (std::is_floating_point_v<T>)
    if (s.inner == 1)  // two fast passes: the value, then the first place where it stands
      return parallel_items(s.outer, s.size, kGrainFolded, [&](int64_t begin, int64_t end) {
        const auto kernel = Largest ? kernels<T>().max : kernels<T>().min;
        for (int64_t row = begin; row < end; ++row) {
          const T* const from = x + row * s.size;
          const T best = kernel(s.size, from);
          int64_t i = 0;
          if (best == best)
            while (i < s.size - 1 && from[i] != best) ++i;
          else
            while (i < s.size - 1 && from[i] == from[i]) ++i;
          if (at) at[row] = i;
          if (y) y[row] = from[i];
        }
      });
  fold(x, s, Best<T, Largest>(), [&](int64_t i, const Best<T, Largest>& best) {
    if (at) at[i] = best.at;
    if (y) y[i] = best.value;
  });
}

template <bool Largest>
void arg_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  if (args.out[0].numel() == 0) return;
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    find_extremes<Largest, T>(x.data<T>(), axis_split(args, x), nullptr,
                              args.out[0].data<int64_t>());
  });
}

template <bool Largest>
Prepared arg_prepare(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &out = args.out[0];
  if (is_half(x.dtype()) || !x.is_contiguous() || out.numel() == 0) return {};
  Prepared call;
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    call = [from = x.data<T>(), split = axis_split(args, x), at = out.data<int64_t>()] {
      find_extremes<Largest, T>(from, split, nullptr, at);
    };
  });
  return call;
}

template <bool Largest>
void max_forward(const ForwardArgs& args) {
  if (!args.given(0)) return extremes_forward<Largest>(args);
  const Tensor x = packed(args.in[0]);
  if (args.out[0].numel() == 0) return;
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    find_extremes<Largest, T>(x.data<T>(), axis_split(args, x), args.out[0].data<T>(),
                              args.out[1].data<int64_t>());
  });
}

template <bool Largest>
Prepared max_prepare(const ForwardArgs& args) {
  if (!args.given(0)) return extremes_prepare<Largest>(args);
  const Tensor &x = args.in[0], &out = args.out[0];
  if (is_half(x.dtype()) || !x.is_contiguous() || out.numel() == 0) return {};
  Prepared call;
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    call = [from = x.data<T>(), split = axis_split(args, x), y = out.data<T>(),
            at = args.out[1].data<int64_t>()] { find_extremes<Largest, T>(from, split, y, at); };
  });
  return call;
}

Metas infer_arg(const InferArgs& args) {
  const Dims& shape = args.in[0].shape;
  const std::vector<int> axes = axes_of(args, shape.size());
  if (count(shape) == 0 && !args.given(0))  // an IndexError in PyTorch, too
    fail(ErrorKind::index, "[", args.op().name, "] expected at least one element, got shape ",
         to_string(shape));
  expect_elements(args, axes, true);
  return {{reduced(shape, axes, args.flag(1)), DType::int64}};
}

Metas infer_max(const InferArgs& args) {
  const Meta& x = args.in[0];
  const std::vector<int> axes = axes_of(args, x.shape.size());
  expect_elements(args, axes, args.given(0));
  const Dims shape = reduced(x.shape, axes, args.flag(1));
  return args.given(0) ? Metas{{shape, x.dtype}, {shape, DType::int64}} : Metas{{shape, x.dtype}};
}

// ---- any and all

template <bool All>
struct Truth {
  bool value = All;
  template <class T>
  void take(T x, int64_t) {
    value = All ? value && x != T(0) : value || x != T(0);
  }
  void join(const Truth& later) { value = All ? value && later.value : value || later.value; }
};

// Here an empty list of axes reduces none, as in PyTorch.
std::vector<int> truth_axes(const AttrReader& args, int dim) {
  if (args.given(0) && args.integers(0).empty()) return {};
  return axes_of(args, dim);
}

template <bool All>
void truth_forward(const ForwardArgs& args) {
  AxisSplit split({}, 0);
  const Tensor x = gathered(args.in[0], truth_axes(args, args.in[0].dim()), &split);
  bool* const y = args.out[0].data<bool>();  // 0 or 1 in uint8, too
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    fold(x.data<T>(), split, Truth<All>(),
         [&](int64_t i, const Truth<All>& truth) { y[i] = truth.value; });
  });
}

template <bool All>
void declare_truth(Registry& r, OpDef op) {
  op.inputs = {"input"};
  op.attrs = {axes_attr(), keepdim_attr()};
  op.infer = [](const InferArgs& args) -> Metas {
    const Meta& x = args.in[0];
    return {{reduced(x.shape, truth_axes(args, x.shape.size()), args.flag(1)),
             x.dtype == DType::uint8 ? DType::uint8 : DType::bool_}};
  };
  op.forward = truth_forward<All>;
  op.differentiable = false;
  op.method = true;
  r.add(std::move(op));
}

// ---- declarations

const char* const kShared = "1 / k at the k elements that have this value, else 0";
const char* const kSharedLatex = R"(\frac{[x_i = y]}{\sum_j [x_j = y]})";

template <bool Largest>
void declare_pair(Registry& r, const std::string& word, const std::string& symbol) {
  const std::string most = Largest ? "Largest" : "Smallest", name = Largest ? "max" : "min";
  const Formula formula = {name + "(x)", "\\" + name + "_i x_i", {{"x", kShared, kSharedLatex}}};
  r.add({.name = word,
         .doc = most + " element over the given axes, or over all; NaN if there is one. Equal "
                       "ones share the gradient.",
         .inputs = {"input"},
         .attrs = {axes_attr(), keepdim_attr()},
         .infer = infer_extremes,
         .forward = extremes_forward<Largest>,
         .prepare = extremes_prepare<Largest>,
         .backward = shared_back,
         .saves = {"input", "result"},
         .formula = formula,
         .example = "rv." + word + "(rv.tensor([[1.0, 5.0], [3.0, 2.0]]), dim=0)",
         .method = true});
  r.add({.name = name,
         .doc = most + " element of all, whose gradient equal ones share; or, with dim, values and "
                       "the indices of the first ones along that axis.",
         .inputs = {"input"},
         .outputs = {"values", "indices"},
         .fewer_results = true,
         .attrs = {axis_attr(), keepdim_attr()},
         .infer = infer_max,
         .forward = max_forward<Largest>,
         .prepare = max_prepare<Largest>,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return args.given(0) ? picked_back(args) : shared_back(args);
         },
         .saves = {"input", "values", "indices"},
         .formula = {name + "(x)",
                     "\\" + name + "_i x_i",
                     {{"x", "along dim 1 at the index, else 0; of all " + std::string(kShared),
                       kSharedLatex}}},
         .example = "rv." + name + "(rv.tensor([[1.0, 5.0], [3.0, 2.0]]), 1)",
         .fronted = true});
  r.add({.name = "arg" + name,
         .doc = "Index of the first " + std::string(Largest ? "largest" : "smallest") +
                " element along an axis, or in the flattened tensor.",
         .inputs = {"input"},
         .attrs = {axis_attr(), keepdim_attr()},
         .infer = infer_arg,
         .forward = arg_forward<Largest>,
         .prepare = arg_prepare<Largest>,
         .differentiable = false,
         .formula = {"arg" + name + "(x)", symbol, {}},
         .example = "rv.arg" + name + "(rv.tensor([1.0, 5.0, 2.0]))",
         .method = true});
}

}  // namespace

Tensors picked_back(const BackwardArgs& args) {
  static const Op add("scatter_add"), expand("expand");
  const Dims& shape = args.in_meta[0].shape;
  if (!args.grad[0].defined()) return {Tensor()};
  const std::vector<int> axes = axes_of(args, shape.size());
  const Tensor g = kept(args.grad[0], shape, axes), at = kept(args.out[1], shape, axes);
  const Tensor none = expand({scalar(0, g.dtype())}, {list(shape)});
  return {add({none, at, g}, {int64_t{axes.empty() ? 0 : axes[0]}})};
}

void declare_extremes(Registry& r) {
  declare_pair<true>(r, "amax", R"(\arg\max_i x_i)");
  declare_pair<false>(r, "amin", R"(\arg\min_i x_i)");
  AttrDef dim = axes_attr(), keepdim = keepdim_attr();
  dim.keyword = keepdim.keyword = true;
  r.add({.name = "aminmax",
         .doc = "Smallest and largest element over the given axes, or over all, in one call.",
         .inputs = {"input"},
         .outputs = {"min", "max"},
         .attrs = {dim, keepdim},
         .infer = infer_extremes,
         .forward = aminmax_forward,
         .backward = shared_back,
         .saves = {"input", "min", "max"},
         .formula = {"min(x), max(x)", R"(\min_i x_i, \max_i x_i)", {{"x", kShared, kSharedLatex}}},
         .example = "rv.aminmax(rv.tensor([1.0, 5.0, 2.0]))",
         .method = true});
  declare_truth<false>(r, {.name = "any",
                           .doc = "Whether any element is not 0, over the given axes or over all. "
                                  "NaN is not 0; uint8 gives uint8.",
                           .formula = {"any(x != 0)", R"(\exists i: x_i \ne 0)", {}},
                           .example = "rv.any(rv.tensor([False, True]))"});
  declare_truth<true>(r, {.name = "all",
                          .doc = "Whether no element is 0, over the given axes or over all. "
                                 "uint8 gives uint8.",
                          .formula = {"all(x != 0)", R"(\forall i: x_i \ne 0)", {}},
                          .example = "rv.all(rv.tensor([False, True]))"});
}

}  // namespace ranvier
