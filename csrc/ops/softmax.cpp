// Softmax, its logarithm, and their fusion with the cross-entropy loss.
#include <cmath>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/loss.h"
#include "ops/op.h"

namespace ranvier {
namespace {

Metas infer_along(const InferArgs& args) {
  normal_axis(args.op().name.c_str(), args.integer(0), args.in[0].shape.size());
  return same_as_first(args);
}

// f(n, in, out) on every row along an axis. Rows that are not adjacent in memory go through a
// copy. `in` are two tensors, the second may be undefined.
template <class T, class F>
void each_row(const AttrReader& args, const Tensor& first, const Tensor& second, const Tensor& out,
              F f) {
  const Tensor a = packed(first), b = second.defined() ? packed(second) : a;
  const int axis = normal_axis(args.op().name.c_str(), args.integer(0), out.dim());
  const AxisSplit s(out.shape(), axis);
  if (out.numel() == 0) return;
  const bool strided = s.inner > 1;
  const auto row_bytes = static_cast<size_t>(s.size) * sizeof(T);
  const int workers = max_workers();
  const Scratch memory(strided ? row_bytes * 3 * static_cast<size_t>(workers) : 1);
  const int64_t step = std::max<int64_t>(grain(1 << 13) / s.size, 1);
  const int64_t rows = s.outer * s.inner;
  for_chunks((rows + step - 1) / step, workers, [&](int64_t chunk, int worker) {
    for (int64_t row = chunk * step; row < std::min(rows, (chunk + 1) * step); ++row) {
      const int64_t at = row / s.inner * s.size * s.inner + row % s.inner;
      const T* in[] = {a.data<T>() + at, b.data<T>() + at};
      T* to = out.data<T>() + at;
      if (!strided) {
        f(s.size, in[0], in[1], to);
        continue;
      }
      T* mine = reinterpret_cast<T*>(memory.get()) + worker * 3 * s.size;
      for (int64_t i = 0; i < s.size; ++i) {
        mine[i] = in[0][i * s.inner];
        mine[s.size + i] = in[1][i * s.inner];
      }
      f(s.size, mine, mine + s.size, mine + 2 * s.size);
      for (int64_t i = 0; i < s.size; ++i) to[i * s.inner] = mine[2 * s.size + i];
    }
  });
}

template <bool Log>
void softmax_forward(const ForwardArgs& args) {
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    const auto kernel = Log ? kernels<T>().log_softmax : kernels<T>().softmax;
    each_row<T>(args, args.in[0], {}, args.out[0],
                [&](int64_t n, const T* x, const T*, T* y) { kernel(n, x, y); });
  });
}

// Inputs: grad, result.
template <bool Log>
void softmax_backward_forward(const ForwardArgs& args) {
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    const auto kernel = Log ? kernels<T>().log_softmax_backward : kernels<T>().softmax_backward;
    each_row<T>(args, args.in[0], args.in[1], args.out[0], kernel);
  });
}

Tensors softmax_backward(const BackwardArgs& args) {
  return call(args.op().name + "_backward", {args.grad[0], args.out[0]}, {args.all()[0]});
}

// The gradient in simpler ops, through which second gradients go. For a tensor without axes the
// sum is over its one element.
template <bool Log>
Tensors softmax_backward_composite(const Tensors& in, const AttrReader& args) {
  static const Op sum("sum"), exp("exp");
  const Tensor &g = in[0], &y = in[1];
  const auto total = [&](const Tensor& t) {
    return sum({t}, {std::vector<int64_t>{args.integer(0)}, true});
  };
  return {Log ? g - exp({y}) * total(g) : y * (g - total(g * y))};
}

template <bool Log>
void declare_softmax_pair(Registry& r, const char* name, const char* doc, Formula formula) {
  const std::vector<AttrDef> dim = {
      {.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}}};
  const Formula slope = {
      "g (" + formula.derivatives[0].text + ")", "g\\,(" + formula.derivatives[0].latex + ")", {}};
  r.add(
      {.name = name,
       .doc = doc,
       .inputs = {"input"},
       .attrs = {dim[0], {.name = "dtype", .kind = AttrKind::dtype, .value = {}, .optional = true}},
       .types = Types::floats,
       .casts = true,
       .infer = infer_along,
       .forward = softmax_forward<Log>,
       .backward = softmax_backward,
       .saves = {"result"},
       .formula = std::move(formula),
       .example = "rv." + std::string(name) + "(rv.tensor([1.0, 2.0, 3.0]), dim=0)",
       .method = true});
  r.add({.name = std::string(name) + "_backward",
         .doc = std::string("Gradient of ") + name + ".",
         .inputs = {"grad", "result"},
         .attrs = dim,
         .types = Types::floats,
         .infer = [](const InferArgs& args) -> Metas {
           if (!(args.in[0].shape == args.in[1].shape)) args.mismatch("two equal shapes");
           return infer_along(args);
         },
         .forward = softmax_backward_forward<Log>,
         .composite = softmax_backward_composite<Log>,
         .saves = {"grad", "result"},
         .formula = slope,
         .gradient_of = name});
}

// ---- cross-entropy: input (N, C) and target (N), or (C) and ().

struct Rows {
  int64_t n, classes;
};

Rows rows_of(const Dims& shape) {
  return shape.size() == 1 ? Rows{1, shape[0]} : Rows{shape[0], shape[1]};
}

Metas check_cross_entropy(const InferArgs& args, const Meta& input, const Meta& target) {
  const Dims &x = input.shape, &t = target.shape;
  if (!is_floating(input.dtype))
    fail(ErrorKind::type, "[cross_entropy] expected float32 or float64 for 'input', got ",
         name_of(input.dtype), "; call .float() on it");
  if (is_floating(target.dtype) || target.dtype == DType::bool_)
    fail(ErrorKind::type, "[cross_entropy] expected integer labels for 'target', got ",
         name_of(target.dtype), "; call .long() on it");
  if (x.empty() || x.size() > 2 || t.size() != x.size() - 1 || (x.size() == 2 && t[0] != x[0]))
    args.mismatch("input (rows, classes) with target (rows,)");
  Dims lse = t;
  lse.push_back(2);
  return {{reduced_shape(args, t), input.dtype}, {lse, input.dtype}};
}

Metas infer_cross_entropy(const InferArgs& args) {
  return check_cross_entropy(args, args.in[0], args.in[1]);
}

// A copy of the labels, all of them in range: the memory may be NumPy's and change meanwhile.
Tensor checked_labels(const Tensor& target, const Rows& rows) {
  Tensor copied = Tensor::empty(target.shape(), DType::int64);
  copy(copied, target);
  const int64_t* labels = copied.data<int64_t>();
  for (int64_t i = 0; i < rows.n; ++i)
    if (labels[i] < 0 || labels[i] >= rows.classes)
      fail(ErrorKind::index, "[cross_entropy] expected labels in [0, ", rows.classes - 1, "] for ",
           rows.classes, " classes, got ", labels[i], " in row ", i);
  return copied;
}

void cross_entropy_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const Rows rows = rows_of(x.shape());
  const Tensor labels = checked_labels(args.in[1], rows);
  const int64_t* target = labels.data<int64_t>();
  const Tensor each = Tensor::empty(args.in[1].shape(), x.dtype());
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    parallel_items(rows.n, rows.classes, 1 << 13, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        each.data<T>()[i] = kernels<T>().cross_entropy(rows.classes, x.data<T>() + i * rows.classes,
                                                       target[i], args.out[1].data<T>() + 2 * i);
    });
  });
  reduce_loss(args, each, args.out[0]);
}

// Inputs: grad, input, target, lse.
void cross_entropy_backward_forward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]), x = packed(args.in[1]), lse = packed(args.in[3]);
  const Rows rows = rows_of(x.shape());
  const Tensor labels = checked_labels(args.in[2], rows);
  const bool each = reduction_of(args) == Reduction::none;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    const T n = reduction_of(args) == Reduction::mean ? static_cast<T>(rows.n) : T(1);
    parallel_items(rows.n, rows.classes, 1 << 13, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        kernels<T>().cross_entropy_backward(rows.classes, x.data<T>() + i * rows.classes,
                                            labels.data<int64_t>()[i], lse.data<T>() + 2 * i,
                                            g.data<T>()[each ? i : 0] / n,
                                            args.out[0].data<T>() + i * rows.classes);
    });
  });
}

// softmax(x) minus 1 at the label, for every row.
Tensors cross_entropy_backward_composite(const Tensors& in, const AttrReader& args) {
  static const Op softmax("softmax"), unsqueeze("unsqueeze"), put("scatter_add");
  const Tensor &x = in[1], label = unsqueeze({in[2]}, {int64_t{-1}});
  const Tensor ones = Tensor::full(label.shape(), 1, x.dtype());
  const Tensor hot = put({Tensor::zeros(x.shape(), x.dtype()), label, ones}, {int64_t{-1}});
  const bool mean = reduction_of(args) == Reduction::mean;
  const Tensor scale = mean ? in[0] / static_cast<double>(rows_of(x.shape()).n) : in[0];
  const bool each = reduction_of(args) == Reduction::none;
  return {(softmax({x}) - hot) * (each ? unsqueeze({scale}, {int64_t{-1}}) : scale)};
}

void declare_cross_entropy(Registry& r) {
  r.add({.name = "cross_entropy",
         .doc = "Cross-entropy of softmax(input) against class labels, in one pass: input (rows, "
                "classes), target (rows,) of integers.",
         .inputs = {"input", "target"},
         .outputs = {"result", "_lse"},
         .attrs = {reduction_attr()},
         .infer = infer_cross_entropy,
         .forward = cross_entropy_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call("cross_entropy_backward",
                       {args.grad[0], args.in[0], args.in[1], args.out[1]}, args.all());
         },
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op log_softmax("log_softmax"), gather("gather"), unsqueeze("unsqueeze"),
               squeeze("squeeze");
           const Tensor y = log_softmax({in[0]});
           const Tensor picked = gather({y, unsqueeze({in[1]}, {int64_t{-1}})}, {int64_t{-1}});
           return {reduce_loss(args, -squeeze({picked}, {int64_t{-1}}))};
         },
         .saves = {"input", "target", "_lse"},
         .formula = {"-log(softmax(x)[t]), then the reduction",
                     R"(-\ln\operatorname{softmax}(x)_t)",
                     {{"x", "softmax(x) - onehot(t)", R"(\operatorname{softmax}(x) - e_t)"}}},
         .example = "rv.cross_entropy(rv.tensor([[1.0, 2.0, 0.5]]), rv.tensor([1]))"});
  r.add({.name = "cross_entropy_backward",
         .doc = "Gradient of cross_entropy with respect to its input.",
         .inputs = {"grad", "input", "target", "lse"},
         .attrs = {reduction_attr()},
         .infer = [](const InferArgs& args) -> Metas {
           const Metas loss = check_cross_entropy(args, args.in[1], args.in[2]);
           const bool types =
               args.in[0].dtype == args.in[1].dtype && args.in[3].dtype == args.in[1].dtype;
           if (!types || !(args.in[0].shape == loss[0].shape) ||
               !(args.in[3].shape == loss[1].shape))
             args.mismatch("'grad' like the loss and 'lse' with two numbers a row");
           return {args.in[1]};
         },
         .forward = cross_entropy_backward_forward,
         .composite = cross_entropy_backward_composite,
         .saves = {"grad", "input", "target"},
         .formula = {"g (softmax(x) - onehot(t))", R"(g(\operatorname{softmax}(x) - e_t))", {}},
         .gradient_of = "cross_entropy"});
}

}  // namespace

void declare_softmax(Registry& r) {
  declare_softmax_pair<false>(
      r, "softmax", "Exponentials along an axis, scaled to add up to 1.",
      {"exp(x) / sum(exp(x))",
       R"(\frac{e^{x_i}}{\sum_j e^{x_j}})",
       {{"x", "s - s sum(s), weighted by g: s (g - sum(g s))", R"(s_i(g_i - \sum_j g_j s_j))"}}});
  declare_softmax_pair<true>(r, "log_softmax",
                             "Logarithm of softmax along an axis, without overflow.",
                             {"x - log(sum(exp(x)))",
                              R"(x_i - \ln\sum_j e^{x_j})",
                              {{"x", "g - softmax(x) sum(g)", R"(g_i - s_i\sum_j g_j)"}}});
  declare_cross_entropy(r);
}

}  // namespace ranvier
