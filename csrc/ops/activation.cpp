// Activations that are put together from other ops; the rest are rows of elementwise.def.
#include "ops/families.h"
#include "ops/op.h"

namespace ranvier {
namespace {

Tensors prelu(const Tensors& in, const AttrReader&) {
  static const Op rectify("rectify"), reshape("reshape");
  const Tensor &x = in[0], &slope = in[1];
  if (slope.dim() <= 1 && slope.numel() == 1)
    return {
        rectify({x, slope.dim() == 1 && x.dim() == 0 ? reshape({slope}, {std::vector<int64_t>{}})
                                                     : slope})};
  const int64_t channels = x.dim() > 1 ? x.shape()[1] : 1;
  if (slope.dim() != 1 || slope.numel() != channels)
    fail(ErrorKind::shape, "[prelu] expected a weight of shape (1,) or (", channels,
         ",), one slope for each channel (axis 1) of input ", to_string(x.shape()), ", got ",
         to_string(slope.shape()));
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[1] = channels;
  return {rectify({x, reshape({slope}, {shape})})};
}

Tensors glu(const Tensors& in, const AttrReader& args) {
  static const Op narrow("narrow"), sigmoid("sigmoid");
  const Tensor& x = in[0];
  const int axis = normal_axis("glu", args.integer(0), x.dim());
  const int64_t size = x.dim() == 0 ? 1 : x.shape()[axis];
  if (size % 2 != 0)
    fail(ErrorKind::shape, "[glu] expected an even size along axis ", axis, ", got ", size,
         " in shape ", to_string(x.shape()));
  const int64_t half = size / 2;
  return {narrow({x}, {int64_t{axis}, int64_t{0}, half}) *
          sigmoid({narrow({x}, {int64_t{axis}, half, half})})};
}

}  // namespace

void declare_activations(Registry& r) {
  r.add({.name = "prelu",
         .doc = "x where it is above 0, else its product with a slope that is learnt: one for all, "
                "or one for each channel, which is axis 1 (He et al., 2015, eq. 1).",
         .inputs = {"input", "weight"},
         .types = Types::promote_floats,
         .composite = prelu,
         .formula =
             {"x if x > 0 else w x",
              R"(\begin{cases}x & x > 0\\ w\,x & x \le 0\end{cases})",
              {{"x", "1 if x > 0 else w", R"(\begin{cases}1 & x > 0\\ w & x \le 0\end{cases})"},
               {"w", "0 if x > 0 else x", R"(\begin{cases}0 & x > 0\\ x & x \le 0\end{cases})"}}},
         .example = "rv.prelu(rv.tensor([[-2.0, 2.0]]), rv.tensor([0.5]))"});
  r.add({.name = "glu",
         .doc = "Gated linear unit: the first half along an axis times the sigmoid of the second "
                "(Dauphin et al., 2016, eq. 1).",
         .inputs = {"input"},
         .attrs = {{.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}}},
         .composite = glu,
         .formula = {"a sigmoid(b), a and b the halves",
                     R"(a\,\sigma(b))",
                     {{"x", "(sigmoid(b), a s (1 - s)), s = sigmoid(b)",
                       R"((\sigma(b), a\,\sigma(b)(1-\sigma(b))))"}}},
         .example = "rv.glu(rv.tensor([2.0, 4.0, 0.0, 0.0]))"});
}

}  // namespace ranvier
