// Views of a part of a tensor: one position, a slice, a diagonal, windows, or any strides; and
// splitting along an axis. The gradient of a part is zero everywhere else.
#include <algorithm>
#include <optional>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

int axis_of(const AttrReader& args, int attr, int dim) {
  return normal_axis(args.op().name.c_str(), args.integer(attr), dim);
}

// ---- select, slice, diagonal

bool select_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  if (in.shape.empty())
    fail(ErrorKind::index, "[select] expected a tensor with axes, got a single value");
  const int axis = axis_of(args, 0, in.shape.size());
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
  const int axis = axis_of(args, 0, in.shape.size());
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

bool diagonal_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  const int dim1 = axis_of(args, 1, in.shape.size()), dim2 = axis_of(args, 2, in.shape.size());
  if (dim1 == dim2)
    fail(ErrorKind::value, "[diagonal] expected two different axes, got ", args.integer(1), " and ",
         args.integer(2));
  const int64_t rows = in.shape[dim1], cols = in.shape[dim2];
  // Beyond a corner there is nothing, however far.
  const int64_t offset = std::clamp(args.integer(0), -rows, cols);
  const int64_t n = offset >= 0 ? std::min(rows, cols - offset) : std::min(rows + offset, cols);
  const int64_t step = in.strides[dim1] + in.strides[dim2];
  if (n > 0) out->offset += offset >= 0 ? offset * in.strides[dim2] : -offset * in.strides[dim1];
  for (const int axis : {std::max(dim1, dim2), std::min(dim1, dim2)}) {
    out->shape.erase(axis);
    out->strides.erase(axis);
  }
  out->shape.push_back(n);
  out->strides.push_back(step);
  return true;
}

// Where the part lies in a whole of args.dims(0), for the attributes of a part's backward: the
// input's shape, then those of the view.
Attrs attrs_of_part(const AttrReader& args) {
  Attrs its;
  for (size_t i = 1; i < args.all().size(); ++i) its.push_back(args.all()[i]);
  return its;
}

Layout part_of(const AttrReader& args) {
  const OpDef& view = *registry().find(args.op().gradient_of);
  const Attrs its = attrs_of_part(args);
  const Dims shape = args.dims(0);
  count(shape);
  Layout part;
  view.view(AttrReader(view, its), {shape, contiguous_strides(shape)}, &part);
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
         .moves = true,
         .infer = infer_part_backward,
         .forward = part_backward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call(args.op().gradient_of, {args.grad[0]}, attrs_of_part(args));
         },
         .formula = {"g in its place, 0 elsewhere", "g", {}},
         .gradient_of = added.name});
}

AttrDef integer(const char* name, Attr value = {}, bool optional = false) {
  const bool required = !optional && std::holds_alternative<std::monostate>(value);
  return {.name = name,
          .kind = AttrKind::integer,
          .value = std::move(value),
          .required = required,
          .optional = optional};
}
AttrDef integers(const char* name) {
  return {.name = name, .kind = AttrKind::integers, .value = {}, .required = true};
}

void declare_simple_parts(Registry& r) {
  declare_part(r, {.name = "select",
                   .doc = "A view of one position along an axis, which disappears.",
                   .inputs = {"input"},
                   .attrs = {integer("dim"), integer("index")},
                   .view = select_view,
                   .example = "rv.select(rv.ones(2, 3), 0, 1)",
                   .method = true});
  declare_part(r, {.name = "slice",
                   .doc = "A view of every step-th position from start up to end along an axis.",
                   .inputs = {"input"},
                   .attrs = {integer("dim", int64_t{0}), integer("start", {}, true),
                             integer("end", {}, true), integer("step", int64_t{1})},
                   .view = slice_view,
                   .example = "rv.slice(rv.arange(6), 0, 1, 5, 2)"});
  declare_part(r, {.name = "diagonal",
                   .doc = "A view of the elements whose positions along two axes differ by an "
                          "offset, as the last axis.",
                   .inputs = {"input"},
                   .attrs = {integer("offset", int64_t{0}), integer("dim1", int64_t{0}),
                             integer("dim2", int64_t{1})},
                   .view = diagonal_view,
                   .example = "rv.diagonal(rv.ones(3, 3))",
                   .method = true});
}

// ---- windows and strides: parts that may overlap

Tensor zeros_of(const Dims& shape, DType dtype) {
  static const Op expand("expand");
  return expand({scalar(0, dtype)}, {list(shape)});
}

bool unfold_view(const AttrReader& args, const Layout& in, Layout* out) {
  *out = in;
  if (in.shape.empty()) {
    out->shape.push_back(1);
    out->strides.push_back(1);
  }
  const int axis = axis_of(args, 0, in.shape.size());
  const int64_t n = out->shape[axis], size = args.integer(1), step = args.integer(2);
  if (size < 0 || size > n)
    fail(ErrorKind::shape, "[unfold] expected windows of a size in [0, ", n, "] for axis ", axis,
         " of shape ", to_string(in.shape), ", got ", size);
  if (step < 1) fail(ErrorKind::value, "[unfold] expected a step of at least 1, got ", step);
  const int64_t stride = out->strides[axis], windows = (n - size) / step + 1;
  if (in.shape.empty()) {
    out->shape = {size};
    out->strides = {1};
    return true;
  }
  out->shape[axis] = windows;
  out->strides[axis] = windows > 1 ? stride * step : stride;
  out->shape.push_back(size);
  out->strides.push_back(stride);
  return true;
}

// Every element gets the gradients of all windows that it is in.
Tensors unfold_back(const BackwardArgs& args) {
  static const Op movedim("movedim"), reshape("reshape"), add("index_add");
  const Dims& shape = args.in_meta[0].shape;
  const Tensor& g = args.grad[0];
  if (shape.empty())
    return {g.numel() == 1 ? reshape({g}, {std::vector<int64_t>{}}) : zeros_of(shape, g.dtype())};
  const int axis = axis_of(args, 0, shape.size());
  const int64_t size = args.integer(1), step = args.integer(2), windows = g.shape()[axis];
  const Tensor index = Tensor::empty({windows * size}, DType::int64);
  for (int64_t i = 0; i < index.numel(); ++i) index.data<int64_t>()[i] = i / size * step + i % size;
  const Tensor side_by_side =
      movedim({g}, {std::vector<int64_t>{-1}, std::vector<int64_t>{axis + 1}});
  Dims joined = shape;
  joined[axis] = windows * size;
  return {add({zeros_of(shape, g.dtype()), index, reshape({side_by_side}, {list(joined)})},
              {int64_t{axis}})};
}

// How far a layout reaches from the start of its memory; nothing where that cannot be counted.
std::optional<int64_t> reach_of(const Dims& shape, const Dims& strides, int64_t offset) {
  if (shape.size() != strides.size() || offset < 0) return std::nullopt;
  int64_t last = offset, reach = 0;
  for (int i = 0; i < shape.size(); ++i)
    if (shape[i] < 0 || strides[i] < 0 ||
        __builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last))
      return std::nullopt;
  return last;
}

// Attributes: size, stride, storage offset, and the strides and offset that the input had.
bool strided_view(const AttrReader& args, const Layout& in, Layout* out) {
  out->shape = args.dims(0);
  out->strides = args.dims(1);
  out->offset = args.integer(2);
  if (out->shape.size() != out->strides.size())
    fail(ErrorKind::value, "[as_strided] expected a stride for every size, got ",
         to_string(out->shape), " and ", to_string(out->strides));
  for (const int64_t stride : out->strides)
    if (stride < 0)
      fail(ErrorKind::value, "[as_strided] expected strides of 0 or more, got ",
           to_string(out->strides), "; use flip()");
  if (!reach_of(in.shape, args.dims(3), args.integer(4)))
    fail(ErrorKind::value, "[as_strided] expected the strides and the offset of the input, got ",
         to_string(args.dims(3)), " and ", args.integer(4), " for shape ", to_string(in.shape));
  const std::optional<int64_t> last = reach_of(out->shape, out->strides, out->offset);
  const bool empty = count(out->shape) == 0;
  if (!last || (in.room >= 0 && *last >= in.room + (empty ? 1 : 0)))
    fail(ErrorKind::value, "[as_strided] expected sizes, strides and an offset within ", in.room,
         " elements of memory, got ", to_string(out->shape), ", ", to_string(out->strides), " and ",
         args.integer(2));
  return true;
}

// Offsets of all elements of a layout, in their order.
Tensor offsets_of(const Dims& shape, const Dims& strides, int64_t start) {
  const Tensor offsets = Tensor::empty({count(shape)}, DType::int64);
  for (int64_t i = 0; i < offsets.numel(); ++i) {
    int64_t rest = i, at = start;
    for (int axis = shape.size() - 1; axis >= 0; --axis) {
      at += rest % shape[axis] * strides[axis];
      rest /= shape[axis];
    }
    offsets.data<int64_t>()[i] = at;
  }
  return offsets;
}

// By way of the memory that both look at. Where several elements of the input are one element of
// it, they share its gradient.
Tensors strided_back(const BackwardArgs& args) {
  static const Op reshape("reshape"), add("index_add"), select("index_select"), div("div");
  const Meta& x = args.in_meta[0];
  const Tensor& g = args.grad[0];
  const int64_t start = std::min(args.integer(2), args.integer(4));
  const Tensor from = offsets_of(args.dims(0), args.dims(1), args.integer(2) - start);
  const Tensor to = offsets_of(x.shape, args.dims(3), args.integer(4) - start);
  int64_t room = 0;
  for (const Tensor& t : {from, to})
    for (int64_t i = 0; i < t.numel(); ++i) room = std::max(room, t.data<int64_t>()[i] + 1);
  const Tensor holders = Tensor::zeros({room}, DType::int64);
  for (int64_t i = 0; i < to.numel(); ++i) ++holders.data<int64_t>()[to.data<int64_t>()[i]];
  const Tensor shares = Tensor::empty({to.numel()}, x.dtype);
  const Tensor counts = Tensor::empty({to.numel()}, DType::int64);
  for (int64_t i = 0; i < to.numel(); ++i)
    counts.data<int64_t>()[i] = holders.data<int64_t>()[to.data<int64_t>()[i]];
  copy(shares, counts);
  const Tensor line = reshape({g}, {std::vector<int64_t>{-1}});
  const Tensor memory = add({zeros_of({room}, g.dtype()), from, line}, {int64_t{0}});
  const Tensor mine = div({select({memory, to}, {int64_t{0}}), shares});
  return {reshape({mine}, {list(x.shape)})};
}

void declare_overlaps(Registry& r) {
  r.add({.name = "unfold",
         .doc = "A view of all windows of a size along an axis, step apart; a window is the last "
                "axis.",
         .inputs = {"input"},
         .attrs = {integer("dimension"), integer("size"), integer("step")},
         .infer = infer_view,
         .backward = unfold_back,
         .view = unfold_view,
         .formula = {"windows of x",
                     "x_{is + j}",
                     {{"x", "sum of g over the windows that hold it", R"(\sum g)"}}},
         .example = "rv.unfold(rv.arange(7), 0, 3, 2)",
         .method = true});
  const Formula strided = {"x's memory under other strides",
                           "x",
                           {{"x", "sum of g over equal places in memory", R"(\sum g)"}}};
  r.add({.name = "as_strided",
         .doc = "A view of the same memory with any size, stride and offset within it, counted in "
                "elements.",
         .inputs = {"input"},
         .attrs = {integers("size"), integers("stride"), integer("storage_offset", {}, true)},
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           const int64_t offset = in[0].impl()->offset;
           return call("strided", {in[0]},
                       {args.integers(0), args.integers(1),
                        args.given(2) ? args.integer(2) : offset, list(in[0].strides()), offset});
         },
         .formula = strided,
         .example = "rv.as_strided(rv.arange(6), [2, 2], [2, 1])",
         .method = true});
  r.add({.name = "strided",
         .doc = "as_strided, told the strides and offset of its input.",
         .inputs = {"input"},
         .attrs = {integers("size"), integers("stride"), integer("storage_offset"),
                   integers("base_stride"), integer("base_offset")},
         .infer = infer_view,
         .backward = strided_back,
         .view = strided_view,
         .formula = {strided.text, strided.latex, {}},
         .gradient_of = "as_strided"});
}

// ---- splitting

Tensor sliced(const Tensor& t, int64_t axis, int64_t start, int64_t end) {
  static const Op slice("slice");
  return slice({t}, {axis, start, end, int64_t{1}});
}

Tensors narrow_composite(const Tensors& in, const AttrReader& args) {
  const Dims& shape = in[0].shape();
  if (shape.empty())
    fail(ErrorKind::index, "[narrow] expected a tensor with axes, got a single value");
  const int axis = axis_of(args, 0, shape.size());
  const int64_t size = shape[axis], given = args.integer(1), length = args.integer(2);
  if (given < -size || given > size)
    fail(ErrorKind::index, "[narrow] expected a start in [", -size, ", ", size, "] for axis ", axis,
         " of size ", size, ", got ", given);
  const int64_t start = given < 0 ? given + size : given;
  if (length < 0 || length > size - start)
    fail(ErrorKind::shape, "[narrow] expected a length in [0, ", size - start, "] from ", start,
         " on for axis ", axis, " of shape ", to_string(shape), ", got ", length);
  return {sliced(in[0], axis, start, start + length)};
}

int64_t size_to_split(const Tensors& in, const AttrReader& args, int attr, int64_t* axis) {
  if (in[0].dim() == 0)
    fail(ErrorKind::index, "[", args.op().name,
         "] expected a tensor with axes, got a single value");
  *axis = axis_of(args, attr, in[0].dim());
  return in[0].shape()[static_cast<int>(*axis)];
}

// An axis of a tensor without elements can have any size: nobody could hold, or wait for, so many.
void check_parts(const Tensors& in, const AttrReader& args, int64_t parts) {
  constexpr int64_t most = int64_t{1} << 24;
  if (parts > most)
    fail(ErrorKind::shape, "[", args.op().name, "] expected at most ", most, " parts, got ", parts,
         " of shape ", to_string(in[0].shape()));
}

Tensors split_composite(const Tensors& in, const AttrReader& args) {
  int64_t axis = 0, left = size_to_split(in, args, 1, &axis);
  const int64_t size = left;
  const auto wrong = [&] {
    fail(ErrorKind::value, "[split] expected sizes of 0 or more that add up to ", size,
         ", that of axis ", axis, " of shape ", to_string(in[0].shape()), ", got ",
         to_string(args.all()[0]));
  };
  for (const int64_t part : args.integers(0)) {
    if (part < 0 || part > left) wrong();
    left -= part;
  }
  if (left != 0) wrong();
  Tensors parts;
  int64_t at = 0;
  for (const int64_t part : args.integers(0)) {
    parts.push_back(sliced(in[0], axis, at, at + part));
    at += part;
  }
  return parts;
}

Tensors chunk_composite(const Tensors& in, const AttrReader& args) {
  int64_t axis = 0;
  const int64_t size = size_to_split(in, args, 1, &axis), chunks = args.integer(0);
  if (chunks < 1)
    fail(ErrorKind::value, "[chunk] expected a number of chunks of at least 1, got ", chunks);
  const int64_t each = (size - 1) / chunks + 1;
  check_parts(in, args, size == 0 ? 0 : size / each);
  Tensors parts;
  if (size == 0)  // that many empty ones, unless nobody could hold them
    for (int64_t i = 0; i < std::min<int64_t>(chunks, 1 << 16); ++i)
      parts.push_back(sliced(in[0], axis, 0, 0));
  for (int64_t at = 0; at < size; at += each)
    parts.push_back(sliced(in[0], axis, at, std::min(size, at + each)));
  return parts;
}

Tensors unbind_composite(const Tensors& in, const AttrReader& args) {
  static const Op select("select");
  int64_t axis = 0;
  const int64_t size = size_to_split(in, args, 0, &axis);
  check_parts(in, args, size);
  Tensors parts;
  for (int64_t i = 0; i < size; ++i) parts.push_back(select({in[0]}, {axis, i}));
  return parts;
}

void declare_splits(Registry& r) {
  const Formula formula = {"parts of x", "x", {{"x", "g in its place", "g"}}};
  r.add({.name = "narrow",
         .doc = "A view of `length` positions from `start` on along an axis.",
         .inputs = {"input"},
         .attrs = {integer("dim"), integer("start"), integer("length")},
         .composite = narrow_composite,
         .formula = formula,
         .example = "rv.narrow(rv.arange(6), 0, 2, 3)",
         .method = true});
  r.add({.name = "split_with_sizes",
         .doc = "Views of parts of the given sizes along an axis.",
         .inputs = {"input"},
         .outputs = {"results*"},
         .attrs = {integers("split_sizes"), integer("dim", int64_t{0})},
         .composite = split_composite,
         .formula = formula,
         .example = "rv.split_with_sizes(rv.arange(5), [2, 3])",
         .method = true});
  r.add({.name = "chunk",
         .doc = "Views of at most that many parts of one size along an axis; the last may be "
                "smaller.",
         .inputs = {"input"},
         .outputs = {"results*"},
         .attrs = {integer("chunks"), integer("dim", int64_t{0})},
         .composite = chunk_composite,
         .formula = formula,
         .example = "rv.chunk(rv.arange(5), 3)",
         .method = true});
  r.add({.name = "unbind",
         .doc = "Views of all positions along an axis, which disappears.",
         .inputs = {"input"},
         .outputs = {"results*"},
         .attrs = {integer("dim", int64_t{0})},
         .composite = unbind_composite,
         .formula = formula,
         .example = "rv.unbind(rv.eye(2))",
         .method = true});
}

}  // namespace

void declare_parts(Registry& r) {
  declare_simple_parts(r);
  declare_overlaps(r);
  declare_splits(r);
}

}  // namespace ranvier
