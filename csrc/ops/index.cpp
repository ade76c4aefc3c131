// Picking elements by integer tensors, and putting gradients back.
#include <algorithm>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

void check_index_type(const InferArgs& args, size_t i) {
  const DType dtype = args.in[i].dtype;
  if (is_floating(dtype) || dtype == DType::bool_)
    fail(ErrorKind::type, "[", args.op().name, "] expected integers for 'index', got ",
         name_of(dtype), "; call .long() on it");
}

// A packed int64 copy with every value checked against [least, size) and made non-negative.
Tensor checked(const AttrReader& args, const Tensor& index, int64_t size, int64_t least) {
  Tensor result = Tensor::empty(index.shape(), DType::int64);
  copy(result, index);
  int64_t* p = result.data<int64_t>();
  for (int64_t i = 0; i < result.numel(); ++i) {
    if (p[i] < least || p[i] >= size)
      fail(ErrorKind::index, "[", args.op().name, "] expected indices in [", least, ", ", size - 1,
           "] for an axis of size ", size, ", got ", p[i]);
    if (p[i] < 0) p[i] += size;
  }
  return result;
}

// ---- index_select: whole slices along one axis

Metas infer_select(const InferArgs& args) {
  check_index_type(args, 1);
  if (args.in[1].shape.size() != 1) args.mismatch("an index with one axis");
  if (args.in[0].shape.empty()) args.mismatch("an input with at least one axis");
  Meta out = args.in[0];
  const int axis = normal_axis("index_select", args.integer(0), out.shape.size());
  out.shape[axis] = args.in[1].shape[0];
  return {out};
}

void select_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const int axis = normal_axis("index_select", args.integer(0), x.dim());
  const AxisSplit s(x.shape(), axis);
  const Tensor index = checked(args, args.in[1], s.size, -s.size);
  const int64_t* at = index.data<int64_t>();
  const int64_t n = index.numel();
  const int64_t bytes = s.inner * static_cast<int64_t>(size_of(x.dtype()));
  const auto* from = static_cast<const char*>(x.raw());
  auto* to = static_cast<char*>(args.out[0].raw());
  parallel_items(s.outer * n, bytes, 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      std::copy_n(from + (i / n * s.size + at[i % n]) * bytes, bytes, to + i * bytes);
  });
}

// Inputs: grad, index; attributes: shape of the input, axis.
void select_backward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]);
  const Tensor& dx = args.out[0];
  const int axis = normal_axis("index_select", args.integer(1), dx.dim());
  const AxisSplit s(dx.shape(), axis);
  const Tensor index = checked(args, args.in[1], s.size, -s.size);
  const int64_t* at = index.data<int64_t>();
  const int64_t n = index.numel();
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    std::fill_n(dx.data<T>(), dx.numel(), T(0));
    // Every outer slice is one thread's, in the order of the index: sums have one order.
    parallel_items(s.outer, n * s.inner, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin * n; i < end * n; ++i) {
        const T* from = g.data<T>() + i * s.inner;
        T* to = dx.data<T>() + (i / n * s.size + at[i % n]) * s.inner;
        for (int64_t j = 0; j < s.inner; ++j) to[j] += from[j];
      }
    });
  });
}

// ---- gather: one element for every element of the index

Metas infer_gather(const InferArgs& args) {
  check_index_type(args, 1);
  const Dims &x = args.in[0].shape, &index = args.in[1].shape;
  const int axis = normal_axis("gather", args.integer(0), x.size());
  bool fits = x.size() == index.size();
  for (int i = 0; fits && i < x.size(); ++i) fits = i == axis || index[i] <= x[i];
  if (!fits) args.mismatch("an index no larger than the input on every axis but the chosen one");
  return {{index, args.in[0].dtype}};
}

// f(position in the index, position in the input) for every element of the index, in order.
template <class F>
void each_gathered(const Dims& shape, const Tensor& index, int axis, F f) {
  const Dims strides = contiguous_strides(shape);
  const int64_t* at = index.data<int64_t>();
  for (int64_t i = 0; i < index.numel(); ++i) {
    int64_t rest = i, offset = 0;
    for (int a = index.dim() - 1; a >= 0; --a) {
      const int64_t position = rest % index.shape()[a];
      rest /= index.shape()[a];
      offset += (a == axis ? at[i] : position) * strides[a];
    }
    f(i, index.dim() == 0 ? at[i] : offset);
  }
}

void gather_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const int axis = normal_axis("gather", args.integer(0), x.dim());
  const Tensor index = checked(args, args.in[1], x.dim() == 0 ? 1 : x.shape()[axis], 0);
  visit_size(size_of(x.dtype()), [&]<class T>(Tag<T>) {
    each_gathered(x.shape(), index, axis,
                  [&](int64_t to, int64_t from) { args.out[0].data<T>()[to] = x.data<T>()[from]; });
  });
}

void gather_backward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]);
  const Tensor& dx = args.out[0];
  const int axis = normal_axis("gather", args.integer(1), dx.dim());
  const Tensor index = checked(args, args.in[1], dx.dim() == 0 ? 1 : dx.shape()[axis], 0);
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    std::fill_n(dx.data<T>(), dx.numel(), T(0));
    each_gathered(dx.shape(), index, axis,
                  [&](int64_t from, int64_t to) { dx.data<T>()[to] += g.data<T>()[from]; });
  });
}

// The gradient must have the shape that the forward op gives for this input and index.
Metas infer_pick_backward(const InferArgs& args) {
  const OpDef& pick = *registry().find(args.op().gradient_of);
  if (!is_floating(args.in[0].dtype)) args.mismatch("a floating gradient");
  const Attrs its = {args.integer(1)};
  const Metas in = {{args.dims(0), args.in[0].dtype}, args.in[1]};
  count(in[0].shape);
  if (!(pick.infer(InferArgs(pick, its, in, {true, true}))[0].shape == args.in[0].shape))
    args.mismatch("a gradient of the picked shape");
  return {in[0]};
}

void declare_pick(Registry& r, OpDef op, void (*backward_kernel)(const ForwardArgs&)) {
  const std::vector<AttrDef> dim = {
      {.name = "dim", .kind = AttrKind::integer, .value = {}, .required = true}};
  op.inputs = {"input", "index"};
  op.attrs = dim;
  op.arguments = {"input", "dim", "index"};
  op.backward = [](const BackwardArgs& args) -> Tensors {
    const Dims& shape = args.in_meta[0].shape;
    const std::vector<int64_t> sizes(shape.begin(), shape.end());
    return call(args.op().name + "_backward", {args.grad[0], args.in[1]}, {sizes, args.integer(0)});
  };
  op.saves = {"index"};
  op.moves = true;
  op.method = true;
  const OpDef& added = r.add(std::move(op));
  r.add({.name = added.name + "_backward",
         .doc = "Gradient of " + added.name + ": adds up what was picked from one place.",
         .inputs = {"grad", "index"},
         .attrs = {{.name = "shape", .kind = AttrKind::integers, .value = {}, .required = true},
                   dim[0]},
         .infer = infer_pick_backward,
         .forward = backward_kernel,
         .differentiable = false,
         .formula = {"sum of g over equal indices", R"(\sum g)", {}},
         .gradient_of = added.name});
}

}  // namespace

void declare_indexing(Registry& r) {
  declare_pick(r,
               {.name = "gather",
                .doc = "One element along an axis for every element of an integer tensor.",
                .infer = infer_gather,
                .forward = gather_forward,
                .formula = {"x[index] along one axis",
                            R"(x_{t_i})",
                            {{"x", "sum of g over equal indices", R"(\sum_{t_i = j} g_i)"}}},
                .example = "rv.gather(rv.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, "
                           "rv.tensor([[1], [0]]))"},
               gather_backward);
  declare_pick(r,
               {.name = "index_select",
                .doc = "The slices along an axis that an integer vector names, in its order.",
                .infer = infer_select,
                .forward = select_forward,
                .formula = {"x[index] along one axis",
                            R"(x_{t_i})",
                            {{"x", "sum of g over equal indices", R"(\sum_{t_i = j} g_i)"}}},
                .example = "rv.index_select(rv.arange(6), 0, rv.tensor([4, 0]))"},
               select_backward);
}

}  // namespace ranvier
