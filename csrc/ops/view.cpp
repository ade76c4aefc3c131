// Views: results that share their input's memory. Shape rule and stride rule are one function.
#include <algorithm>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

// The shape rule of a view is its layout rule on a packed input.
Metas infer_view(const InferArgs& args) {
  Layout out;
  const Dims& shape = args.in[0].shape;
  args.op().view(args, {shape, contiguous_strides(shape), 0}, &out);
  return {{out.shape, args.in[0].dtype}};
}

Tensor reshaped(const Tensor& t, const Dims& shape) {
  static const Op reshape("reshape");
  return reshape({t}, {list(shape)});
}

// Gradient of every view that only renames positions.
Tensors reshape_back(const BackwardArgs& args) {
  return {reshaped(args.grad[0], args.in_meta[0].shape)};
}

// ---- reshape and view

// Replaces a -1 by what the other sizes leave over.
Dims target_shape(const AttrReader& args, const Dims& from) {
  Dims shape = args.dims(0);
  const auto wrong = [&] {
    fail(ErrorKind::shape, "[", args.op().name, "] expected a shape with ", count(from),
         " elements, as ", to_string(from), " has, got ", to_string(args.dims(0)));
  };
  int open = -1;
  Dims known;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1 && open < 0)
      open = i;
    else if (shape[i] < 0)
      wrong();
    else
      known.push_back(shape[i]);
  }
  const int64_t n = count(from), rest = count(known);
  if (open >= 0) {
    if (rest == 0 || n % rest != 0) wrong();
    shape[open] = n / rest;
  } else if (rest != n) {
    wrong();
  }
  return shape;
}

bool reshape_view(const AttrReader& args, const Layout& in, Layout* out) {
  out->shape = target_shape(args, in.shape);
  out->offset = in.offset;
  out->strides = contiguous_strides(out->shape);
  if (count(in.shape) == 0) return true;
  // Input axes that lie seamlessly in one another form runs; a new axis must divide its run.
  Dims sizes, strides;
  for (int i = 0; i < in.shape.size(); ++i) {
    if (in.shape[i] == 1) continue;
    const int last = sizes.size() - 1;
    if (last >= 0 && strides[last] == in.shape[i] * in.strides[i]) {
      sizes[last] *= in.shape[i];
      strides[last] = in.strides[i];
    } else {
      sizes.push_back(in.shape[i]);
      strides.push_back(in.strides[i]);
    }
  }
  int run = sizes.size() - 1;
  int64_t taken = 1;  // of the current run, from its fast end
  for (int i = out->shape.size() - 1; i >= 0; --i) {
    if (out->shape[i] == 1) continue;
    if (taken == sizes[run]) {
      --run;
      taken = 1;
    }
    if (sizes[run] % (taken * out->shape[i]) != 0) return false;
    out->strides[i] = strides[run] * taken;
    taken *= out->shape[i];
  }
  return true;
}

void declare_reshapes(Registry& r) {
  const std::vector<AttrDef> shape = {
      {.name = "shape", .kind = AttrKind::integers, .value = {}, .required = true}};
  const Formula formula = {"x, seen through another shape", "x", {{"x", "1", "1"}}};
  r.add({.name = "reshape",
         .doc = "The same elements in another shape, one size may be -1. A view where the layout "
                "allows it, else a copy.",
         .inputs = {"input"},
         .attrs = shape,
         .infer = infer_view,
         .backward = reshape_back,
         .view = reshape_view,
         .view_may_copy = true,
         .formula = formula,
         .example = "rv.reshape(rv.arange(6), [2, 3])",
         .method = true});
  r.add({.name = "view",
         .doc = "The same memory in another shape, one size may be -1; an error where the layout "
                "does not allow it.",
         .inputs = {"input"},
         .attrs = shape,
         .infer = infer_view,
         .backward = reshape_back,
         .view = reshape_view,
         .formula = formula,
         .example = "rv.view(rv.arange(6), [3, -1])",
         .method = true});
  r.add({.name = "flatten",
         .doc = "Axes start_dim to end_dim made one.",
         .inputs = {"input"},
         .attrs = {{.name = "start_dim", .kind = AttrKind::integer, .value = int64_t{0}},
                   {.name = "end_dim", .kind = AttrKind::integer, .value = int64_t{-1}}},
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           const Dims& from = in[0].shape();
           const int start = normal_axis("flatten", args.integer(0), from.size());
           const int end = normal_axis("flatten", args.integer(1), from.size());
           if (start > end)
             fail(ErrorKind::runtime, "[flatten] expected start_dim before end_dim, got ", start,
                  " and ", end);
           Dims shape;
           for (int i = 0; i < std::max(from.size(), 1); ++i) {
             const int64_t size = from.empty() ? 1 : from[i];
             if (i > start && i <= end)
               shape[shape.size() - 1] *= size;
             else
               shape.push_back(size);
           }
           return {reshaped(in[0], shape)};
         },
         .formula = formula,
         .example = "rv.flatten(rv.ones(2, 3, 4), 1)",
         .method = true});
}

// ---- axes

bool transpose_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  if (in.shape.empty()) {
    normal_axis("transpose", args.integer(0), 0);
    normal_axis("transpose", args.integer(1), 0);
    return true;
  }
  const int a = normal_axis("transpose", args.integer(0), in.shape.size());
  const int b = normal_axis("transpose", args.integer(1), in.shape.size());
  std::swap(out->shape[a], out->shape[b]);
  std::swap(out->strides[a], out->strides[b]);
  return true;
}

bool permute_view(const AttrReader& args, const Layout& in, Layout* out) {
  const std::vector<int64_t>& order = args.integers(0);
  bool used[Dims::kMax] = {};
  if (order.size() != static_cast<size_t>(in.shape.size()))
    fail(ErrorKind::shape, "[permute] expected an order of ", in.shape.size(), " axes for shape ",
         to_string(in.shape), ", got ", to_string(args.dims(0)));
  out->offset = in.offset;
  for (const int64_t axis : order) {
    const int i = normal_axis("permute", axis, in.shape.size());
    if (used[i])
      fail(ErrorKind::shape, "[permute] expected every axis once, got ", to_string(args.dims(0)));
    used[i] = true;
    out->shape.push_back(in.shape[i]);
    out->strides.push_back(in.strides[i]);
  }
  return true;
}

Tensors permute_back(const BackwardArgs& args) {
  const int n = args.in_meta[0].shape.size();
  std::vector<int64_t> inverse(static_cast<size_t>(n));
  for (int i = 0; i < n; ++i)
    inverse[static_cast<size_t>(normal_axis("permute", args.integers(0)[i], n))] = i;
  return call("permute", {args.grad[0]}, {inverse});
}

bool squeeze_view(const AttrReader& args, const Layout& in, Layout* out) {
  out->offset = in.offset;
  const int only = args.given(0) ? normal_axis("squeeze", args.integer(0), in.shape.size()) : -1;
  for (int i = 0; i < in.shape.size(); ++i) {
    if (in.shape[i] == 1 && (only < 0 || only == i)) continue;
    out->shape.push_back(in.shape[i]);
    out->strides.push_back(in.strides[i]);
  }
  return true;
}

bool unsqueeze_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  const int at = normal_axis("unsqueeze", args.integer(0), in.shape.size() + 1);
  const bool last = at == in.shape.size();
  out->strides.insert(at, last ? 1 : in.shape[at] * in.strides[at]);
  out->shape.insert(at, 1);
  return true;
}

bool expand_view(const AttrReader& args, const Layout& in, Layout* out) {
  out->shape = args.dims(0);
  out->offset = in.offset;
  const int extra = out->shape.size() - in.shape.size();
  const auto wrong = [&] {
    fail(ErrorKind::shape, "[expand] expected sizes that equal or widen 1 in ", to_string(in.shape),
         ", got ", to_string(args.dims(0)));
  };
  if (extra < 0) wrong();
  for (int i = 0; i < out->shape.size(); ++i) {
    const int64_t size = i < extra ? 1 : in.shape[i - extra];
    int64_t& wanted = out->shape[i];
    if (wanted == -1 && i >= extra) wanted = size;
    if (wanted < 0 || (wanted != size && size != 1)) wrong();
    const bool same = i >= extra && wanted == size;
    out->strides.push_back(same ? in.strides[i - extra] : 0);
  }
  return true;
}

void declare_axes(Registry& r) {
  const auto axis = [](const char* name, bool optional) {
    return AttrDef{.name = name,
                   .kind = AttrKind::integer,
                   .value = {},
                   .required = !optional,
                   .optional = optional};
  };
  const auto sizes = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::integers, .value = {}, .required = true};
  };
  r.add({.name = "transpose",
         .doc = "A view with two axes exchanged.",
         .inputs = {"input"},
         .attrs = {axis("dim0", false), axis("dim1", false)},
         .infer = infer_view,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call("transpose", {args.grad[0]}, args.all());
         },
         .view = transpose_view,
         .formula = {"x^T", "x^T", {{"x", "g^T", "g^T"}}},
         .example = "rv.transpose(rv.ones(2, 3), 0, 1)",
         .method = true});
  r.add(
      {.name = "permute",
       .doc = "A view with the axes in another order.",
       .inputs = {"input"},
       .attrs = {sizes("dims")},
       .infer = infer_view,
       .backward = permute_back,
       .view = permute_view,
       .formula = {"x with its axes in another order", "x", {{"x", "g in the inverse order", "g"}}},
       .example = "rv.permute(rv.ones(2, 3, 4), [2, 0, 1])",
       .method = true});
  r.add({.name = "squeeze",
         .doc = "A view without an axis of size 1, or without all of them.",
         .inputs = {"input"},
         .attrs = {axis("dim", true)},
         .infer = infer_view,
         .backward = reshape_back,
         .view = squeeze_view,
         .formula = {"x without axes of size 1", "x", {{"x", "1", "1"}}},
         .example = "rv.squeeze(rv.ones(2, 1))",
         .method = true});
  r.add({.name = "unsqueeze",
         .doc = "A view with a new axis of size 1.",
         .inputs = {"input"},
         .attrs = {axis("dim", false)},
         .infer = infer_view,
         .backward = reshape_back,
         .view = unsqueeze_view,
         .formula = {"x with a new axis", "x", {{"x", "1", "1"}}},
         .example = "rv.unsqueeze(rv.ones(3), 0)",
         .method = true});
  r.add({.name = "expand",
         .doc = "A view in which axes of size 1 are repeated without memory of their own.",
         .inputs = {"input"},
         .attrs = {sizes("size")},
         .infer = infer_view,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return {reduce_to(args.grad[0], args.in_meta[0].shape)};
         },
         .view = expand_view,
         .formula = {"x, repeated", "x", {{"x", "sum of g over repeated axes", R"(\sum g)"}}},
         .example = "rv.expand(rv.ones(3, 1), [3, 4])",
         .method = true});
}

// ---- parts of an axis

bool select_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  if (in.shape.empty())
    fail(ErrorKind::index, "[select] expected a tensor with axes, got a single value");
  const int axis = normal_axis("select", args.integer(0), in.shape.size());
  const int64_t size = in.shape[axis];
  const int64_t index = args.integer(1);
  if (index < -size || index >= size)
    fail(ErrorKind::index, "[select] expected an index in [", -size, ", ", size - 1, "] for axis ",
         axis, " of size ", size, ", got ", index);
  out->offset += (index < 0 ? index + size : index) * in.strides[axis];
  out->shape.erase(axis);
  out->strides.erase(axis);
  return true;
}

// Python's rule for slices with a positive step: bounds are clamped.
bool slice_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  if (in.shape.empty())
    fail(ErrorKind::index, "[slice] expected a tensor with axes, got a single value");
  const int axis = normal_axis("slice", args.integer(0), in.shape.size());
  const int64_t size = in.shape[axis], step = args.integer(3);
  if (step < 1)
    fail(ErrorKind::value, "[slice] expected a step of at least 1, got ", step, "; use flip()");
  const auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size); };
  const int64_t start = args.given(1) ? clamp(args.integer(1)) : 0;
  const int64_t end = args.given(2) ? clamp(args.integer(2)) : size;
  const int64_t n = end > start ? (end - start - 1) / step + 1 : 0;
  out->offset += n > 0 ? start * in.strides[axis] : 0;
  out->shape[axis] = n;
  out->strides[axis] *= n > 1 ? step : 1;
  return true;
}

// Where the part lies in a whole of args.dims(0), for the attributes of a part's backward: the
// input's shape, then those of the view.
Layout part_of(const AttrReader& args) {
  const OpDef& view = *registry().find(args.op().gradient_of);
  const Attrs its(args.all().begin() + 1, args.all().end());
  const Dims shape = args.dims(0);
  count(shape);
  Layout part;
  view.view(AttrReader(view, its), {shape, contiguous_strides(shape), 0}, &part);
  return part;
}

Metas infer_part_backward(const InferArgs& args) {
  if (!(part_of(args).shape == args.in[0].shape)) args.mismatch("a gradient of the part's shape");
  return {{args.dims(0), args.in[0].dtype}};
}

// Zeros but for the part.
void part_backward(const ForwardArgs& args) {
  const Tensor& whole = args.out[0];
  std::fill_n(static_cast<char*>(whole.raw()),
              static_cast<size_t>(whole.numel()) * size_of(whole.dtype()), char{0});
  const Layout part = part_of(args);
  copy(whole.alias(part.shape, part.strides, part.offset), args.in[0]);
}

Tensors part_back(const BackwardArgs& args) {
  Attrs attrs = {list(args.in_meta[0].shape)};
  for (const Attr& attr : args.all()) attrs.push_back(attr);
  return call(args.op().name + "_backward", {args.grad[0]}, attrs);
}

void declare_part(Registry& r, OpDef op) {
  std::vector<AttrDef> attrs = {
      {.name = "shape", .kind = AttrKind::integers, .value = {}, .required = true}};
  attrs.insert(attrs.end(), op.attrs.begin(), op.attrs.end());
  op.infer = infer_view;
  op.backward = part_back;
  op.formula = {"a part of x", "x", {{"x", "g in its place, 0 elsewhere", "g"}}};
  const OpDef& added = r.add(std::move(op));
  r.add({.name = added.name + "_backward",
         .doc = "Gradient of " + added.name + ": zeros but for the part.",
         .inputs = {"grad"},
         .attrs = attrs,
         .types = Types::floats,
         .infer = infer_part_backward,
         .forward = part_backward,
         .differentiable = false,
         .formula = {"g in its place, 0 elsewhere", "g", {}},
         .gradient_of = added.name});
}

}  // namespace

void declare_views(Registry& r) {
  declare_reshapes(r);
  declare_axes(r);
  const auto integer = [](const char* name, Attr value, bool required, bool optional) {
    return AttrDef{name, AttrKind::integer, std::move(value), required, optional};
  };
  declare_part(r, {.name = "select",
                   .doc = "A view of one position along an axis, which disappears.",
                   .inputs = {"input"},
                   .attrs = {integer("dim", {}, true, false), integer("index", {}, true, false)},
                   .view = select_view,
                   .example = "rv.select(rv.ones(2, 3), 0, 1)",
                   .method = true});
  declare_part(
      r, {.name = "slice",
          .doc = "A view of every step-th position from start up to end along an axis.",
          .inputs = {"input"},
          .attrs = {integer("dim", int64_t{0}, false, false), integer("start", {}, false, true),
                    integer("end", {}, false, true), integer("step", int64_t{1}, false, false)},
          .view = slice_view,
          .example = "rv.slice(rv.arange(6), 0, 1, 5, 2)"});
}

}  // namespace ranvier
