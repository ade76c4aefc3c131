// Rosenblatt's rule: rows one after another, each of which may change the weights.
#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

// Inputs: weight, input, target, bias?
Metas infer_pass(const InferArgs& args) {
  for (size_t i = 1; i < args.in.size(); ++i)
    if (args.given_inputs[i] && args.in[i].dtype != args.in[0].dtype)
      fail(ErrorKind::type, "[perceptron_pass] expected ", name_of(args.in[0].dtype), " for '",
           args.op().inputs[i], "', got ", name_of(args.in[i].dtype));
  if (!is_floating(args.in[0].dtype))
    fail(ErrorKind::type, "[perceptron_pass] expected floating weights, got ",
         name_of(args.in[0].dtype));
  const Dims &weight = args.in[0].shape, &x = args.in[1].shape;
  if (weight.size() != 1 || x.size() != 2 || x[1] != weight[0] ||
      !(args.in[2].shape == Dims{x[0]}) || (args.given_inputs[3] && !(args.in[3].shape == Dims{1})))
    args.mismatch("weight (columns,), input (rows, columns), target (rows,) and bias (1,)");
  return {{{}, DType::int64}};
}

// One row after another; the sum is one chain over the columns, and the bias comes last.
template <class T>
int64_t pass(int64_t rows, int64_t cols, const T* x, const T* target, T* weight, T* bias) {
  int64_t mistakes = 0;
  for (int64_t r = 0; r < rows; ++r, x += cols) {
    T z = 0;
    for (int64_t j = 0; j < cols; ++j) z += weight[j] * x[j];
    if (bias) z += *bias;
    const T error = target[r] - static_cast<T>(z >= 0);
    if (error == 0) continue;
    ++mistakes;
    for (int64_t j = 0; j < cols; ++j) weight[j] += error * x[j];
    if (bias) *bias += error;
  }
  return mistakes;
}

void pass_forward(const ForwardArgs& args) {
  const Tensor &weight = args.in[0], &bias = args.in[3];
  const Tensor x = packed(apart(args.in[1], weight)), target = packed(apart(args.in[2], weight));
  // A weight with gaps is worked on in a copy; so is one that shares its memory with the bias.
  const Tensor w = converted(weight, weight.dtype());
  const Tensor b = bias.defined() ? converted(bias, bias.dtype()) : bias;
  visit_floating(weight.dtype(), [&]<class T>(Tag<T>) {
    *args.out[0].data<int64_t>() =
        pass<T>(x.shape()[0], x.shape()[1], x.data<T>(), target.data<T>(), w.data<T>(),
                b.defined() ? b.data<T>() : nullptr);
  });
  copy(weight, w);
  if (b.defined()) copy(bias, b);
}

}  // namespace

void declare_perceptron(Registry& r) {
  r.add({.name = "perceptron_pass",
         .doc = "One pass of Rosenblatt's rule over rows in their order, in place; gives how many "
                "rows changed the weights (Rosenblatt, 1958). Targets are 0 or 1.",
         .inputs = {"weight", "input", "target", "bias?"},
         .infer = infer_pass,
         .forward = pass_forward,
         .mutates = {"weight", "bias"},
         .differentiable = false,
         .formula = {"for each row: e = t - [w x + b >= 0]; w = w + e x; b = b + e",
                     R"(e = t - [w x + b \ge 0],\; w \leftarrow w + e x,\; b \leftarrow b + e)",
                     {}},
         .example = "rv.perceptron_pass(rv.zeros(2), rv.ones(3, 2), rv.zeros(3), rv.zeros(1))"});
}

}  // namespace ranvier
