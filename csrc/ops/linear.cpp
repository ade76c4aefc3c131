// The fully connected layer: one product with bias and activation in its epilogue, and a backward
// that reads the incoming gradient as rarely as it can.
#include "core/dtypes.h"
#include "kernels/cpu/gemm.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/matmul.h"

namespace ranvier {
namespace {

// The row of elementwise.def behind an activation that linear can apply to its result: one whose
// derivative needs the result alone.
bool needs_result_alone(const OpDef& op) {
  return op.row >= 0 && op.inputs.size() == 1 && op.attrs.empty() && op.saved_in.empty() &&
         !op.saved_out.empty() && !op.outputs.empty();
}
// One whose derivative can be applied to a gradient: it reads the result or the input, not both.
bool has_slope(const OpDef& op) {
  return op.row >= 0 && op.inputs.size() == 1 && op.attrs.empty() && !op.outputs.empty() &&
         op.saved_in.size() + op.saved_out.size() == 1;
}

const OpDef* activation_of(const AttrReader& args, bool (*fits)(const OpDef&), const char* advice) {
  if (!args.given(0)) return nullptr;
  const OpDef* op = registry().find(args.text(0));
  if (op && fits(*op)) return op;
  std::string names;
  for (const OpDef& other : registry().all())
    if (fits(other)) names += (names.empty() ? "" : ", ") + other.name;
  fail(ErrorKind::value, "[", args.op().name, "] expected an activation out of ", names, ", got '",
       args.text(0), "'; ", advice);
}

}  // namespace

bool applies_in_linear(const OpDef& op) { return needs_result_alone(op); }

const OpDef* slope_of(const OpDef& backward) {
  const OpDef* const op = registry().find(backward.gradient_of);
  return op && has_slope(*op) && backward.name == op->name + "_backward" ? op : nullptr;
}

namespace {

const OpDef* epilogue(const AttrReader& args) {
  return activation_of(args, needs_result_alone, "call other ones on the result");
}
const OpDef* slope(const AttrReader& args) {
  return activation_of(args, has_slope, "call the backward of other ones on the result");
}

// "f(x)" as "sigmoid(x)", or "x" where there is no activation.
std::string with_activation(const AttrReader& args, const std::string& x) {
  return args.given(0) ? args.text(0) + "(" + x + ")" : x;
}

Metas infer_linear(const InferArgs& args) {
  const Dims &x = args.in[0].shape, &w = args.in[1].shape;
  if (w.size() != 2) args.mismatch("a weight (out_features, in_features)");
  if (x.empty() || x.back() != w[1])
    fail(ErrorKind::shape, "[linear] expected input with ", w[1], " features (last axis), got ",
         to_string(x));
  if (args.given_inputs[2] && args.in[2].shape != Dims{w[0]})
    args.mismatch("a bias (out_features,)");
  epilogue(args);
  Dims out = x;
  out[out.size() - 1] = w[0];
  return {{out, args.in[0].dtype}};
}

// x w into `out`, x row-major; k is an axis of w.
template <class G, class A, class C>
G product_of_rows(const A* x, const A* weight, const Tensor& w, int k_axis, const Tensor& out,
                  C* c) {
  G g{};
  g.k = w.shape()[k_axis];
  g.n = w.shape()[1 - k_axis];
  g.m = g.n == 0 ? 0 : out.numel() / g.n;
  g.a = x;
  g.a_row = g.k;
  g.a_k = 1;
  g.b = weight;
  g.b_k = w.strides()[k_axis];
  g.b_col = w.strides()[1 - k_axis];
  g.c = c;
  g.c_row = g.n;
  return g;
}

void linear_in_pairs(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]), &w = args.in[1], &out = args.out[0];
  const Tensor bias = args.in[2].defined() ? converted(args.in[2], DType::float32) : Tensor();
  PairGemm g =
      product_of_rows<PairGemm>(bits_of(x), bits_of(w), w, 1, out, static_cast<float*>(nullptr));
  g.bias = bias.defined() ? bias.data<float>() : nullptr;
  if (const OpDef* activation = epilogue(args))
    g.activation = kernel_table().forward[activation->row][static_cast<int>(DType::float32)];
  g.rounded = &out.data<BFloat16>()->bits;
  gemm(g);
}

// Of x and bias as they are read: packed.
template <class T>
Gemm<T> forward_product(const ForwardArgs& args, const Tensor& x, const Tensor& bias) {
  const Tensor& w = args.in[1];
  Gemm<T> g =
      product_of_rows<Gemm<T>>(x.data<T>(), w.data<T>(), w, 1, args.out[0], args.out[0].data<T>());
  g.bias = bias.defined() ? bias.data<T>() : nullptr;
  if (const OpDef* activation = epilogue(args))
    g.activation = kernel_table().forward[activation->row][static_cast<int>(x.dtype())];
  return g;
}

void linear_forward(const ForwardArgs& args) {
  if (args.out[0].dtype() == DType::bfloat16) return linear_in_pairs(args);
  const Tensor x = packed(args.in[0]);
  const Tensor bias = args.in[2].defined() ? packed(args.in[2]) : Tensor();
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) { gemm(forward_product<T>(args, x, bias)); });
}

// Read where it lies, and in its own precision.
bool is_plain(const Tensor& t) {
  return !t.defined() || (t.is_contiguous() && !is_half(t.dtype()));
}

Prepared prepare_linear(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &bias = args.in[2];
  if (!is_plain(x) || !is_plain(bias)) return {};
  Prepared call;
  visit_floating(x.dtype(),
                 [&]<class T>(Tag<T>) { call = prepared_gemm(forward_product<T>(args, x, bias)); });
  return call;
}

// ---- backward

// The gradients of weight (in, out) and bias from x (rows, in) and g (rows, out), or added to what
// both hold; not where half precision rounds in between.
bool weight_and_bias(const BackwardArgs& args, const Tensor& x, const Tensor& g, Tensors& grads) {
  static const Op fresh("linear_weight_grad"), onto("linear_weight_grad_onto_");
  const Tensor weight = args.held_by(1), bias = args.held_by(2);
  if (!args.needs[1] || !args.needs[2] || is_half(g.dtype())) return false;
  if (weight.defined() != bias.defined()) return false;
  if (!weight.defined()) {
    const Tensors both = fresh.all({x, g});
    grads[1] = swapped(both[0]);
    grads[2] = both[1];
    return true;
  }
  if (weight.dtype() != g.dtype() || bias.dtype() != g.dtype()) return false;
  onto({swapped(weight), bias, x, g});
  grads[1] = weight;
  grads[2] = bias;
  return true;
}

Tensors linear_backward(const BackwardArgs& args) {
  static const Op matmul("matmul");
  const OpDef* activation = epilogue(args);
  Tensor g = args.grad[0];
  if (activation) g = call(activation->name + "_backward", {g, {}, {}, args.out[0]})[0];
  const Tensor &x = args.in[0], &w = args.in[1];
  const Dims &shape = args.in_meta[0].shape, &weight_shape = args.in_meta[1].shape;
  const int64_t n = count(Dims(shape.begin(), static_cast<size_t>(shape.size() - 1)));
  const auto rows = [&](const Tensor& t, int64_t width) { return reshaped_to(t, {n, width}); };
  Tensors grads(3);
  if (args.needs[0]) grads[0] = matmul({g, w});
  const Tensor flat = rows(g, weight_shape[0]);
  const Tensor factor = args.needs[1] ? rows(x, weight_shape[1]) : x;
  if (weight_and_bias(args, factor, flat, grads)) return grads;
  // Computed as (in, out), which is how the weight is stored, and seen as (out, in).
  const Tensor weight = args.held_by(1);
  if (args.needs[1]) {
    const Tensor sum = weight.defined() ? swapped(weight) : weight;
    const Tensor all = multiplied_onto(sum, swapped(factor), flat);
    grads[1] = all.same(sum) ? weight : swapped(all);
  }
  if (args.needs[2]) grads[2] = reduce_to(flat, args.in_meta[2].shape, args.held_by(2));
  return grads;
}

Tensors linear_composite(const Tensors& in, const AttrReader& args) {
  static const Op matmul("matmul");
  Tensor y = matmul({in[0], swapped(in[1])});
  if (in[2].defined()) y = y + in[2];
  const OpDef* activation = epilogue(args);
  return activation ? run(*activation, {y}, {}) : Tensors{y};
}

// Inputs: input, grad; the last two of linear_weight_grad_onto_ as well.
Metas infer_weight_grad(const InferArgs& args) {
  check_factors(args);
  const Dims &x = args.in[0].shape, &g = args.in[1].shape;
  if (x.size() != 2 || g.size() != 2 || x[0] != g[0])
    args.mismatch("matrices (rows, in_features) and (rows, out_features)");
  return {{{x[1], g[1]}, args.in[0].dtype}, {{g[1]}, args.in[0].dtype}};
}

Metas infer_weight_grad_onto(const InferArgs& args) {
  check_factors(args);
  const Dims &weight = args.in[0].shape, &bias = args.in[1].shape;
  const Dims &x = args.in[2].shape, &g = args.in[3].shape;
  if (x.size() != 2 || g.size() != 2 || x[0] != g[0] || !(weight == Dims{x[1], g[1]}) ||
      !(bias == Dims{g[1]}))
    args.mismatch(
        "weight (in_features, out_features), bias (out_features,) and matrices (rows, in_features) "
        "and (rows, out_features)");
  return {};
}

// weight = x^T g and bias = sums over the rows of g; g is read once.
template <class T>
Gemm<T> weight_product(const Tensor& x, const Tensor& g, const Tensor& weight, const Tensor& bias,
                       bool accumulate) {
  Gemm<T> p{};
  p.m = weight.shape()[0];
  p.n = weight.shape()[1];
  p.k = x.shape()[0];
  p.a = x.data<T>();
  p.a_row = x.strides()[1];
  p.a_k = x.strides()[0];
  p.b = g.data<T>();
  p.b_k = g.strides()[0];
  p.b_col = g.strides()[1];
  p.c = weight.data<T>();
  p.c_row = weight.strides()[0];
  p.accumulate = accumulate;
  p.column_sums = bias.data<T>();
  return p;
}

void weight_grad(const Tensor& x, const Tensor& g, const Tensor& weight, const Tensor& bias,
                 bool accumulate) {
  if (bias.numel() == 0 || (accumulate && x.shape()[0] == 0)) return;
  visit_floating(weight.dtype(),
                 [&]<class T>(Tag<T>) { gemm(weight_product<T>(x, g, weight, bias, accumulate)); });
}

Prepared prepare_weight_grad(const ForwardArgs& args) {
  const Tensor &x = args.in[0], &g = args.in[1], &bias = args.out[1];
  if (is_half(x.dtype()) || bias.numel() == 0) return {};
  Prepared call;
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) {
    call = prepared_gemm(weight_product<T>(x, g, args.out[0], bias, false));
  });
  return call;
}

void weight_grad_forward(const ForwardArgs& args) {
  weight_grad(args.in[0], args.in[1], args.out[0], args.out[1], false);
}

void weight_grad_onto_forward(const ForwardArgs& args) {
  const Tensor &weight = args.in[0], &bias = args.in[1];
  const bool in_place = weight.strides()[1] == 1 || weight.shape()[1] == 1;
  const Tensor w = in_place ? weight : converted(weight, weight.dtype());
  const Tensor b = bias.shape()[0] > 1 && bias.strides()[0] != 1 ? packed(bias) : bias;
  const auto free = [&](const Tensor& t) { return apart(apart(t, weight), bias); };
  weight_grad(free(args.in[2]), free(args.in[3]), w, b, true);
  if (!in_place) copy(weight, w);
  if (!b.same(bias)) copy(bias, b);
}

Prepared prepare_weight_grad_onto(const ForwardArgs& args) {
  const Tensor &weight = args.in[0], &bias = args.in[1], &x = args.in[2], &g = args.in[3];
  const bool in_place = (weight.strides()[1] == 1 || weight.shape()[1] == 1) &&
                        (bias.strides()[0] == 1 || bias.shape()[0] == 1);
  const auto apart_from_both = [&](const Tensor& t) {
    return is_apart(t, weight) && is_apart(t, bias);
  };
  if (!in_place || is_half(weight.dtype()) || bias.numel() == 0 || x.shape()[0] == 0) return {};
  if (!apart_from_both(x) || !apart_from_both(g)) return {};
  Prepared call;
  visit_floating(weight.dtype(), [&]<class T>(Tag<T>) {
    call = prepared_gemm(weight_product<T>(x, g, weight, bias, true));
  });
  return call;
}

Tensors weight_grad_composite(const Tensors& in, const AttrReader&) {
  static const Op matmul("matmul"), bias_grad("bias_grad");
  return {matmul({swapped(in[0]), in[1]}), bias_grad({in[1]})};
}

// Inputs: grad, weight, saved?
Metas infer_input_grad(const InferArgs& args) {
  const Dims &g = args.in[0].shape, &w = args.in[1].shape;
  if (w.size() != 2 || g.empty() || g.back() != w[0])
    args.mismatch("gradients (..., out_features) and a weight (out_features, in_features)");
  Dims out = g;
  out[out.size() - 1] = w[1];
  const bool derives = slope(args) != nullptr;
  if (derives != args.given_inputs[2] || (derives && !(args.in[2].shape == out)))
    args.mismatch("with an activation, and only then, what it saved: (..., in_features)");
  return {{out, args.in[0].dtype}};
}

// Of g and saved as they are read: packed; saved undefined without an activation.
template <class T>
Gemm<T> input_product(const ForwardArgs& args, const Tensor& g, const Tensor& saved) {
  const Tensor& w = args.in[1];
  Gemm<T> p =
      product_of_rows<Gemm<T>>(g.data<T>(), w.data<T>(), w, 0, args.out[0], args.out[0].data<T>());
  if (!saved.defined()) return p;
  p.activation = kernel_table().backward_x[slope(args)->row][static_cast<int>(g.dtype())];
  p.saved = saved.data<T>();
  p.saved_row = p.n;
  return p;
}

void input_grad_forward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]);
  const Tensor saved = slope(args) ? packed(args.in[2]) : Tensor();
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) { gemm(input_product<T>(args, g, saved)); });
}

Prepared prepare_input_grad(const ForwardArgs& args) {
  const Tensor &g = args.in[0], &saved = args.in[2];
  if (!is_plain(g) || !is_plain(saved)) return {};
  Prepared call;
  visit_floating(g.dtype(),
                 [&]<class T>(Tag<T>) { call = prepared_gemm(input_product<T>(args, g, saved)); });
  return call;
}

Tensors input_grad_composite(const Tensors& in, const AttrReader& args) {
  static const Op matmul("matmul");
  const Tensor y = matmul({in[0], in[1]});
  const OpDef* activation = slope(args);
  if (!activation) return {y};
  const bool result = activation->saved_in.empty();
  return call(activation->name + "_backward",
              {y, result ? Tensor() : in[2], {}, result ? in[2] : Tensor()});
}

// The derivative by the activation's input or, where that is what was kept, by its result.
std::string input_grad_formula(const AttrReader& args, const Flags&) {
  const OpDef* const activation = slope(args);
  if (!activation) return "g @ W";
  const std::string f = activation->name;
  const bool result = activation->saved_in.empty();
  return "(g @ W) " + (result ? f + "'(x), " + f + "(x) = saved" : f + "'(saved)");
}

// x^T g: as many multiply-adds for each element as there are rows.
Cost weight_grad_cost(const Metas& in, const Metas& out, const AttrReader& args) {
  Cost cost = matmul_cost(in, out, args);
  cost.flops = 2.0 * double(count(out[0].shape)) * double(in[0].shape[0]);
  return cost;
}

void declare_gradients(Registry& r) {
  r.add({.name = "linear_weight_grad",
         .doc = "Gradients of a linear layer's weight, as (in, out), and of its bias: the product "
                "of its input's columns with the gradient of its result, and the sums of that "
                "gradient's rows, in one pass.",
         .inputs = {"input", "grad"},
         .outputs = {"weight", "bias"},
         .types = Types::floats,
         .infer = infer_weight_grad,
         .forward = weight_grad_forward,
         .prepare = prepare_weight_grad,
         .composite = weight_grad_composite,
         .saves = {"input", "grad"},
         .cost = weight_grad_cost,
         .formula = {"x.T @ g; sum over rows of g", R"(x^T g,\ \sum_r g_{rj})", {}},
         .gradient_of = "linear"});
  r.add({.name = "linear_weight_grad_onto_",
         .doc = "The same added to gradients that are there, in place; every element goes on as "
                "one chain.",
         .inputs = {"weight", "bias", "input", "grad"},
         .outputs = {},
         .types = Types::floats,
         .infer = infer_weight_grad_onto,
         .forward = weight_grad_onto_forward,
         .prepare = prepare_weight_grad_onto,
         .mutates = {"weight", "bias"},
         .differentiable = false,
         .formula = {"w = w + x.T @ g; b = b + sum over rows of g",
                     R"(w \leftarrow w + x^T g,\ b_j \leftarrow b_j + \sum_r g_{rj})",
                     {}},
         .gradient_of = "linear"});
  r.add({.name = "linear_input_grad",
         .doc = "Gradient of a linear layer's input, times the derivative of the activation that "
                "made that input, in one pass. 'saved' is what the activation keeps for its "
                "backward: its result or, as gelu does, its input.",
         .inputs = {"grad", "weight", "saved?"},
         .attrs = {{.name = "activation", .kind = AttrKind::text, .value = {}, .optional = true}},
         .types = Types::floats,
         .infer = infer_input_grad,
         .forward = input_grad_forward,
         .prepare = prepare_input_grad,
         .composite = input_grad_composite,
         .saves = {"grad", "weight", "saved"},
         .cost = matmul_cost,
         .formula = {"(g @ W) f'", R"((g W)\,f')", {}},
         .formula_for = input_grad_formula,
         .gradient_of = "linear"});
}

}  // namespace

void declare_linear(Registry& r) {
  r.add({.name = "linear",
         .doc = "Fully connected layer: input (..., in), weight (out, in), bias (out), and an "
                "activation applied to the result in the same pass.",
         .inputs = {"input", "weight", "bias?"},
         .attrs = {{.name = "activation", .kind = AttrKind::text, .value = {}, .optional = true}},
         .types = Types::floats,
         .infer = infer_linear,
         .forward = linear_forward,
         .takes_half = in_pairs,
         .prepare = prepare_linear,
         .backward = linear_backward,
         .composite = linear_composite,
         .saves = {"input for weight", "weight for input", "result"},
         .saves_results = [](const AttrReader& args) { return args.given(0); },
         .continues = true,
         .cost = matmul_cost,
         .formula = {"f(x @ W.T + b)",
                     R"(f(x W^T + b))",
                     {{"x", "(g f') @ W", "(g f')\\,W"},
                      {"W", "(g f').T @ x", "(g f')^T x"},
                      {"b", "sum over rows of g f'", R"(\sum_r (g f')_r)"}}},
         .formula_for =
             [](const AttrReader& args, const Flags& given) {
               return with_activation(args, given[2] ? "x @ W.T + b" : "x @ W.T");
             },
         .example = "rv.linear(rv.ones(2, 3), rv.ones(4, 3), rv.zeros(4), 'relu')"});
  declare_gradients(r);
}

}  // namespace ranvier
