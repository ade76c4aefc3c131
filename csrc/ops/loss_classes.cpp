// Losses of classes: cross-entropy of scores against labels or probabilities, and the negative
// logarithm of a probability. Classes are axis 1 of (N, C, d1, ...), or the axis of (C,).
#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/loss.h"
#include "ops/loss_labels.h"
#include "ops/stream.h"

namespace ranvier {
namespace {

int class_axis(const Dims& input) { return input.size() == 1 ? 0 : 1; }

// What is left of the input's shape where the classes are taken out.
Dims row_shape(const Dims& input) {
  Dims shape;
  for (int i = 0; i < input.size(); ++i)
    if (i != class_axis(input)) shape.push_back(input[i]);
  return shape;
}

// The same memory with the classes as the last axis.
Tensor classes_last(const Tensor& t) {
  Layout layout{{}, {}, t.impl()->offset};
  for (int i = 0; i <= t.dim(); ++i) {
    const int axis = i < t.dim() ? i : class_axis(t.shape());
    if (i < t.dim() && axis == class_axis(t.shape())) continue;
    layout.shape.push_back(t.shape()[axis]);
    layout.strides.push_back(t.strides()[axis]);
  }
  return view_of(t, layout);
}

// ---- shapes

void check_input(const InferArgs& args, const Meta& input) {
  if (!is_floating(input.dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected a floating dtype for 'input', got ",
         name_of(input.dtype), "; call .float() on it");
  if (input.shape.empty()) args.mismatch("input (rows, classes) with target (rows,)");
  const double smoothing = settings_of(args).smoothing;
  if (!(smoothing >= 0 && smoothing <= 1))
    fail(ErrorKind::value, "[", args.op().name, "] expected label_smoothing from 0 to 1, got ",
         smoothing);
}

void check_weight(const InferArgs& args, const Meta& input, size_t at) {
  if (at >= args.in.size() || !args.given_inputs[at]) return;
  const Meta& weight = args.in[at];
  const int64_t classes = input.shape[class_axis(input.shape)];
  if (!is_floating(weight.dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected a floating dtype for 'weight', got ",
         name_of(weight.dtype), "; call .float() on it");
  if (!(weight.shape == Dims{classes}))
    fail(ErrorKind::shape, "[", args.op().name, "] expected a weight for each of ", classes,
         " classes, got shape ", to_string(weight.shape));
}

// input and target at `at`, the weight behind them.
void check_labels(const InferArgs& args, size_t at) {
  const Meta &input = args.in[at], &target = args.in[at + 1];
  check_input(args, input);
  if (is_floating(target.dtype) || target.dtype == DType::bool_)
    fail(ErrorKind::type, "[", args.op().name, "] expected integer labels for 'target', got ",
         name_of(target.dtype), "; call .long() on it",
         args.op().name == "nll_loss" ? "" : ", or give probabilities of the input's shape");
  const Dims rows = row_shape(input.shape);
  Dims column = rows;
  column.push_back(1);
  if (target.shape == column && rows.size() == 1)
    fail(ErrorKind::shape, "[", args.op().name, "] expected labels ", to_string(rows),
         " for input ", to_string(input.shape), ", got ", to_string(target.shape),
         "; use target.squeeze(1)");
  if (!(target.shape == rows)) args.mismatch("input (rows, classes, ...) with target (rows, ...)");
  check_weight(args, input, at + 2);
}

void check_probabilities(const InferArgs& args, size_t at) {
  const Meta &input = args.in[at], &target = args.in[at + 1];
  check_input(args, input);
  if (!is_floating(target.dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected probabilities for 'target', got ",
         name_of(target.dtype), "; labels go to cross_entropy");
  if (!(target.shape == input.shape)) args.mismatch("a probability for every class of each row");
  check_weight(args, input, at + 2);
}

// The loss, and two numbers a row: the largest score and the logarithm of the rest.
Metas loss_and_lse(const InferArgs& args) {
  Dims lse = row_shape(args.in[0].shape);
  const Dims loss = reduced_shape(args, lse);
  lse.push_back(2);
  return {{loss, args.in[0].dtype}, {lse, args.in[0].dtype}};
}

Metas infer_cross_entropy(const InferArgs& args) {
  check_labels(args, 0);
  return loss_and_lse(args);
}

Metas infer_soft_cross_entropy(const InferArgs& args) {
  check_probabilities(args, 0);
  return loss_and_lse(args);
}

Metas infer_nll(const InferArgs& args) {
  check_labels(args, 0);
  return {{reduced_shape(args, row_shape(args.in[0].shape)), args.in[0].dtype}};
}

// ---- rows as the kernels see them

// One call of a kernel of these losses: packed rows of classes and what each row aims at.
template <class T>
struct Rows {
  Tensor input, labels, shares, weights;
  int64_t n, classes;
  LabelSettings settings;
  double total = 0;  // what a mean is divided by

  // `at` is where input, target and weight stand among the inputs.
  Rows(const ForwardArgs& args, size_t at) : settings(settings_of(args)) {
    const Tensor &x = args.in[at], &target = args.in[at + 1];
    input = packed(classes_last(x));
    classes = x.shape()[class_axis(x.shape())];
    n = count(row_shape(x.shape()));
    const bool given = at + 2 < args.in.size() && args.in[at + 2].defined();
    if (given) weights = converted(args.in[at + 2], x.dtype());
    if (is_floating(target.dtype())) {
      shares = packed(classes_last(converted(target, x.dtype())));
      total = static_cast<double>(n);
      return;
    }
    labels = checked_labels(args, target, classes);
    const int64_t* at_row = labels.data<int64_t>();
    int64_t counted = 0;
    for (int64_t i = 0; i < n; ++i) counted += at_row[i] >= 0;
    total = static_cast<double>(counted);
    if (!given) return;
    total = 0;
    for (int64_t i = 0; i < n; ++i)
      if (at_row[i] >= 0) total += static_cast<double>(weight(at_row[i]));
  }

  int64_t label(int64_t row) const { return labels.data<int64_t>()[row]; }
  bool is_ignored(int64_t row) const { return !shares.defined() && label(row) < 0; }
  T weight(int64_t i) const { return weights.defined() ? weights.data<T>()[i] : T(1); }
  const T* scores(int64_t row) const { return input.data<T>() + row * classes; }
  // A label alone, without a share for the other classes.
  bool is_hard() const { return !shares.defined() && settings.smoothing == 0; }

  // What each class of a row counts for; returns the sum.
  T aims(int64_t row, T* q) const {
    const T rest = static_cast<T>(settings.smoothing / static_cast<double>(classes));
    const T most = static_cast<T>(1 - settings.smoothing);
    T sum = 0;
    for (int64_t i = 0; i < classes; ++i) {
      T share = T(i == (shares.defined() ? -1 : label(row)));
      if (shares.defined()) share = shares.data<T>()[row * classes + i];
      q[i] = weight(i) * (most * share + rest);
      sum += q[i];
    }
    return sum;
  }
};

// f(row, scratch for one row) over all rows.
template <class T, class F>
void each_row(const Rows<T>& rows, F f) {
  parallel_items(rows.n, rows.classes, kGrainRows, [&](int64_t begin, int64_t end) {
    const Scratch memory(static_cast<size_t>(rows.is_hard() ? 1 : rows.classes) * sizeof(T));
    for (int64_t i = begin; i < end; ++i) f(i, reinterpret_cast<T*>(memory.get()));
  });
}

// The reduction of losses of rows: a mean is over what counts.
template <class T>
void reduce_rows(const ForwardArgs& args, const Rows<T>& rows, const Tensor& each) {
  const Tensor& out = args.out[0];
  const bool mean = reduction_of(args) == Reduction::mean;
  if (reduction_of(args) != Reduction::none && rows.n <= kSumBlock) {  // one block of the op sum
    const T sum = kernels<T>().sum(rows.n, each.data<T>());
    *out.data<T>() = mean ? sum / static_cast<T>(rows.total) : sum;
    return;
  }
  if (!mean || rows.total == static_cast<double>(rows.n)) return reduce_loss(args, each, out);
  const OpDef& op = *registry().find("sum");
  const Tensors in = {each}, to = {out};
  op.forward(ForwardArgs(op, {Attr{}, false}, in, to));
  *out.data<T>() /= static_cast<T>(rows.total);
}

template <class T>
void hard_rows(const Rows<T>& rows, T* lse, T* loss) {
  parallel_items(rows.n, rows.classes, kGrainRows, [&](int64_t begin, int64_t end) {
    kernels<T>().cross_entropy(end - begin, rows.classes, rows.scores(begin),
                               rows.labels.template data<int64_t>() + begin, lse + 2 * begin,
                               loss + begin);
    if (!rows.weights.defined()) return;
    for (int64_t i = begin; i < end; ++i)
      if (!rows.is_ignored(i)) loss[i] *= rows.weight(rows.label(i));
  });
}

void cross_entropy_forward(const ForwardArgs& args) {
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    const Rows<T> rows(args, 0);
    const Tensor each = Tensor::empty(row_shape(args.in[0].shape()), args.in[0].dtype());
    T *const lse = args.out[1].data<T>(), *const loss = each.data<T>();
    if (rows.is_hard())
      hard_rows(rows, lse, loss);
    else
      each_row(rows, [&](int64_t i, T* q) {
        if (rows.is_ignored(i)) {
          lse[2 * i] = lse[2 * i + 1] = loss[i] = 0;
          return;
        }
        rows.aims(i, q);
        loss[i] = kernels<T>().soft_cross_entropy(rows.classes, rows.scores(i), q, lse + 2 * i);
      });
    reduce_rows(args, rows, each);
  });
}

// The gradient of each row's loss, the mean taken into account.
template <class T>
struct RowGradient {
  Tensor g;
  bool each;
  T divisor;
  RowGradient(const ForwardArgs& args, const Rows<T>& rows)
      : g(packed(args.in[0])),
        each(reduction_of(args) == Reduction::none),
        divisor(reduction_of(args) == Reduction::mean ? static_cast<T>(rows.total) : T(1)) {}
  T operator()(int64_t row) const { return g.data<T>()[each ? row : 0] / divisor; }
};

// A part of a row after the other, around the caches.
template <class T>
void stream_row_backward(const Rows<T>& rows, int64_t row, const T* lse, const T* scale, T* dx) {
  constexpr int64_t kPart = 1024;
  alignas(64) T part[kPart];
  for (int64_t at = 0; at < rows.classes; at += kPart) {
    const int64_t n = std::min(kPart, rows.classes - at), label = rows.label(row);
    const int64_t here = label < 0 ? label : label < at ? n : label - at;
    kernels<T>().cross_entropy_backward(1, n, rows.scores(row) + at, &here, lse + 2 * row, scale, 0,
                                        part);
    stream(dx + row * rows.classes + at, part, static_cast<size_t>(n) * sizeof(T));
  }
}

template <class T>
void hard_rows_backward(const Rows<T>& rows, const RowGradient<T>& g, const T* lse, T* dx) {
  const bool same = !g.each && !rows.weights.defined();
  const Scratch memory(static_cast<size_t>(same ? 1 : rows.n) * sizeof(T));
  T* const scale = reinterpret_cast<T*>(memory.get());
  if (same)
    *scale = g(0);
  else
    for (int64_t i = 0; i < rows.n; ++i)
      scale[i] = rows.is_ignored(i) ? T(0) : g(i) * rows.weight(rows.label(i));
  const bool around = streams(static_cast<size_t>(rows.n * rows.classes) * sizeof(T));
  parallel_items(rows.n, rows.classes, kGrainRows, [&](int64_t begin, int64_t end) {
    if (around) {
      for (int64_t i = begin; i < end; ++i)
        stream_row_backward(rows, i, lse, same ? scale : scale + i, dx);
      return end_stream();
    }
    kernels<T>().cross_entropy_backward(
        end - begin, rows.classes, rows.scores(begin), rows.labels.template data<int64_t>() + begin,
        lse + 2 * begin, same ? scale : scale + begin, !same, dx + begin * rows.classes);
  });
}

// Inputs: grad, input, target, weight, lse.
void cross_entropy_backward_forward(const ForwardArgs& args) {
  visit_floating(args.in[1].dtype(), [&]<class T>(Tag<T>) {
    const Rows<T> rows(args, 1);
    const RowGradient<T> g(args, rows);
    const Tensor lse = packed(args.in[4]), &out = args.out[0];
    const bool direct = class_axis(out.shape()) == out.dim() - 1;
    const Tensor result = direct ? out : Tensor::empty(rows.input.shape(), out.dtype());
    if (rows.is_hard())
      hard_rows_backward(rows, g, lse.data<T>(), result.data<T>());
    else
      each_row(rows, [&](int64_t i, T* q) {
        T* dx = result.data<T>() + i * rows.classes;
        if (rows.is_ignored(i)) {
          std::fill(dx, dx + rows.classes, T(0));
          return;
        }
        const T sum = rows.aims(i, q);
        kernels<T>().soft_cross_entropy_backward(rows.classes, rows.scores(i), q, sum,
                                                 lse.data<T>() + 2 * i, g(i), dx);
      });
    if (!direct) copy(classes_last(out), result);
  });
}

void nll_forward(const ForwardArgs& args) {
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    const Rows<T> rows(args, 0);
    const Tensor each = Tensor::empty(row_shape(args.in[0].shape()), args.in[0].dtype());
    for (int64_t i = 0; i < rows.n; ++i)
      each.data<T>()[i] =
          rows.is_ignored(i) ? T(0) : -rows.weight(rows.label(i)) * rows.scores(i)[rows.label(i)];
    reduce_rows(args, rows, each);
  });
}

// Inputs: grad, input, target, weight.
void nll_backward_forward(const ForwardArgs& args) {
  visit_floating(args.in[1].dtype(), [&]<class T>(Tag<T>) {
    const Rows<T> rows(args, 1);
    const RowGradient<T> g(args, rows);
    const Tensor result = Tensor::zeros(rows.input.shape(), rows.input.dtype());
    for (int64_t i = 0; i < rows.n; ++i)
      if (!rows.is_ignored(i))
        result.data<T>()[i * rows.classes + rows.label(i)] = -g(i) * rows.weight(rows.label(i));
    copy(classes_last(args.out[0]), result);
  });
}

// ---- the same by ops, from input, target and weight at `at`

struct Aims {
  Tensor q;      // what each class counts for, like the input
  Tensor total;  // what a mean is divided by
};

// Along the classes of an input with that many axes.
Tensor along_classes(const Tensor& weight, int dims) {
  static const Op reshape("reshape");
  std::vector<int64_t> shape(static_cast<size_t>(dims), 1);
  shape[dims == 1 ? 0 : 1] = weight.shape()[0];
  return reshape({weight}, {shape});
}

Aims aims_by_ops(const Tensors& in, size_t at, const AttrReader& args) {
  static const Op sum("sum"), unsqueeze("unsqueeze"), put("scatter_add"), where("where"), ne("ne");
  const Tensor& x = in[at];
  const int64_t axis = class_axis(x.shape());
  const LabelSettings settings = settings_of(args);
  const double rest = settings.smoothing / static_cast<double>(x.shape()[static_cast<int>(axis)]);
  const bool weighted = at + 2 < in.size() && in[at + 2].defined();
  const Tensor weight =
      weighted ? along_classes(cast_to(in[at + 2], x.dtype()), x.dim()) : scalar(1, x.dtype());
  if (is_floating(in[at + 1].dtype())) {
    const Tensor shares = cast_to(in[at + 1], x.dtype()) * (1 - settings.smoothing);
    return {weight * (shares + scalar(rest, x.dtype())),
            scalar(static_cast<double>(count(row_shape(x.shape()))), x.dtype())};
  }
  const Tensor target = cast_to(in[at + 1], DType::int64);
  const Tensor counts = ne({target, scalar(static_cast<double>(settings.ignored), DType::int64)});
  const Tensor label = unsqueeze({where({counts, target, scalar(0, DType::int64)})}, {axis});
  const Tensor valid = unsqueeze({cast_to(counts, x.dtype())}, {axis});
  const Tensor hot = put({Tensor::zeros(x.shape(), x.dtype()), label, valid}, {axis});
  return {weight * (hot * (1 - settings.smoothing) + valid * rest), sum({weight * hot})};
}

Tensor over_classes(const Tensor& t) {
  static const Op sum("sum");
  return sum({t}, {std::vector<int64_t>{class_axis(t.shape())}, false});
}

Tensors reduce_by_ops(const AttrReader& args, const Tensor& each, const Tensor& total) {
  static const Op sum("sum");
  if (reduction_of(args) == Reduction::mean) return {sum({each}) / total};
  return {reduce_loss(args, each)};
}

Tensors cross_entropy_composite(const Tensors& in, const AttrReader& args) {
  static const Op log_softmax("log_softmax");
  if (!is_floating(in[1].dtype()))
    checked_labels(args, in[1], in[0].shape()[class_axis(in[0].shape())]);
  const Aims aims = aims_by_ops(in, 0, args);
  const Tensor y = log_softmax({in[0]}, {int64_t{class_axis(in[0].shape())}});
  return reduce_by_ops(args, -over_classes(aims.q * y), aims.total);
}

Tensors nll_composite(const Tensors& in, const AttrReader& args) {
  checked_labels(args, in[1], in[0].shape()[class_axis(in[0].shape())]);
  const Aims aims = aims_by_ops(in, 0, args);
  return reduce_by_ops(args, -over_classes(aims.q * in[0]), aims.total);
}

// The gradient of each row's loss, so that it broadcasts to the input.
Tensor gradient_of_rows(const AttrReader& args, const Tensor& g, const Tensor& x,
                        const Tensor& total) {
  static const Op unsqueeze("unsqueeze");
  if (reduction_of(args) == Reduction::mean) return g / total;
  const bool each = reduction_of(args) == Reduction::none;
  return each ? unsqueeze({g}, {int64_t{class_axis(x.shape())}}) : g;
}

Tensors cross_entropy_backward_composite(const Tensors& in, const AttrReader& args) {
  static const Op softmax("softmax"), sum("sum");
  const Tensor& x = in[1];
  const int64_t axis = class_axis(x.shape());
  const Aims aims = aims_by_ops(in, 1, args);
  const Tensor whole = sum({aims.q}, {std::vector<int64_t>{axis}, true});
  const Tensor g = gradient_of_rows(args, in[0], x, aims.total);
  return {(softmax({x}, {axis}) * whole - aims.q) * g};
}

Tensors nll_backward_composite(const Tensors& in, const AttrReader& args) {
  const Aims aims = aims_by_ops(in, 1, args);
  return {-(aims.q * gradient_of_rows(args, in[0], in[1], aims.total))};
}

// ---- declarations

void refuse_weight_gradient(const BackwardArgs& args) {
  if (args.needs[2])
    fail(ErrorKind::runtime, "[", args.op().name, "] expected a weight without gradient, as the ",
         "loss has none with respect to it; detach() it");
}

Tensors cross_entropy_backward(const BackwardArgs& args) {
  refuse_weight_gradient(args);
  Tensors grads(3);
  if (args.needs[0])
    grads[0] = call("cross_entropy_backward",
                    {args.grad[0], args.in[0], args.in[1], args.in[2], args.out[1]}, args.all())[0];
  return grads;
}

Tensors soft_cross_entropy_backward(const BackwardArgs& args) {
  static const Op log_softmax("log_softmax");
  refuse_weight_gradient(args);
  Tensors grads(3);
  const Tensor &g = args.grad[0], &x = args.in[0];
  if (args.needs[0])
    grads[0] = call("soft_cross_entropy_backward", {g, x, args.in[1], args.in[2], args.out[1]},
                    args.all())[0];
  if (args.needs[1]) {
    const Tensor rows = scalar(static_cast<double>(count(row_shape(x.shape()))), x.dtype());
    const Tensor each = gradient_of_rows(args, g, x, rows) * (settings_of(args).smoothing - 1);
    Tensor y = log_softmax({x}, {int64_t{class_axis(x.shape())}});
    if (args.in[2].defined()) y = y * along_classes(cast_to(args.in[2], x.dtype()), x.dim());
    grads[1] = cast_to(y * each, args.in_meta[1].dtype);
  }
  return grads;
}

Tensors nll_backward(const BackwardArgs& args) {
  refuse_weight_gradient(args);
  Tensors grads(3);
  if (args.needs[0])
    grads[0] = call("nll_loss_backward", {args.grad[0], args.in[0], args.in[1], args.in[2]},
                    args.all())[0];
  return grads;
}

// Of the gradient ops: 'grad' like the loss, and where there is one 'lse' like the kernel's.
Metas infer_gradient(const InferArgs& args) {
  const bool soft = is_floating(args.in[2].dtype);
  if (soft)
    check_probabilities(args, 1);
  else
    check_labels(args, 1);
  const Dims rows = row_shape(args.in[1].shape);
  Dims lse = rows;
  lse.push_back(2);
  const bool has_lse = args.in.size() > 4;
  if (!(args.in[0].shape == reduced_shape(args, rows)) || args.in[0].dtype != args.in[1].dtype ||
      (has_lse && (!(args.in[4].shape == lse) || args.in[4].dtype != args.in[1].dtype)))
    args.mismatch("'grad' like the loss and 'lse' with two numbers a row");
  return {args.in[1]};
}

void declare_gradient(Registry& r, const OpDef& op, OpDef gradient) {
  gradient.doc = "Gradient of " + op.name + " with respect to its input.";
  gradient.attrs = op.attrs;
  gradient.infer = infer_gradient;
  gradient.saves = {"grad", "input", "target", "weight"};
  gradient.gradient_of = op.name;
  r.add(std::move(gradient));
}

const AttrDef kIgnore{.name = "ignore_index", .kind = AttrKind::integer, .value = int64_t{-100}};
const AttrDef kSmoothing{.name = "label_smoothing", .kind = AttrKind::number, .value = 0.0};

// Without smoothing the sum over classes has one term.
std::string class_formula(const AttrReader& args, const Flags& given) {
  if (args.number(1) != 0) return reduced_formula(args, given);
  const std::string each = "-w[t] log(softmax(x)[t])";
  const Reduction how = reduction_of(args);
  if (how == Reduction::none) return each;
  return (how == Reduction::mean ? "mean(" : "sum(") + each + ")";
}

std::string class_slope_formula(const AttrReader& args, const Flags& given) {
  if (args.number(1) != 0) return slope_formula(args, given);
  return std::string("g w[t] (softmax(x) - onehot(t))") +
         (reduction_of(args) == Reduction::mean ? " / n" : "");
}

void declare_cross_entropy(Registry& r) {
  const OpDef& op = r.add(
      {.name = "cross_entropy",
       .doc = "Cross-entropy of softmax(input) against class labels, in one pass: input (rows, "
              "classes, ...), target (rows, ...) of integers, weight (classes,). A mean is over "
              "the weights of the labels, ignored rows left out.",
       .inputs = {"input", "target", "weight?"},
       .outputs = {"result", "_lse"},
       .attrs = {kIgnore, kSmoothing, reduction_attr()},
       .infer = infer_cross_entropy,
       .forward = cross_entropy_forward,
       .prepare = cross_entropy_prepare,
       .backward = cross_entropy_backward,
       .composite = cross_entropy_composite,
       .saves = {"input", "target", "weight", "_lse"},
       .formula =
           {"-sum(q log(softmax(x))), q = w ((1 - e) onehot(t) + e / C), then the reduction",
            R"(-\sum_c q_c\ln\operatorname{softmax}(x)_c,\ q=w((1-\varepsilon)e_t+\tfrac{\varepsilon}{C}))",
            {{"x", "softmax(x) sum(q) - q", R"(\operatorname{softmax}(x)\textstyle\sum q - q)"}}},
       .formula_for = class_formula,
       .example = "rv.cross_entropy(rv.tensor([[1.0, 2.0, 0.5]]), rv.tensor([1]))"});
  declare_gradient(r, op,
                   {.name = "cross_entropy_backward",
                    .inputs = {"grad", "input", "target", "weight?", "lse"},
                    .forward = cross_entropy_backward_forward,
                    .prepare = cross_entropy_backward_prepare,
                    .composite = cross_entropy_backward_composite,
                    .formula = {"g (softmax(x) sum(q) - q)",
                                R"(g(\operatorname{softmax}(x)\textstyle\sum q - q))",
                                {}},
                    .formula_for = class_slope_formula});
}

void declare_soft_cross_entropy(Registry& r) {
  const OpDef& op = r.add(
      {.name = "soft_cross_entropy",
       .doc = "Cross-entropy of softmax(input) against probabilities of the input's shape, in one "
              "pass: classes are axis 1, weight (classes,).",
       .inputs = {"input", "target", "weight?"},
       .outputs = {"result", "_lse"},
       .attrs = {kSmoothing, reduction_attr()},
       .types = Types::promote_floats,
       .infer = infer_soft_cross_entropy,
       .forward = cross_entropy_forward,
       .backward = soft_cross_entropy_backward,
       .composite = cross_entropy_composite,
       .saves = {"input", "target for input", "weight", "_lse for input"},
       .formula =
           {"-sum(q log(softmax(x))), q = w ((1 - e) t + e / C), then the reduction",
            R"(-\sum_c q_c\ln\operatorname{softmax}(x)_c,\ q=w((1-\varepsilon)t+\tfrac{\varepsilon}{C}))",
            {{"x", "softmax(x) sum(q) - q", R"(\operatorname{softmax}(x)\textstyle\sum q - q)"},
             {"t", "-w (1 - e) log(softmax(x))",
              R"(-w(1-\varepsilon)\ln\operatorname{softmax}(x))"}}},
       .formula_for = reduced_formula,
       .example = "rv.soft_cross_entropy(rv.tensor([[1.0, 2.0]]), rv.tensor([[0.3, 0.7]]))"});
  declare_gradient(r, op,
                   {.name = "soft_cross_entropy_backward",
                    .inputs = {"grad", "input", "target", "weight?", "lse"},
                    .forward = cross_entropy_backward_forward,
                    .composite = cross_entropy_backward_composite,
                    .formula = {"g (softmax(x) sum(q) - q)",
                                R"(g(\operatorname{softmax}(x)\textstyle\sum q - q))",
                                {}}});
}

void declare_nll(Registry& r) {
  const OpDef& op = r.add(
      {.name = "nll_loss",
       .doc = "Negative logarithm of a label's probability: input (rows, classes, ...) of "
              "logarithms, target (rows, ...) of integers, weight (classes,). A mean is over the "
              "weights of the labels, ignored rows left out.",
       .inputs = {"input", "target", "weight?"},
       .attrs = {kIgnore, reduction_attr()},
       .infer = infer_nll,
       .forward = nll_forward,
       .prepare = nll_prepare,
       .backward = nll_backward,
       .composite = nll_composite,
       .saves = {"input", "target", "weight"},
       .formula = {"-w[t] x[t], then the reduction",
                   "-w_t x_t",
                   {{"x", "-w[t] onehot(t)", "-w_t e_t"}}},
       .formula_for = reduced_formula,
       .example = "rv.nll_loss(rv.tensor([[-1.0, -0.5]]), rv.tensor([1]))"});
  declare_gradient(r, op,
                   {.name = "nll_loss_backward",
                    .inputs = {"grad", "input", "target", "weight?"},
                    .forward = nll_backward_forward,
                    .prepare = nll_backward_prepare,
                    .composite = nll_backward_composite,
                    .formula = {"-g w[t] onehot(t)", "-g\\,w_t e_t", {}}});
}

}  // namespace

void declare_class_losses(Registry& r) {
  declare_cross_entropy(r);
  declare_soft_cross_entropy(r);
  declare_nll(r);
}

}  // namespace ranvier
