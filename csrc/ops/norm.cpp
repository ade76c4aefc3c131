// Layer, RMS and group norm: every row by its own mean and deviation, whatever else is in the
// batch.
#include "ops/norm.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/allocator.h"
#include "ops/families.h"
#include "ops/stream.h"

namespace ranvier {

void check_norm_dtypes(const InferArgs& args, std::initializer_list<const char*> names) {
  const DType dtype = args.in[0].dtype;
  const std::string& op = args.op().name;
  if (!is_floating(dtype))
    fail(ErrorKind::type, "[", op, "] expected a floating dtype, got ", name_of(dtype),
         " for 'input'; call .float() or .double() on it");
  for (size_t i = 1; i < args.in.size(); ++i)
    for (const char* name : names)
      if (args.op().inputs[i] == name && args.given_inputs[i] && args.in[i].dtype != dtype)
        fail(ErrorKind::type, "[", op, "] expected ", name_of(dtype), " as for 'input', got ",
             name_of(args.in[i].dtype), " for '", name, "'; call .float() or .double() on one");
}

namespace {

std::vector<int> span_of(int begin, int end) {
  std::vector<int> axes;
  for (int i = begin; i < end; ++i) axes.push_back(i);
  return axes;
}

Tensor mean_of(const Tensor& x, const std::vector<int>& axes) {
  return total(x, axes) / static_cast<double>(count_along(x.shape(), axes));
}

}  // namespace

Normalized normalized(const Tensor& x, const std::vector<int>& axes, double eps, bool center) {
  static const Op rsqrt("rsqrt");
  const Tensor centred = center ? x - mean_of(x, axes) : x;
  return {centred, rsqrt({mean_of(centred * centred, axes) + scalar(eps, x.dtype())})};
}

Tensor along_rest(const Tensor& t, const Tensor& like, const std::vector<int>& axes) {
  static const Op reshape("reshape");
  return reshape({t}, {list(reduced(like.shape(), axes, true))});
}

Tensors norm_gradients(const Tensor& g, const Tensor& x, const Tensor& w,
                       const std::vector<int>& axes, const std::vector<int>& w_axes, double eps,
                       bool center) {
  static const Op sum("sum");
  const auto [centred, rstd] = normalized(x, axes, eps, center);
  const Tensor z = centred * rstd, gw = w.defined() ? g * along_rest(w, x, w_axes) : g;
  Tensor dx = gw - z * mean_of(gw * z, axes);
  if (center) dx = dx - mean_of(gw, axes);
  const auto down = [&](const Tensor& t) {
    return w_axes.empty() ? t : sum({t}, {list(w_axes), false});
  };
  return {dx * rstd, down(g * z), down(g)};
}

namespace {

// Attribute 0 is the normalised shape, attribute 1 eps; the input is (rows, n).
struct RowSplit {
  int64_t rows = 1, n = 1;
  int lead;  // axes that count rows
  RowSplit(const AttrReader& args, const Dims& shape)
      : lead(shape.size() - static_cast<int>(args.integers(0).size())) {
    for (int i = 0; i < shape.size(); ++i) (i < lead ? rows : n) *= shape[i];
  }
};

// RMS norm's eps may be None: the smallest step of the dtype.
double eps_of(const AttrReader& args, DType dtype) {
  if (args.given(1)) return args.number(1);
  return dtype == DType::float64 ? std::numeric_limits<double>::epsilon()
                                 : double{std::numeric_limits<float>::epsilon()};
}

void check_rows(const InferArgs& args, const Meta& input) {
  const Dims wanted = args.dims(0), &shape = input.shape;
  const int lead = shape.size() - wanted.size();
  bool fits = lead >= 0 && !wanted.empty();
  for (int i = 0; fits && i < wanted.size(); ++i) fits = shape[lead + i] == wanted[i];
  if (!fits)
    fail(ErrorKind::shape, "[", args.op().name, "] expected input whose last axes are ",
         to_string(wanted), ", got ", to_string(shape),
         wanted.empty() ? "; name one axis or more" : "");
  for (size_t i = 1; i < args.in.size(); ++i) {
    const std::string& name = args.op().inputs[i];
    if (args.given_inputs[i] && (name == "weight" || name == "bias") &&
        !(args.in[i].shape == wanted))
      args.mismatch("'" + name + "' of shape " + to_string(wanted));
  }
}

// The result, and mean and 1 / deviation of every row.
template <bool Center>
Metas infer_rows(const InferArgs& args) {
  check_rows(args, args.in[0]);
  const Meta& x = args.in[0];
  const Meta row{Dims(x.shape.begin(), static_cast<size_t>(x.shape.size() - args.dims(0).size())),
                 x.dtype};
  return {x, row, row};
}

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}
Tensor packed_or_none(const Tensor& t) { return t.defined() ? packed(t) : t; }

// f(begin, end, out) on the rows from `first` to `last`; a large result is made row by row and goes
// around the caches.
template <class T, class F>
void rows_into(const RowSplit& s, int64_t first, int64_t last, T* out, F f) {
  const size_t bytes = static_cast<size_t>(s.n) * sizeof(T);
  const bool around = streams(bytes * static_cast<size_t>(s.rows));
  parallel_items(last - first, s.n, kGrainRows, [&](int64_t from, int64_t to) {
    const int64_t begin = first + from, end = first + to;
    if (!around) return f(begin, end, out + begin * s.n);
    const Scratch memory(bytes);
    for (int64_t r = begin; r < end; ++r) {
      f(r, r + 1, reinterpret_cast<T*>(memory.get()));
      stream(out + r * s.n, memory.get(), bytes);
    }
    end_stream();
  });
}

// Inputs: input, weight, bias (layer norm only).
template <bool Center>
void rows_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]), w = packed_or_none(args.in[1]);
  const Tensor b = Center ? packed_or_none(args.in[2]) : Tensor();
  const RowSplit s(args, x.shape());
  const double eps = eps_of(args, x.dtype());
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    if (s.n == 0) {
      for (int i = 1; i < 3; ++i) std::fill_n(args.out[i].data<T>(), s.rows, T(0));
      return;
    }
    const T *scale = data_or_null<T>(w), *shift = data_or_null<T>(b);
    rows_into(s, 0, s.rows, args.out[0].data<T>(), [&](int64_t begin, int64_t end, T* y) {
      kernels<T>().norm_rows[Center](end - begin, s.n, x.data<T>() + begin * s.n, scale, shift, eps,
                                     y, args.out[1].data<T>() + begin,
                                     args.out[2].data<T>() + begin);
    });
  });
}

bool lie_packed(std::span<const Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(),
                     [](const Tensor& t) { return !t.defined() || t.is_contiguous(); });
}

template <bool Center>
Sweep rows_sweep(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  if (is_half(x.dtype()) || x.numel() == 0) return {};
  if (!lie_packed({args.in.begin(), args.in.size()}) ||
      !lie_packed({args.out.begin(), args.out.size()}))
    return {};
  const int64_t n = RowSplit(args, x.shape()).n;
  const Tensor bias = Center ? args.in[2] : Tensor();
  Sweep sweep{.operands = {args.out[0], args.out[1], args.out[2], x, args.in[1], bias},
              .results = 3,
              .steps = {n, 1, 1, n, 0, 0},
              .row = n,
              .work = kGrainCopied / kGrainRows};
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    sweep.rows = [n, eps = eps_of(args, x.dtype())](int64_t rows, void* const* at) {
      kernels<T>().norm_rows[Center](rows, n, static_cast<const T*>(at[3]),
                                     static_cast<const T*>(at[4]), static_cast<const T*>(at[5]),
                                     eps, static_cast<T*>(at[0]), static_cast<T*>(at[1]),
                                     static_cast<T*>(at[2]));
    };
  });
  return sweep;
}

template <class T>
struct RowGradients {
  const T *grad, *x, *mean, *rstd, *w;
  T *dx, *dw, *db;
};

// dw and db are added to.
template <bool Center, class T>
void add_gradients(const RowSplit& s, const RowGradients<T>& p) {
  constexpr int64_t kBlockBytes = 1 << 20;
  // Columns that one piece of work takes: four pieces, but wide ones where rows are long.
  const int64_t slice = std::min<int64_t>(256, (s.n + 63) / 64 * 16);
  const int64_t step = s.rows * s.n < 1 << 15 ? s.n : slice;
  // Blocks of rows that stay in the cache between the two readings.
  const int64_t block = std::max<int64_t>(kBlockBytes / (2 * s.n * int64_t{sizeof(T)}), 1);
  for (int64_t first = 0; first < s.rows; first += block) {
    const int64_t last = std::min(s.rows, first + block);
    rows_into(s, first, last, p.dx, [&](int64_t begin, int64_t end, T* dx) {
      kernels<T>().norm_rows_backward[Center](end - begin, s.n, p.grad + begin * s.n,
                                              p.x + begin * s.n, p.w, p.mean + begin,
                                              p.rstd + begin, dx);
    });
    parallel_for((s.n + step - 1) / step, 1, [&](int64_t part, int64_t) {
      const int64_t column = part * step, at = first * s.n + column;
      kernels<T>().norm_weight_rows[Center](last - first, std::min(step, s.n - column), s.n,
                                            p.grad + at, p.x + at, p.mean + first, p.rstd + first,
                                            p.dw + column, p.db ? p.db + column : nullptr);
    });
  }
}

// Inputs: grad, input, mean, rstd, weight, all row-major. Outputs: of input, weight and bias.
template <bool Center, class T>
RowGradients<T> row_gradients(const Tensors& in, const Tensors& out) {
  return {in[0].data<T>(),        in[1].data<T>(),
          in[2].data<T>(),        in[3].data<T>(),
          data_or_null<T>(in[4]), out[0].data<T>(),
          out[1].data<T>(),       Center ? out[2].data<T>() : nullptr};
}

// Inputs: those, and what the last two gradients are added to.
template <bool Center>
void rows_backward_forward(const ForwardArgs& args) {
  Tensors in;
  for (size_t i = 0; i < 5; ++i) in.push_back(packed_or_none(args.in[i]));
  const RowSplit s(args, in[1].shape());
  if (s.n == 0) return;
  for (size_t i = 1; i < args.out.size(); ++i)
    copy(args.out[i], args.in[i + 4].defined() ? args.in[i + 4] : scalar(0, in[1].dtype()));
  visit_floating(in[1].dtype(), [&]<class T>(Tag<T>) {
    add_gradients<Center>(s, row_gradients<Center, T>(in, args.out));
  });
}

template <bool Center>
Prepared rows_backward_prepare(const ForwardArgs& args) {
  const Tensor& x = args.in[1];
  if (is_half(x.dtype()) || x.numel() == 0) return {};
  if (!lie_packed({args.in.begin(), args.in.size()}) ||
      !lie_packed({args.out.begin(), args.out.size()}))
    return {};
  Prepared call;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    std::array<const T*, 2> before{};
    for (size_t i = 5; i < args.in.size(); ++i) before.at(i - 5) = data_or_null<T>(args.in[i]);
    call = [s = RowSplit(args, x.shape()), p = row_gradients<Center, T>(args.in, args.out),
            before] {
      T* const sums[] = {p.dw, p.db};
      for (size_t i = 0; i < 2; ++i)
        if (sums[i] && before[i])
          std::copy_n(before[i], s.n, sums[i]);
        else if (sums[i])
          std::fill_n(sums[i], s.n, T(0));
      add_gradients<Center>(s, p);
    };
  });
  return call;
}

template <bool Center>
Metas infer_rows_backward(const InferArgs& args) {
  check_rows(args, args.in[1]);
  const RowSplit s(args, args.in[1].shape);
  if (!(args.in[0].shape == args.in[1].shape) || count(args.in[2].shape) != s.rows ||
      count(args.in[3].shape) != s.rows)
    args.mismatch("'grad' like 'input', 'mean' and 'rstd' with one number a row");
  const Meta weight{args.dims(0), args.in[1].dtype};
  for (size_t i = 5; i < args.in.size(); ++i)
    if (args.given_inputs[i] && !(args.in[i].shape == weight.shape))
      args.mismatch("'" + args.op().inputs[i] + "' of shape " + to_string(weight.shape));
  return Center ? Metas{args.in[1], weight, weight} : Metas{args.in[1], weight};
}

// Weight and bias along the normalised axes, if there are any.
Tensor affine(Tensor z, const Tensors& in, size_t first) {
  if (in.size() > first && in[first].defined()) z = z * in[first];
  if (in.size() > first + 1 && in[first + 1].defined()) z = z + in[first + 1];
  return z;
}

template <bool Center>
Tensors rows_composite(const Tensors& in, const AttrReader& args) {
  const int dims = in[0].dim(), lead = RowSplit(args, in[0].shape()).lead;
  const auto [centred, rstd] =
      normalized(in[0], span_of(lead, dims), eps_of(args, in[0].dtype()), Center);
  return {affine(centred * rstd, in, 1)};
}

template <bool Center>
Tensors rows_backward_composite(const Tensors& in, const AttrReader& args) {
  const int dims = in[1].dim(), lead = RowSplit(args, in[1].shape()).lead;
  Tensors grads = norm_gradients(in[0], in[1], in[4], span_of(lead, dims), span_of(0, lead),
                                 eps_of(args, in[1].dtype()), Center);
  for (size_t i = 1; i < 3; ++i)
    if (in.size() > i + 4 && in[i + 4].defined()) grads[i] = in[i + 4] + grads[i];
  if (!Center) grads.pop_back();
  return grads;
}

// The gradients of weight and bias go on from those that are there.
Tensors rows_backward(const BackwardArgs& args) {
  static const Op copy_into("copy_");
  Tensors in = {args.grad[0], args.in[0], args.out[1], args.out[2], args.in[1]};
  for (size_t i = 1; i < args.in.size(); ++i) {
    const Tensor held = args.needs[i] ? args.held_by(i) : Tensor();
    in.push_back(held.defined() && held.dtype() == args.in[0].dtype() ? held : Tensor());
  }
  const Tensors found = call(args.op().name + "_backward", in, args.all());
  Tensors grads(args.in.size());
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!args.needs[i]) continue;
    grads[i] = found[i];
    if (i == 0 || !in[i + 4].defined()) continue;
    copy_into({in[i + 4], found[i]});
    grads[i] = in[i + 4];
  }
  return grads;
}

AttrDef shape_attr() {
  return {.name = "normalized_shape", .kind = AttrKind::integers, .value = {}, .required = true};
}

template <bool Center>
void declare_rows(Registry& r, OpDef op, const AttrDef& eps) {
  const std::string name = op.name;
  op.outputs = {"result", "_mean", "_rstd"};
  op.attrs = {shape_attr(), eps};
  op.types = Types::floats;
  op.infer = infer_rows<Center>;
  op.forward = rows_forward<Center>;
  op.sweep = rows_sweep<Center>;
  op.backward = rows_backward;
  op.composite = rows_composite<Center>;
  op.saves = {"input", "weight for input", "_mean", "_rstd"};
  op.continues = true;
  r.add(std::move(op));
  r.add({.name = name + "_backward",
         .doc = "Gradients of " + name + ".",
         .inputs = Center ? std::vector<std::string>{"grad", "input", "mean", "rstd", "weight?",
                                                     "weight_before?", "bias_before?"}
                          : std::vector<std::string>{"grad", "input", "mean", "rstd", "weight?",
                                                     "weight_before?"},
         .outputs = Center ? std::vector<std::string>{"grad_input", "grad_weight", "grad_bias"}
                           : std::vector<std::string>{"grad_input", "grad_weight"},
         .attrs = {shape_attr(), eps},
         .types = Types::floats,
         .infer = infer_rows_backward<Center>,
         .forward = rows_backward_forward<Center>,
         .prepare = rows_backward_prepare<Center>,
         .composite = rows_backward_composite<Center>,
         .saves = Center ? std::vector<std::string>{"grad", "input", "weight", "weight_before",
                                                    "bias_before"}
                         : std::vector<std::string>{"grad", "input", "weight", "weight_before"},
         .formula = {Center ? "rstd (g w - mean(g w) - z mean(g w z)); sum(g z); sum(g)"
                            : "rstd (g w - z mean(g w z)); sum(g z)",
                     R"(\frac{1}{\sigma}(gw-\overline{gw}-z\,\overline{gwz}))",
                     {}},
         .gradient_of = name});
}

Metas infer_groups(const InferArgs& args) {
  const Meta& x = args.in[0];
  const int64_t groups = args.integer(0);
  if (x.shape.size() < 2) args.mismatch("input with two axes or more, (rows, channels, ...)");
  const int64_t channels = x.shape[1];
  if (groups < 1 || channels % groups != 0)
    fail(ErrorKind::value, "[group_norm] num_groups: expected a divisor of the ", channels,
         " channels, got ", groups);
  for (size_t i = 1; i < 3; ++i)
    if (args.given_inputs[i] && !(args.in[i].shape == Dims{channels}))
      args.mismatch("'" + args.op().inputs[i] + "' of shape " + to_string(Dims{channels}));
  return {x};
}

// Wu and He, "Group normalization" (2018): layer norm of every group of channels, then a scale and
// a shift for each channel.
Tensors groups_composite(const Tensors& in, const AttrReader& args) {
  static const Op reshape("reshape"), layer_norm("layer_norm");
  const Tensor& x = in[0];
  const int64_t groups = args.integer(0), size = count(x.shape());
  const int64_t rows = x.shape()[0], each = rows * groups == 0 ? 0 : size / (rows * groups);
  const std::vector<int64_t> split = {rows, groups, each};
  const Tensor z =
      reshape({layer_norm({reshape({x}, {split})}, {std::vector<int64_t>{each}, args.number(1)})},
              {list(x.shape())});
  std::vector<int> rest = span_of(0, x.dim());
  rest.erase(rest.begin() + 1);
  Tensors parts = {z};
  for (size_t i = 1; i < 3; ++i)
    parts.push_back(in[i].defined() ? along_rest(in[i], x, rest) : Tensor());
  return {affine(z, parts, 1)};
}

void declare_groups(Registry& r) {
  r.add({.name = "group_norm",
         .doc = "Normalises every group of channels of each row to mean 0 and variance 1, then "
                "scales and shifts channels.",
         .inputs = {"input", "weight?", "bias?"},
         .attrs = {{.name = "num_groups", .kind = AttrKind::integer, .value = {}, .required = true},
                   eps_attr(1e-5)},
         .arguments = {"input", "num_groups", "weight", "bias", "eps"},
         .types = Types::floats,
         .infer = infer_groups,
         .composite = groups_composite,
         .formula = {"(x - mean) / sqrt(var + eps) w + b over each group",
                     R"(\frac{x-\mu_g}{\sqrt{\sigma_g^2+\epsilon}}\,w+b)",
                     {{"x", "that of layer_norm", R"(\partial\operatorname{LN}/\partial x)"},
                      {"w", "sum(g z)", R"(\sum g z)"},
                      {"b", "sum(g)", R"(\sum g)"}}},
         .example = "rv.group_norm(rv.rand(2, 6), 3)"});
}

}  // namespace

void declare_row_norms(Registry& r) {
  const std::vector<Derivative> slopes = {
      {"x", "rstd (g w - mean(g w) - z mean(g w z)), z = (x - mean) rstd",
       R"(\frac{1}{\sigma}(gw-\overline{gw}-z\,\overline{gwz}))"},
      {"w", "sum(g z)", R"(\sum g z)"},
      {"b", "sum(g)", R"(\sum g)"}};
  declare_rows<true>(
      r,
      {.name = "layer_norm",
       .doc = "Normalises each row, the axes of `normalized_shape`, to mean 0 and variance 1, then "
              "scales and shifts it.",
       .inputs = {"input", "weight?", "bias?"},
       .arguments = {"input", "normalized_shape", "weight", "bias", "eps"},
       .formula = {"(x - mean(x)) / sqrt(var(x) + eps) w + b",
                   R"(\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}}\,w+b)", slopes},
       .example = "rv.layer_norm(rv.tensor([[1.0, 2.0, 4.0]]), 3)"},
      eps_attr(1e-5));
  AttrDef eps = eps_attr(0);
  eps.value = {};
  eps.optional = true;
  declare_rows<false>(
      r,
      {.name = "rms_norm",
       .doc = "Divides each row, the axes of `normalized_shape`, by the root of the mean of its "
              "squares, then scales it.",
       .inputs = {"input", "weight?"},
       .arguments = {"input", "normalized_shape", "weight", "eps"},
       .formula = {"x / sqrt(mean(x^2) + eps) w",
                   R"(\frac{x}{\sqrt{\overline{x^2}+\epsilon}}\,w)",
                   {{"x", "rstd (g w - z mean(g w z)), z = x rstd",
                     R"(\frac{1}{r}(gw-z\,\overline{gwz}))"},
                    {"w", "sum(g z)", R"(\sum g z)"}}},
       .example = "rv.rms_norm(rv.tensor([[1.0, 2.0, 4.0]]), 3)"},
      eps);
  declare_groups(r);
}

}  // namespace ranvier
