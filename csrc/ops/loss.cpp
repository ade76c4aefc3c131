// What all losses share: the reductions, and the check of two equal shapes.
#include "ops/loss.h"

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

std::string reduced_formula(const AttrReader& args, const Flags&) {
  const std::string& text = args.op().formula.text;
  const std::string each = text.substr(0, text.find(", then the reduction"));
  const Reduction how = reduction_of(args);
  if (how == Reduction::none) return each;
  return (how == Reduction::mean ? "mean(" : "sum(") + each + ")";
}

std::string slope_formula(const AttrReader& args, const Flags&) {
  return args.op().formula.text + (reduction_of(args) == Reduction::mean ? " / n" : "");
}

void check_target_shape(const AttrReader& args, const Dims& input, const Dims& target) {
  if (input == target) return;
  const auto column = [](const Dims& a, const Dims& b) {
    return a.size() == 2 && b.size() == 1 && a[1] == 1 && a[0] == b[0];
  };
  const char* const hint = column(input, target)   ? "use target.unsqueeze(1)"
                           : column(target, input) ? "use input.unsqueeze(1), or target.squeeze(1)"
                                                   : "reshape one of them";
  fail(ErrorKind::shape, "[", args.op().name, "] expected a target of the input's shape ",
       to_string(input), ", got ", to_string(target), "; ", hint,
       ", as broadcasting would compare every row with every other");
}

}  // namespace ranvier
