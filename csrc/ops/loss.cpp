// Losses that are compositions of other ops, and the reductions of all losses.
#include "ops/loss.h"

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/loops.h"

namespace ranvier {

AttrDef reduction_attr() {
  return {.name = "reduction", .kind = AttrKind::text, .value = std::string("mean")};
}

Reduction reduction_of(const AttrReader& args) {
  const std::string& name = args.text(static_cast<int>(args.op().attrs.size()) - 1);
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  if (name == "none") return Reduction::none;
  fail(ErrorKind::value, "[", args.op().name, "] expected a reduction 'mean', 'sum' or 'none', ",
       "got '", name, "'");
}

Dims reduced_shape(const AttrReader& args, const Dims& shape) {
  return reduction_of(args) == Reduction::none ? shape : Dims{};
}

Tensor reduce_loss(const AttrReader& args, const Tensor& each) {
  static const Op mean("mean"), sum("sum");
  const Reduction how = reduction_of(args);
  return how == Reduction::none ? each : how == Reduction::mean ? mean({each}) : sum({each});
}

void reduce_loss(const AttrReader& args, const Tensor& each, const Tensor& out) {
  const Reduction how = reduction_of(args);
  if (how == Reduction::none) return copy(out, each);
  const OpDef& op = *registry().find(how == Reduction::mean ? "mean" : "sum");
  const Tensors in = {each}, to = {out};
  op.forward(ForwardArgs(op, {Attr{}, false}, in, to));
}

namespace {

void same_shapes(const Tensors& in, const AttrReader& args) {
  if (in[0].shape() != in[1].shape())
    fail(ErrorKind::shape, "[", args.op().name, "] expected a target of the input's shape ",
         to_string(in[0].shape()), ", got ", to_string(in[1].shape()),
         "; reshape one of them, as broadcasting would compare every row with every other");
}

Tensor squared_difference(const Tensors& in, const AttrReader& args) {
  static const Op square("square");
  same_shapes(in, args);
  return square({in[0] - in[1]});
}

// Half a sum over outputs (all axes but the first); the reduction is over rows.
Tensors half_squared_error(const Tensors& in, const AttrReader& args) {
  static const Op sum("sum");
  Tensor rows = squared_difference(in, args);
  if (rows.dim() > 1) {
    std::vector<int64_t> axes;
    for (int i = 1; i < rows.dim(); ++i) axes.push_back(i);
    rows = sum({rows}, {axes, false});
  }
  return {reduce_loss(args, rows * 0.5)};
}

}  // namespace

void declare_losses(Registry& r) {
  r.add({.name = "mse_loss",
         .doc = "Mean squared error.",
         .inputs = {"input", "target"},
         .attrs = {reduction_attr()},
         .types = Types::floats,
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           return {reduce_loss(args, squared_difference(in, args))};
         },
         .formula = {"mean((x - t)^2)",
                     R"(\frac1n\sum_i (x_i-t_i)^2)",
                     {{"x", "2 (x - t) / n", R"(\frac2n(x-t))"},
                      {"t", "2 (t - x) / n", R"(\frac2n(t-x))"}}},
         .example = "rv.mse_loss(rv.tensor([1.0, 2.0]), rv.tensor([1.0, 4.0]))"});
  r.add({.name = "half_squared_error",
         .doc = "Half the squared error summed over outputs, mean over rows: the textbook's loss, "
                "whose gradient is (x - t).",
         .inputs = {"input", "target"},
         .attrs = {reduction_attr()},
         .types = Types::floats,
         .composite = half_squared_error,
         .formula = {"mean over rows of sum((x - t)^2) / 2",
                     R"(\frac1N\sum_r\tfrac12\sum_j (x_{rj}-t_{rj})^2)",
                     {{"x", "(x - t) / N", R"(\frac1N(x-t))"},
                      {"t", "(t - x) / N", R"(\frac1N(t-x))"}}},
         .example = "rv.half_squared_error(rv.tensor([[1.0, 2.0]]), rv.tensor([[1.0, 4.0]]))"});
  r.add({.name = "binary_cross_entropy",
         .doc = "Cross-entropy of probabilities in [0, 1]. Logarithms stop at -100, so that it is "
                "finite at 0 and 1.",
         .inputs = {"input", "target"},
         .attrs = {reduction_attr()},
         .types = Types::floats,
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op log_loss("log_loss");
           same_shapes(in, args);
           return {reduce_loss(args, log_loss({in[0], in[1]}))};
         },
         .formula = {"mean(-(t log(x) + (1 - t) log(1 - x)))",
                     R"(-\frac1n\sum_i (t_i\ln x_i+(1-t_i)\ln(1-x_i)))",
                     {{"x", "(x - t) / (x (1 - x) n)", R"(\frac{x-t}{n\,x(1-x)})"},
                      {"t", "log((1 - x) / x) / n", R"(\frac1n\ln\frac{1-x}{x})"}}},
         .example = "rv.binary_cross_entropy(rv.tensor([0.99, 0.5]), rv.tensor([1.0, 0.0]))"});
}

}  // namespace ranvier
