// add, sub and div with the keywords that PyTorch gives them: alpha and rounding_mode. A call that
// names one comes here, and the plain call pays nothing for it.
#include <cmath>

#include "ops/elementwise.h"

namespace ranvier {
namespace {

// alpha times `other`, in the dtype that the sum will have.
Tensor scaled(const Tensors& in, const AttrReader& args) {
  static const Op cast("cast");
  const double alpha = args.number(0);
  if (alpha == 1) return in[1];
  const DType dtype = promote(in[0].dtype(), in[1].dtype());
  if (!is_floating(dtype) && alpha != std::trunc(alpha))
    fail(ErrorKind::type, "[", args.op().name.substr(0, 3), "] alpha: expected a whole number for ",
         name_of(dtype), ", got ", alpha, "; call .float() on the tensors");
  const bool same = in[1].dtype() == dtype;
  return (same ? in[1] : cast({in[1]}, {static_cast<int64_t>(dtype)})) * alpha;
}

// The op that rounds its quotient as asked.
std::string rounding_op(const AttrReader& args) {
  if (!args.given(0)) return "div";
  if (args.text(0) == "floor") return "floor_divide";
  if (args.text(0) == "trunc") return "trunc_divide";
  fail(ErrorKind::value, "[div] rounding_mode: expected None, 'floor' or 'trunc', got '",
       args.text(0), "'");
}

Tensors add_scaled(const Tensors& in, const AttrReader& args) {
  return call("add", {in[0], scaled(in, args)});
}
Tensors sub_scaled(const Tensors& in, const AttrReader& args) {
  return call("sub", {in[0], scaled(in, args)});
}
Tensors div_rounded(const Tensors& in, const AttrReader& args) {
  return call(rounding_op(args), in);
}
Tensors add_scaled_in_place(const Tensors& in, const AttrReader& args) {
  return call("add_", {in[0], scaled(in, args)});
}
Tensors sub_scaled_in_place(const Tensors& in, const AttrReader& args) {
  return call("sub_", {in[0], scaled(in, args)});
}
Tensors div_rounded_in_place(const Tensors& in, const AttrReader& args) {
  return call(rounding_op(args) + "_", in);
}

// `call` is how a user writes it: the example. The form in place is a method alone.
void declare_both(Registry& r, OpDef op, const std::string& call, Composite in_place) {
  op.inputs = {"input", "other"};
  op.fronted = true;
  op.example = "rv." + call;
  OpDef changing = op;
  r.add(std::move(op));
  changing.in_place_of = changing.name;
  changing.name += "_";
  changing.doc += " In place.";
  changing.outputs = {};
  changing.composite = in_place;
  changing.mutates = {"input"};
  changing.differentiable = false;
  changing.formula.derivatives.clear();
  changing.example = "rv." + std::string(call).insert(call.find('('), "_");
  r.add(std::move(changing));
}

}  // namespace

void declare_keyword_forms(Registry& r) {
  const AttrDef alpha{.name = "alpha", .kind = AttrKind::number, .value = 1.0, .keyword = true};
  const AttrDef mode{.name = "rounding_mode",
                     .kind = AttrKind::text,
                     .value = {},
                     .optional = true,
                     .keyword = true};
  declare_both(r,
               {.name = "add_scaled",
                .doc = "Sum of a tensor and alpha times another.",
                .attrs = {alpha},
                .composite = add_scaled,
                .formula = {"x + a y", "x+a\\,y", {{"x", "1", "1"}, {"y", "a", "a"}}}},
               "add(rv.tensor([5.0, 7.0]), rv.tensor([2.0, 4.0]), alpha=2.0)", add_scaled_in_place);
  declare_both(r,
               {.name = "sub_scaled",
                .doc = "Difference of a tensor and alpha times another.",
                .attrs = {alpha},
                .composite = sub_scaled,
                .formula = {"x - a y", "x-a\\,y", {{"x", "1", "1"}, {"y", "-a", "-a"}}}},
               "sub(rv.tensor([5.0, 7.0]), rv.tensor([2.0, 4.0]), alpha=2.0)", sub_scaled_in_place);
  declare_both(
      r,
      {.name = "div_rounded",
       .doc = "Quotient of two tensors, rounded down ('floor'), towards 0 ('trunc') or not at all.",
       .attrs = {mode},
       .composite = div_rounded,
       .formula = {"x / y, rounded",
                   R"(\operatorname{round}(x/y))",
                   {{"x", "1 / y, 0 where rounded", R"(\frac{1}{y})"},
                    {"y", "-x / y^2, 0 where rounded", R"(-\frac{x}{y^2})"}}}},
      "div(rv.tensor([5.0, 7.0]), rv.tensor([2.0, 4.0]), rounding_mode='floor')",
      div_rounded_in_place);
}

}  // namespace ranvier
