// Softmax and its logarithm.
#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"
#include "ops/stream.h"

namespace ranvier {
namespace {

Metas infer_along(const InferArgs& args) {
  normal_axis(args.op().name.c_str(), args.integer(0), args.in[0].shape.size());
  return same_as_first(args);
}

// f(rows, n, in, out) on all rows along an axis. Rows that are not adjacent in memory go through a
// copy, one by one. `in` are two tensors, the second may be undefined.
template <class T, class F>
void each_row(const AttrReader& args, const Tensor& first, const Tensor& second, const Tensor& out,
              F f) {
  const Tensor a = packed(first), b = second.defined() ? packed(second) : a;
  const int axis = normal_axis(args.op().name.c_str(), args.integer(0), out.dim());
  const AxisSplit s(out.shape(), axis);
  if (out.numel() == 0) return;
  const bool strided = s.inner > 1;
  const bool around = !strided && streams(static_cast<size_t>(out.numel()) * sizeof(T));
  const auto row_bytes = static_cast<size_t>(s.size) * sizeof(T);
  const int workers = max_workers();
  const Scratch memory(strided || around ? row_bytes * 3 * static_cast<size_t>(workers) : 1);
  const int64_t rows = s.outer * s.inner;
  const int64_t step = items_a_piece(rows, s.size, kGrainRows);
  for_chunks((rows + step - 1) / step, workers, [&](int64_t chunk, int worker) {
    const int64_t begin = chunk * step, end = std::min(rows, begin + step);
    T* mine = reinterpret_cast<T*>(memory.get()) + worker * 3 * s.size;
    if (around) {
      for (int64_t at = begin * s.size; at < end * s.size; at += s.size) {
        f(int64_t{1}, s.size, a.data<T>() + at, b.data<T>() + at, mine);
        stream(out.data<T>() + at, mine, row_bytes);
      }
      return end_stream();
    }
    if (!strided) {
      const int64_t at = begin * s.size;
      f(end - begin, s.size, a.data<T>() + at, b.data<T>() + at, out.data<T>() + at);
      return;
    }
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row / s.inner * s.size * s.inner + row % s.inner;
      const T* in[] = {a.data<T>() + at, b.data<T>() + at};
      T* to = out.data<T>() + at;
      for (int64_t i = 0; i < s.size; ++i) {
        mine[i] = in[0][i * s.inner];
        mine[s.size + i] = in[1][i * s.inner];
      }
      f(int64_t{1}, s.size, mine, mine + s.size, mine + 2 * s.size);
      for (int64_t i = 0; i < s.size; ++i) to[i * s.inner] = mine[2 * s.size + i];
    }
  });
}

template <bool Log>
void softmax_forward(const ForwardArgs& args) {
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    const auto kernel = Log ? kernels<T>().log_softmax : kernels<T>().softmax;
    each_row<T>(
        args, args.in[0], {}, args.out[0],
        [&](int64_t rows, int64_t n, const T* x, const T*, T* y) { kernel(rows, n, x, y); });
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

// Whether rows are along the last axis, as memory has them.
bool rows_lie_so(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  if (is_half(out.dtype()) || out.dim() == 0 || out.numel() == 0) return false;
  if (normal_axis(args.op().name.c_str(), args.integer(0), out.dim()) != out.dim() - 1)
    return false;
  return out.is_contiguous() && std::all_of(args.in.begin(), args.in.end(),
                                            [](const Tensor& t) { return t.is_contiguous(); });
}

// Of the result and what is read, all rows of n elements.
Sweep sweep_of_rows(const ForwardArgs& args) {
  const int64_t n = args.out[0].shape().back();
  Sweep sweep{.operands = {args.out[0]}, .row = n, .work = kGrainCopied / kGrainRows};
  for (const Tensor& t : args.in) sweep.operands.push_back(t);
  sweep.steps.resize(sweep.operands.size(), n);
  return sweep;
}

template <bool Log>
Sweep softmax_sweep(const ForwardArgs& args) {
  if (!rows_lie_so(args)) return {};
  Sweep sweep = sweep_of_rows(args);
  visit_floating(args.out[0].dtype(), [&]<class T>(Tag<T>) {
    const auto kernel = Log ? kernels<T>().log_softmax : kernels<T>().softmax;
    sweep.rows = [kernel, n = sweep.row](int64_t rows, void* const* at) {
      kernel(rows, n, static_cast<const T*>(at[1]), static_cast<T*>(at[0]));
    };
  });
  return sweep;
}

template <bool Log>
Sweep softmax_backward_sweep(const ForwardArgs& args) {
  if (!rows_lie_so(args)) return {};
  Sweep sweep = sweep_of_rows(args);
  visit_floating(args.out[0].dtype(), [&]<class T>(Tag<T>) {
    const auto kernel = Log ? kernels<T>().log_softmax_backward : kernels<T>().softmax_backward;
    sweep.rows = [kernel, n = sweep.row](int64_t rows, void* const* at) {
      kernel(rows, n, static_cast<const T*>(at[1]), static_cast<const T*>(at[2]),
             static_cast<T*>(at[0]));
    };
  });
  return sweep;
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
       .sweep = softmax_sweep<Log>,
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
         .sweep = softmax_backward_sweep<Log>,
         .composite = softmax_backward_composite<Log>,
         .saves = {"grad", "result"},
         .formula = slope,
         .gradient_of = name});
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
}

}  // namespace ranvier
