// Views: results that share their input's memory. Shape rule and stride rule are one function.
#include <algorithm>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

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
  bool chosen[Dims::kMax + 1] = {};
  if (args.given(0))
    for (const int64_t axis : args.integers(0)) {
      bool& this_one = chosen[normal_axis("squeeze", axis, in.shape.size())];
      if (this_one)
        fail(ErrorKind::value, "[squeeze] expected every axis once, got ", to_string(args.dims(0)));
      this_one = true;
    }
  for (int i = 0; i < in.shape.size(); ++i) {
    if (in.shape[i] == 1 && (!args.given(0) || chosen[i])) continue;
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
  const auto axis = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::integer, .value = {}, .required = true};
  };
  const auto sizes = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::integers, .value = {}, .required = true};
  };
  r.add({.name = "transpose",
         .doc = "A view with two axes exchanged.",
         .inputs = {"input"},
         .attrs = {axis("dim0"), axis("dim1")},
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
         .doc = "A view without some axes of size 1, or without all of them.",
         .inputs = {"input"},
         .attrs = {{.name = "dim", .kind = AttrKind::integers, .value = {}, .optional = true}},
         .infer = infer_view,
         .backward = reshape_back,
         .view = squeeze_view,
         .formula = {"x without axes of size 1", "x", {{"x", "1", "1"}}},
         .example = "rv.squeeze(rv.ones(2, 1))",
         .method = true});
  r.add({.name = "unsqueeze",
         .doc = "A view with a new axis of size 1.",
         .inputs = {"input"},
         .attrs = {axis("dim")},
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

// ---- other names for the same views

Tensors movedim_composite(const Tensors& in, const AttrReader& args) {
  static const Op permute("permute");
  const std::vector<int64_t>&from = args.integers(0), &to = args.integers(1);
  const int n = in[0].dim();
  if (from.size() != to.size())
    fail(ErrorKind::value, "[movedim] expected as many axes in 'source' as in 'destination', got ",
         to_string(args.all()[0]), " and ", to_string(args.all()[1]));
  std::vector<int64_t> order(static_cast<size_t>(n), -1);
  bool moved[Dims::kMax] = {};
  for (size_t i = 0; i < from.size() && n > 0; ++i) {
    const int source = normal_axis("movedim", from[i], n), at = normal_axis("movedim", to[i], n);
    if (moved[source] || order[static_cast<size_t>(at)] >= 0)
      fail(ErrorKind::value, "[movedim] expected every axis once, got ", to_string(args.all()[0]),
           " and ", to_string(args.all()[1]));
    moved[source] = true;
    order[static_cast<size_t>(at)] = source;
  }
  int next = 0;
  for (int64_t& axis : order) {
    while (next < n && moved[next]) ++next;
    if (axis < 0) axis = next++;
  }
  return {permute({in[0]}, {order})};
}

Tensors unflatten_composite(const Tensors& in, const AttrReader& args) {
  static const Op view("view");
  const Dims& shape = in[0].shape();
  const int axis = normal_axis("unflatten", args.integer(0), shape.size());
  std::vector<int64_t> sizes = args.integers(1), target;
  const int64_t size = shape.empty() ? 1 : shape[axis];
  const auto wrong = [&] {
    fail(ErrorKind::shape, "[unflatten] expected sizes that multiply to ", size, ", that of axis ",
         axis, " of shape ", to_string(shape), ", got ", to_string(args.all()[1]));
  };
  int64_t known = 1;
  int64_t* open = nullptr;
  if (sizes.empty()) wrong();
  for (int64_t& n : sizes) {
    if (n == -1 && !open)
      open = &n;
    else if (n < 0 || __builtin_mul_overflow(known, n, &known))
      wrong();
  }
  if (open ? known == 0 || size % known != 0 : known != size) wrong();
  if (open) *open = size / known;
  for (int i = 0; i < std::max(shape.size(), 1); ++i) {
    if (i == axis)
      target.insert(target.end(), sizes.begin(), sizes.end());
    else
      target.push_back(shape[i]);
  }
  return {view({in[0]}, {target})};
}

// A view of the input under another op's rule.
template <const char* const& op>
Tensors through(const Tensors& in, const AttrReader& args) {
  return call(op, {in[0]}, args.all());
}
constexpr const char* kTranspose = "transpose";
constexpr const char* kExpand = "expand";

void declare_aliases(Registry& r) {
  const auto integers = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::integers, .value = {}, .required = true};
  };
  const auto integer = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::integer, .value = {}, .required = true};
  };
  const Formula order = {
      "x with its axes in another order", "x", {{"x", "g in the inverse order", "g"}}};
  const Formula shape = {"x, seen through another shape", "x", {{"x", "1", "1"}}};
  const Formula wide = {"x, repeated", "x", {{"x", "sum of g over repeated axes", R"(\sum g)"}}};
  for (const char* name : {"movedim", "moveaxis"})
    r.add({.name = name,
           .doc = "A view with some axes moved to other places, the rest staying in order.",
           .inputs = {"input"},
           .attrs = {integers("source"), integers("destination")},
           .composite = movedim_composite,
           .formula = order,
           .example = std::string("rv.") + name + "(rv.ones(2, 3, 4), 0, -1)",
           .method = true});
  for (const char* name : {"swapaxes", "swapdims"}) {
    const bool axes = std::string(name) == "swapaxes";
    r.add({.name = name,
           .doc = "A view with two axes exchanged.",
           .inputs = {"input"},
           .attrs = {integer(axes ? "axis0" : "dim0"), integer(axes ? "axis1" : "dim1")},
           .composite = through<kTranspose>,
           .formula = order,
           .example = std::string("rv.") + name + "(rv.ones(2, 3), 0, 1)",
           .method = true});
  }
  r.add({.name = "unflatten",
         .doc = "A view with one axis made several, one of whose sizes may be -1.",
         .inputs = {"input"},
         .attrs = {integer("dim"), integers("sizes")},
         .composite = unflatten_composite,
         .formula = shape,
         .example = "rv.unflatten(rv.ones(6, 2), 0, [2, 3])",
         .method = true});
  r.add({.name = "ravel",
         .doc = "All elements in a row; a view where the layout allows it, else a copy.",
         .inputs = {"input"},
         .composite = [](const Tensors& in, const AttrReader&) -> Tensors {
           return {reshaped(in[0], {-1})};
         },
         .formula = shape,
         .example = "rv.ravel(rv.ones(2, 3))",
         .method = true});
  r.add({.name = "broadcast_to",
         .doc = "A view in which axes of size 1 are repeated without memory of their own.",
         .inputs = {"input"},
         .attrs = {integers("size")},
         .composite = through<kExpand>,
         .formula = wide,
         .example = "rv.broadcast_to(rv.ones(3), [2, 3])",
         .method = true});
  r.add({.name = "expand_as",
         .doc = "A view repeated to the shape of another tensor.",
         .inputs = {"input", "other"},
         .composite = [](const Tensors& in, const AttrReader&) -> Tensors {
           return call("expand", {in[0]}, {list(in[1].shape())});
         },
         .formula = wide,
         .example = "rv.expand_as(rv.ones(3, 1), rv.ones(3, 4))",
         .method = true});
  r.add({.name = "reshape_as",
         .doc = "The same elements in the shape of another tensor.",
         .inputs = {"input", "other"},
         .composite = [](const Tensors& in, const AttrReader&) -> Tensors {
           return {reshaped(in[0], in[1].shape())};
         },
         .formula = shape,
         .example = "rv.reshape_as(rv.arange(6), rv.ones(2, 3))",
         .method = true});
}

}  // namespace

void declare_views(Registry& r) {
  declare_reshapes(r);
  declare_axes(r);
  declare_aliases(r);
}

}  // namespace ranvier
