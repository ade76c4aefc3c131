// Batch norm: every channel by its mean and deviation in the batch (training), or by given ones.
// Ioffe and Szegedy, "Batch normalization" (2015), algorithms 1 and 2.
#include <algorithm>
#include <cmath>

#include "ops/families.h"
#include "ops/norm.h"
#include "ranvier/autograd.h"

namespace ranvier {
namespace {

// All axes but the channels', axis 1.
std::vector<int> all_but_channels(int dims) {
  std::vector<int> axes = {0};
  for (int i = 2; i < dims; ++i) axes.push_back(i);
  return axes;
}

// The tensor with its channels last; of a matrix it is the tensor itself.
Tensor channels_last(const Tensor& t) {
  Dims shape = t.shape(), strides = t.strides();
  shape.erase(1);
  strides.erase(1);
  shape.push_back(t.shape()[1]);
  strides.push_back(t.strides()[1]);
  return t.alias(shape, strides, t.impl()->offset);
}

// Row-major memory (rows, channels) that is written for `out`.
class Columns {
 public:
  explicit Columns(const Tensor& out) : out_(out) {
    memory_ = out.dim() == 2 ? out : Tensor::empty(channels_last(out).shape(), out.dtype());
  }
  template <class T>
  T* data() const {
    return memory_.data<T>();
  }
  void finish() const {
    if (!memory_.same(out_)) copy(channels_last(out_), memory_);
  }

 private:
  Tensor out_, memory_;
};

Dims channels_of(const InferArgs& args, const Meta& x) {
  if (x.shape.size() < 2) args.mismatch("input with two axes or more, (rows, channels, ...)");
  return {x.shape[1]};
}

void check_channels(const InferArgs& args, const Dims& channels,
                    std::initializer_list<const char*> names) {
  for (size_t i = 1; i < args.in.size(); ++i)
    for (const char* name : names)
      if (args.op().inputs[i] == name && args.given_inputs[i] && !(args.in[i].shape == channels))
        args.mismatch("'" + std::string(name) + "' of shape " + to_string(channels));
}

enum TrainInput { kInput, kMean, kVar, kWeight, kBias, kTracked };

Metas infer_train(const InferArgs& args) {
  const Meta& x = args.in[kInput];
  check_norm_dtypes(args, {"weight", "bias"});
  const Dims channels = channels_of(args, x);
  check_channels(args, channels, {"running_mean", "running_var", "weight", "bias"});
  for (const int i : {kMean, kVar})
    if (args.given_inputs[i] && !is_floating(args.in[i].dtype))
      fail(ErrorKind::type, "[batch_norm] expected floating numbers for '", args.op().inputs[i],
           "', got ", name_of(args.in[i].dtype));
  if (args.given_inputs[kTracked] &&
      (count(args.in[kTracked].shape) != 1 || args.in[kTracked].dtype != DType::int64))
    args.mismatch("'num_batches_tracked' as one int64");
  const double correction = args.number(2);
  if (!(correction >= 0 && correction <= 1))
    fail(ErrorKind::value, "[batch_norm] correction: expected 0 to 1, got ", correction);
  if (count(x.shape) == channels[0] && channels[0] > 0 && correction == 1)
    fail(ErrorKind::value, "[batch_norm] expected more than 1 value per channel when training, ",
         "got input of shape ", to_string(x.shape),
         "; batches of one row have no variance: use a larger batch (drop_last=True leaves out a ",
         "last one), or model.eval()");
  return {x, {channels, x.dtype}, {channels, x.dtype}};
}

// Mean and (biased) variance of every column.
template <class T>
void column_moments(const T* x, int64_t rows, int64_t cols, T* mean, T* var) {
  AxisSplit split({}, 0);
  split.size = rows;
  split.inner = cols;
  const T n = static_cast<T>(rows);
  sum_split(x, split, mean);
  for (int64_t j = 0; j < cols; ++j) mean[j] /= n;
  const Scratch memory(static_cast<size_t>(cols) * sizeof(T));
  T* const rest = reinterpret_cast<T*>(memory.get());
  deviation_sums(x, split, mean, rest, var);
  for (int64_t j = 0; j < cols; ++j) {
    const T correction = rest[j] / n;
    const T squares = var[j] - rest[j] * correction;
    var[j] = (squares < 0 ? T(0) : squares) / n;
    if (std::isfinite(correction)) mean[j] += correction;
  }
}

// running = (1 - momentum) running + momentum value
template <class R, class T>
void move_on(R* running, int64_t n, const T* values, double scale, double momentum) {
  const R rest = static_cast<R>(1 - momentum), part = static_cast<R>(momentum);
  for (int64_t j = 0; j < n; ++j)
    running[j] = rest * running[j] + part * static_cast<R>(static_cast<double>(values[j]) * scale);
}

template <class T>
void move_running(const Tensor& running, const T* values, double scale, double momentum) {
  if (!running.defined()) return;
  const Tensor mine = packed(running);
  visit_floating(running.dtype(), [&]<class R>(Tag<R>) {
    move_on(mine.data<R>(), running.numel(), values, scale, momentum);
  });
  if (!mine.same(running)) copy(running, mine);
}

// Rows times columns as the kernels read them, and numbers of each column.
template <class T>
struct Block {
  int64_t rows, cols;
  const T* x;
};

// y = (x - mean) rstd w + b; `scale` takes rstd w.
template <class T>
void normalize(const Block<T>& in, const T* mean, const T* rstd, const T* w, const T* b, T* scale,
               T* y) {
  for (int64_t j = 0; j < in.cols; ++j) scale[j] = w ? rstd[j] * w[j] : rstd[j];
  parallel_items(in.rows, in.cols, kGrainFolded, [&](int64_t begin, int64_t end) {
    kernels<T>().scale_rows(end - begin, in.cols, in.x + begin * in.cols, mean, scale, b,
                            y + begin * in.cols);
  });
}

// 1 / sqrt(var + eps)
template <class T>
void reciprocal_deviations(const T* var, int64_t n, double eps, T* rstd) {
  for (int64_t j = 0; j < n; ++j) rstd[j] = T(1) / std::sqrt(var[j] + static_cast<T>(eps));
}

template <class T>
const T* numbers_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

// Whether the tensors of a call in a program are read and written where they lie.
bool stand_as_read(const ForwardArgs& args, size_t input) {
  const DType dtype = args.in[input].dtype();
  if (is_half(dtype) || args.in[input].dim() != 2 || args.in[input].numel() == 0) return false;
  return std::all_of(args.in.begin(), args.in.end(), [&](const Tensor& t) {
    return !t.defined() || (t.is_contiguous() && (t.dtype() == dtype || t.dtype() == DType::int64));
  });
}

// The weight of this batch in the running statistics; of a mean over all batches where None is
// asked for. Counts the batch.
double step_of(const ForwardArgs& args) {
  if (!args.in[kTracked].defined()) return args.given(0) ? args.number(0) : 0.0;
  const int64_t batches = ++*args.in[kTracked].data<int64_t>();
  return args.given(0) ? args.number(0) : 1.0 / static_cast<double>(batches);
}

void train_forward(const ForwardArgs& args) {
  const Tensor& input = args.in[kInput];
  const Tensor x = packed(channels_last(input));
  const int64_t cols = input.shape()[1], rows = cols ? input.numel() / cols : 0;
  const Tensor w = args.in[kWeight].defined() ? packed(args.in[kWeight]) : Tensor();
  const Tensor b = args.in[kBias].defined() ? packed(args.in[kBias]) : Tensor();
  const double momentum = step_of(args);
  const Columns out(args.out[0]);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    T *mean = args.out[1].data<T>(), *rstd = args.out[2].data<T>();
    if (rows == 0) {
      std::fill_n(mean, cols, T(0));
      std::fill_n(rstd, cols, T(0));
      return;
    }
    column_moments(x.data<T>(), rows, cols, mean, rstd);
    move_running(args.in[kMean], mean, 1.0, momentum);
    const auto n = static_cast<double>(rows);
    move_running(args.in[kVar], rstd, n / (n - args.number(2)), momentum);
    reciprocal_deviations(rstd, cols, args.number(1), rstd);
    const Tensor scales = Tensor::empty({cols}, x.dtype());
    normalize<T>({rows, cols, x.data<T>()}, mean, rstd, numbers_or_null<T>(w),
                 numbers_or_null<T>(b), scales.data<T>(), out.data<T>());
  });
  out.finish();
}

Prepared train_prepare(const ForwardArgs& args) {
  Prepared call;
  if (!stand_as_read(args, kInput)) return call;
  visit_floating(args.in[kInput].dtype(), [&]<class T>(Tag<T>) {
    const Tensor &x = args.in[kInput], &m = args.in[kMean], &v = args.in[kVar];
    const Block<T> in{x.shape()[0], x.shape()[1], x.data<T>()};
    const auto n = static_cast<double>(in.rows);
    call = [args, in, mean = args.out[1].data<T>(), rstd = args.out[2].data<T>(),
            running_mean = m.defined() ? m.data<T>() : nullptr,
            running_var = v.defined() ? v.data<T>() : nullptr, unbiased = n / (n - args.number(2)),
            eps = args.number(1), w = numbers_or_null<T>(args.in[kWeight]),
            b = numbers_or_null<T>(args.in[kBias]), y = args.out[0].data<T>(),
            scale = std::vector<T>(static_cast<size_t>(in.cols))]() mutable {
      const double momentum = step_of(args);
      column_moments(in.x, in.rows, in.cols, mean, rstd);
      if (running_mean) move_on(running_mean, in.cols, mean, 1.0, momentum);
      if (running_var) move_on(running_var, in.cols, rstd, unbiased, momentum);
      reciprocal_deviations(rstd, in.cols, eps, rstd);
      normalize(in, mean, rstd, w, b, scale.data(), y);
    };
  });
  return call;
}

template <class T>
struct Gradients {
  T *x, *w, *b;
};

// `numbers`: three of each column.
template <class T>
void backward_of(const Block<T>& in, const T* grad, const T* mean, const T* rstd, const T* w,
                 T* numbers, const Gradients<T>& to) {
  const int64_t rows = in.rows, cols = in.cols;
  AxisSplit split({}, 0);
  split.size = rows;
  split.inner = cols;
  block_sums<T, 2>(split, {to.b, to.w}, [&](int64_t, int64_t first, int64_t n, T* const* sums) {
    kernels<T>().column_products(n, cols, grad + first * cols, in.x + first * cols, mean, rstd,
                                 sums[0], sums[1]);
  });
  T *scale = numbers, *level = scale + cols, *along = level + cols;
  for (int64_t j = 0; j < cols; ++j) {
    scale[j] = w ? rstd[j] * w[j] : rstd[j];
    level[j] = to.b[j] / static_cast<T>(rows);
    along[j] = to.w[j] / static_cast<T>(rows);
  }
  parallel_items(rows, cols, kGrainFolded, [&](int64_t begin, int64_t end) {
    kernels<T>().columns_backward(end - begin, cols, grad + begin * cols, in.x + begin * cols,
                                  {mean, rstd, scale, level, along}, to.x + begin * cols);
  });
}

// Inputs: grad, input, mean, rstd, weight. Outputs: of input, weight and bias.
void train_backward_forward(const ForwardArgs& args) {
  const Tensor g = packed(channels_last(args.in[0])), x = packed(channels_last(args.in[1]));
  const Tensor mean = packed(args.in[2]), rstd = packed(args.in[3]);
  const Tensor w = args.in[4].defined() ? packed(args.in[4]) : Tensor();
  const int64_t cols = args.in[1].shape()[1], rows = cols ? x.numel() / cols : 0;
  const Columns out(args.out[0]);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    const Tensor numbers = Tensor::empty({3, cols}, x.dtype());
    backward_of<T>({rows, cols, x.data<T>()}, g.data<T>(), mean.data<T>(), rstd.data<T>(),
                   numbers_or_null<T>(w), numbers.data<T>(),
                   {out.data<T>(), args.out[1].data<T>(), args.out[2].data<T>()});
  });
  out.finish();
}

Prepared train_backward_prepare(const ForwardArgs& args) {
  Prepared call;
  if (!stand_as_read(args, 1)) return call;
  visit_floating(args.in[1].dtype(), [&]<class T>(Tag<T>) {
    const Tensor& x = args.in[1];
    const Block<T> in{x.shape()[0], x.shape()[1], x.data<T>()};
    const Gradients<T> to{args.out[0].data<T>(), args.out[1].data<T>(), args.out[2].data<T>()};
    call = [in, to, g = args.in[0].data<T>(), mean = args.in[2].data<T>(),
            rstd = args.in[3].data<T>(), w = numbers_or_null<T>(args.in[4]),
            numbers = std::vector<T>(static_cast<size_t>(3 * in.cols))]() mutable {
      backward_of(in, g, mean, rstd, w, numbers.data(), to);
    };
  });
  return call;
}

Metas infer_train_backward(const InferArgs& args) {
  const Meta& x = args.in[1];
  const Meta channels{channels_of(args, x), x.dtype};
  check_channels(args, channels.shape, {"mean", "rstd", "weight"});
  if (!(args.in[0].shape == x.shape)) args.mismatch("'grad' like 'input'");
  return {x, channels, channels};
}

Tensors train_backward(const BackwardArgs& args) {
  const Tensors found =
      call("batch_norm_backward",
           {args.grad[0], args.in[kInput], args.out[1], args.out[2], args.in[kWeight]},
           {args.number(1)});
  Tensors grads(args.in.size());
  if (args.needs[kInput]) grads[kInput] = found[0];
  if (args.needs[kWeight]) grads[kWeight] = found[1];
  if (args.needs[kBias]) grads[kBias] = found[2];
  return grads;
}

Tensors train_backward_composite(const Tensors& in, const AttrReader& args) {
  const std::vector<int> axes = all_but_channels(in[1].dim());
  return norm_gradients(in[0], in[1], in[4], axes, axes, args.number(0), true);
}

Tensor affine(Tensor z, const Tensor& x, const Tensor& w, const Tensor& b) {
  const std::vector<int> axes = all_but_channels(x.dim());
  if (w.defined()) z = z * along_rest(w, x, axes);
  if (b.defined()) z = z + along_rest(b, x, axes);
  return z;
}

// running.lerp_(value, momentum), in the dtype of the running one.
void blend(const Tensor& running, const Tensor& value, const Tensor& momentum) {
  static const Op copy_into("copy_");
  if (!running.defined()) return;
  const Tensor part = as(momentum, running.dtype());
  copy_into({running, running + (as(value.detach(), running.dtype()) - running) * part});
}

Tensors train_composite(const Tensors& in, const AttrReader& args) {
  static const Op var_mean("var_mean"), add_into("add_");
  const Tensor& x = in[kInput];
  const std::vector<int> axes = all_but_channels(x.dim());
  {
    const NoGrad off;
    Tensor momentum = scalar(args.given(0) ? args.number(0) : 0.0, DType::float64);
    if (in[kTracked].defined()) {
      add_into({in[kTracked], scalar(1, DType::int64)});
      if (!args.given(0)) momentum = scalar(1, DType::float64) / as(in[kTracked], DType::float64);
    }
    if (x.numel() > 0) {
      const Tensors found = var_mean.all({x.detach()}, {list(axes), args.number(2)});
      blend(in[kMean], found[1], momentum);
      blend(in[kVar], found[0], momentum);
    }
  }
  const auto [centred, rstd] = normalized(x, axes, args.number(1), true);
  return {affine(centred * rstd, x, in[kWeight], in[kBias])};
}

// ---- by given means and variances: inputs input, mean, var, weight, bias

Metas infer_eval(const InferArgs& args) {
  const Dims channels = channels_of(args, args.in[0]);
  check_channels(args, channels, {"running_mean", "running_var", "weight", "bias"});
  return {args.in[0]};
}

void eval_forward(const ForwardArgs& args) {
  const Tensor x = packed(channels_last(args.in[0])), mean = packed(args.in[1]);
  const Tensor var = packed(args.in[2]);
  const Tensor w = args.in[3].defined() ? packed(args.in[3]) : Tensor();
  const Tensor b = args.in[4].defined() ? packed(args.in[4]) : Tensor();
  const int64_t cols = mean.numel(), rows = cols ? x.numel() / cols : 0;
  const Columns out(args.out[0]);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    const Tensor scales = Tensor::empty({cols}, x.dtype());
    T* const scale = scales.data<T>();
    reciprocal_deviations(var.data<T>(), cols, args.number(0), scale);
    normalize<T>({rows, cols, x.data<T>()}, mean.data<T>(), scale, numbers_or_null<T>(w),
                 numbers_or_null<T>(b), scale, out.data<T>());
  });
  out.finish();
}

Prepared eval_prepare(const ForwardArgs& args) {
  Prepared call;
  if (!stand_as_read(args, 0)) return call;
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    const Tensor& x = args.in[0];
    const Block<T> in{x.shape()[0], x.shape()[1], x.data<T>()};
    call = [in, mean = args.in[1].data<T>(), var = args.in[2].data<T>(), eps = args.number(0),
            w = numbers_or_null<T>(args.in[3]), b = numbers_or_null<T>(args.in[4]),
            y = args.out[0].data<T>(),
            scale = std::vector<T>(static_cast<size_t>(in.cols))]() mutable {
      reciprocal_deviations(var, in.cols, eps, scale.data());
      normalize(in, mean, scale.data(), w, b, scale.data(), y);
    };
  });
  return call;
}

Tensors eval_composite(const Tensors& in, const AttrReader& args) {
  static const Op rsqrt("rsqrt");
  const Tensor& x = in[0];
  const std::vector<int> axes = all_but_channels(x.dim());
  Tensor scale = rsqrt({in[2] + scalar(args.number(0), x.dtype())});
  if (in[3].defined()) scale = scale * in[3];
  const Tensor z = (x - along_rest(in[1], x, axes)) * along_rest(scale, x, axes);
  return {affine(z, x, {}, in[4])};
}

void declare_training(Registry& r, const std::vector<Derivative>& slopes) {
  r.add({.name = "batch_norm",
         .doc = "Normalises every channel, axis 1, to mean 0 and variance 1 over the batch, then "
                "scales and shifts it; moves the running statistics on.",
         .inputs = {"input", "running_mean?", "running_var?", "weight?", "bias?",
                    "num_batches_tracked?"},
         .outputs = {"result", "_mean", "_rstd"},
         .attrs = {{.name = "momentum", .kind = AttrKind::number, .value = 0.1, .optional = true},
                   eps_attr(1e-5),
                   // The running variance has divisor n - correction; Keras' has n.
                   {.name = "correction", .kind = AttrKind::number, .value = 1.0}},
         .infer = infer_train,
         .forward = train_forward,
         .prepare = train_prepare,
         .backward = train_backward,
         .composite = train_composite,
         .saves = {"input", "weight for input", "_mean", "_rstd"},
         .mutates = {"running_mean", "running_var", "num_batches_tracked"},
         .formula = {"(x - mean) / sqrt(var + eps) w + b over the batch",
                     R"(\frac{x-\mu_B}{\sqrt{\sigma_B^2+\epsilon}}\,w+b)", slopes},
         .example = "rv.nn.functional.batch_norm(rv.rand(4, 2), None, None, training=True)",
         .fronted = true});
  r.add({.name = "batch_norm_backward",
         .doc = "Gradients of batch_norm.",
         .inputs = {"grad", "input", "mean", "rstd", "weight?"},
         .outputs = {"grad_input", "grad_weight", "grad_bias"},
         .attrs = {eps_attr(1e-5)},
         .types = Types::floats,
         .infer = infer_train_backward,
         .forward = train_backward_forward,
         .prepare = train_backward_prepare,
         .composite = train_backward_composite,
         .saves = {"grad", "input", "weight"},
         .formula = {"w rstd (g - mean(g) - z mean(g z)); sum(g z); sum(g)",
                     R"(\frac{w}{\sigma_B}(g-\overline{g}-z\,\overline{gz}))",
                     {}},
         .gradient_of = "batch_norm"});
}

}  // namespace

void declare_batch_norm(Registry& r) {
  const Derivative weight = {"w", "sum(g z)", R"(\sum g z)"}, bias = {"b", "sum(g)", R"(\sum g)"};
  declare_training(r, {{"x", "w rstd (g - mean(g) - z mean(g z)), z = (x - mean) rstd",
                        R"(\frac{w}{\sigma_B}(g-\overline{g}-z\,\overline{gz}))"},
                       weight,
                       bias});
  r.add({.name = "batch_norm_by",
         .doc = "Normalises every channel, axis 1, by a given mean and variance, then scales and "
                "shifts it.",
         .inputs = {"input", "running_mean", "running_var", "weight?", "bias?"},
         .attrs = {eps_attr(1e-5)},
         .types = Types::floats,
         .infer = infer_eval,
         .forward = eval_forward,
         .prepare = eval_prepare,
         .composite = eval_composite,
         .saves = {"input", "running_mean", "running_var", "weight", "bias"},
         .formula = {"(x - m) / sqrt(v + eps) w + b",
                     R"(\frac{x-m}{\sqrt{v+\epsilon}}\,w+b)",
                     {{"x", "g w / sqrt(v + eps)", R"(\frac{gw}{\sqrt{v+\epsilon}})"},
                      {"m", "-sum(g w / sqrt(v + eps))", R"(-\sum\frac{gw}{\sqrt{v+\epsilon}})"},
                      {"v", "-sum(g w z) / (2 (v + eps))", R"(-\frac{\sum gwz}{2(v+\epsilon)})"},
                      weight,
                      bias}},
         .example = "rv.nn.functional.batch_norm(rv.rand(4, 2), rv.zeros(2), rv.ones(2))",
         .fronted = true});
}

}  // namespace ranvier
