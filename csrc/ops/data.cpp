// Copies, conversions and changes in place.
#include <algorithm>

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

void copy_forward(const ForwardArgs& args) { copy(args.out[0], args.in[0]); }
Sweep sweep_of_copy(const ForwardArgs& args) { return copy_sweep(args.out[0], args.in[0]); }

Tensors pass(const BackwardArgs& args) { return {args.grad[0]}; }

Metas infer_nothing(const InferArgs&) { return {}; }

// The second input must broadcast to the first, which keeps its shape.
Metas infer_into(const InferArgs& args) {
  if (!(broadcast(args, args.in[0].shape, args.in[1].shape) == args.in[0].shape))
    args.mismatch("a source that broadcasts to the shape of what is changed");
  return {};
}

void declare_copies(Registry& r) {
  const Formula same = {"x", "x", {{"x", "1", "1"}}};
  r.add({.name = "clone",
         .doc = "A copy with memory of its own, in the same layout if that has no gaps.",
         .inputs = {"input"},
         .moves = true,
         .infer = same_as_first,
         .forward = copy_forward,
         .sweep = sweep_of_copy,
         .backward = pass,
         .elementwise = true,
         .formula = same,
         .example = "rv.clone(rv.ones(3))",
         .method = true});
  r.add({.name = "contiguous",
         .doc = "A row-major copy.",
         .inputs = {"input"},
         .moves = true,
         .infer = same_as_first,
         .forward = copy_forward,
         .sweep = sweep_of_copy,
         .backward = pass,
         .formula = same,
         .example = "rv.contiguous(rv.ones(2, 3))"});
  r.add({.name = "cast",
         .doc = "A copy in another dtype. Floats are cut towards zero on their way to integers.",
         .inputs = {"input"},
         .attrs = {{.name = "dtype", .kind = AttrKind::dtype, .value = {}, .required = true}},
         .moves = true,
         .infer = [](const InferArgs& args) -> Metas {
           if (args.integer(0) < 0 || args.integer(0) >= kDTypes)
             fail(ErrorKind::value, "[cast] expected a dtype, got number ", args.integer(0));
           return {{args.in[0].shape, static_cast<DType>(args.integer(0))}};
         },
         .forward = copy_forward,
         .sweep = sweep_of_copy,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call("cast", {args.grad[0]}, {static_cast<int64_t>(args.in_meta[0].dtype)});
         },
         .elementwise = true,
         .formula = same,
         .example = "rv.cast(rv.ones(3), rv.int64)"});
}

}  // namespace

void declare_data(Registry& r) {
  declare_copies(r);
  r.add(
      {.name = "copy_",
       .doc = "Overwrites the first tensor with the second, converted and broadcast. It is done "
              "when the "
              "call returns, whatever `non_blocking` says.",
       .inputs = {"input", "src"},
       .attrs = {{.name = "non_blocking", .kind = AttrKind::flag, .value = false}},
       .moves = true,
       .infer = infer_into,
       .forward = [](const ForwardArgs& args) { copy(args.in[0], apart(args.in[1], args.in[0])); },
       .sweep = [](const ForwardArgs& args) -> Sweep {
         if (!is_apart(args.in[1], args.in[0])) return {};
         return copy_sweep(args.in[0], args.in[1]);
       },
       .mutates = {"input"},
       .differentiable = false,
       .formula = {"x = y", R"(x \leftarrow y)", {}},
       .example = "rv.copy_(rv.zeros(3), rv.ones(3))",
       .new_values = [](const Tensors& in, const AttrReader&) -> Tensors {
         static const Op expand("expand");
         const Dims& shape = in[0].shape();
         return {expand({in[1]}, {std::vector<int64_t>(shape.begin(), shape.end())})};
       },
       .method = true});
  r.add({.name = "fill_",
         .doc = "Sets every element to a value, in place.",
         .inputs = {"input"},
         .attrs = {{.name = "value", .kind = AttrKind::number, .value = {}, .required = true}},
         .moves = true,
         .infer = infer_nothing,
         .forward =
             [](const ForwardArgs& args) {
               copy(args.in[0], Tensor::full({}, args.number(0), args.in[0].dtype()));
             },
         .sweep = [](const ForwardArgs& args) -> Sweep {
           Sweep sweep =
               copy_sweep(args.in[0], Tensor::full({}, args.number(0), args.in[0].dtype()));
           sweep.made = {sweep.operands[1]};
           return sweep;
         },
         .mutates = {"input"},
         .overwrites = true,
         .differentiable = false,
         .formula = {"x = a", R"(x \leftarrow a)", {}},
         .example = "rv.fill_(rv.zeros(3), 2.0)",
         .new_values = [](const Tensors& in, const AttrReader& args) -> Tensors {
           const Tensor& x = in[0];
           const std::vector<int64_t> shape(x.shape().begin(), x.shape().end());
           const Dims rows = contiguous_strides(x.shape());
           const std::vector<int64_t> strides(rows.begin(), rows.end());
           return call("write_region", {x, Tensor::full(x.shape(), args.number(0), x.dtype())},
                       {strides, shape, strides, int64_t{0}});
         },
         .method = true});
}

}  // namespace ranvier
