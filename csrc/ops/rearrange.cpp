// The same elements in other places, or several times: repeat, roll, flip and their kin; triangles
// and diagonals; grids.
#include <algorithm>
#include <cstring>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "core/recording.h"
#include "ops/families.h"
#include "ops/indices.h"
#include "ops/runs.h"

namespace ranvier {

int64_t length_of(const Runs& runs) {
  int64_t n = 0;
  for (const Run& run : runs) n += run.count;
  return n;
}

namespace {

// One axis, its runs with the place where each begins.
struct Axis {
  const Runs* runs;
  std::vector<int64_t> begins;

  explicit Axis(const Runs& of) : runs(&of) {
    int64_t at = 0;
    for (const Run& run : of) {
      begins.push_back(at);
      at += run.count;
    }
  }
  // Where a position comes from; -1 for nowhere.
  int64_t source(int64_t position) const {
    const auto after = std::upper_bound(begins.begin(), begins.end(), position);
    auto i = static_cast<size_t>(after - begins.begin()) - 1;
    const Run& run = (*runs)[i];
    return run.from < 0 ? -1 : run.from + (position - begins[i]) * run.step;
  }
};

// `n` blocks of `block` elements one after another, each from `step` blocks further on.
template <class T>
void copy_blocks(const T* from, int64_t step, int64_t n, int64_t block, T* to) {
  if (step == 1) {
    std::memcpy(to, from, static_cast<size_t>(n * block) * sizeof(T));
  } else if (block == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i * step];
  } else {
    for (int64_t i = 0; i < n; ++i)
      std::memcpy(to + i * block, from + i * step * block, static_cast<size_t>(block) * sizeof(T));
  }
}

bool is_whole(const Runs& runs, int64_t size) {
  return runs.size() == 1 && runs[0].from == 0 && runs[0].step == 1 && runs[0].count == size;
}

}  // namespace

void copy_runs(const Tensor& out, const Tensor& given, const std::vector<Runs>& axes,
               const void* fill) {
  if (out.numel() == 0) return;
  const Tensor in = packed(given);
  // Last axes that stay as they are move as blocks.
  int last = out.dim() - 1;
  int64_t block = 1;
  while (last >= 0 && is_whole(axes[static_cast<size_t>(last)], in.shape()[last]))
    block *= in.shape()[last--];
  std::vector<Axis> outer;
  for (int i = 0; i < last; ++i) outer.emplace_back(axes[static_cast<size_t>(i)]);
  const Runs single = unchanged(1);
  const Runs& inner = last < 0 ? single : axes[static_cast<size_t>(last)];
  const int64_t width = length_of(inner) * block, rows = out.numel() / width;
  visit_size(size_of(out.dtype()), [&]<class T>(Tag<T>) {
    const T none = fill ? *static_cast<const T*>(fill) : T(0);
    parallel_items(rows, width, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        T* to = out.data<T>() + row * width;
        int64_t offset = 0, rest = row;
        for (int i = last - 1; i >= 0 && offset >= 0; --i) {
          const int64_t source = outer[static_cast<size_t>(i)].source(rest % out.shape()[i]);
          rest /= out.shape()[i];
          offset = source < 0 ? -1 : offset + source * in.strides()[i];
        }
        for (const Run& run : inner) {
          const int64_t n = run.count * block;
          if (offset < 0 || run.from < 0)
            std::fill_n(to, n, none);
          else
            copy_blocks(in.data<T>() + offset + run.from * block, run.step, run.count, block, to);
          to += n;
        }
      }
    });
  });
}

namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

AttrDef integers_attr(const char* name, bool required, Attr value = {}) {
  return {.name = name,
          .kind = AttrKind::integers,
          .value = std::move(value),
          .required = required,
          .optional = !required && std::holds_alternative<std::monostate>(value)};
}

// The axes of attribute `attr`, each in [0, dim) and named once.
std::vector<int> distinct_axes(const AttrReader& args, int attr, int dim) {
  std::vector<int> axes;
  for (const int64_t given : args.integers(attr)) {
    const int axis = normal_axis(args.op().name.c_str(), given, dim);
    if (std::find(axes.begin(), axes.end(), axis) != axes.end())
      fail(ErrorKind::value, "[", args.op().name, "] expected every axis once, got ",
           to_string(args.dims(attr)));
    axes.push_back(axis);
  }
  return axes;
}

// ---- repeat and tile

Metas infer_repeat(const InferArgs& args) {
  const Dims& x = args.in[0].shape;
  Dims out = args.dims(0);
  const int extra = out.size() - x.size();
  if (extra < 0)
    fail(ErrorKind::shape, "[repeat] expected a number of repeats for every axis of ", to_string(x),
         ", got ", to_string(out), "; tile() takes fewer");
  for (int i = 0; i < out.size(); ++i) {
    if (out[i] < 0)
      fail(ErrorKind::value, "[repeat] expected repeats of 0 or more, got ",
           to_string(args.dims(0)));
    const int64_t size = i < extra ? 1 : x[i - extra];
    if (__builtin_mul_overflow(out[i], size, &out[i]))
      fail(ErrorKind::shape, "[repeat] expected a shape that fits into memory, got ", to_string(x),
           " repeated ", to_string(args.dims(0)));
  }
  return {{out, args.in[0].dtype}};
}

void repeat_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  Tensor x = packed(args.in[0]);
  Dims shape = x.shape();
  while (shape.size() < out.dim()) shape.insert(0, 1);
  x = x.alias(shape, contiguous_strides(shape), x.impl()->offset);
  std::vector<Runs> axes;
  if (out.numel() == 0) return;
  for (int i = 0; i < out.dim(); ++i) {
    const int64_t times = args.integers(0)[static_cast<size_t>(i)];
    if (shape[i] == 1)
      axes.push_back({{0, times, times == 1 ? 1 : 0}});
    else
      axes.emplace_back(static_cast<size_t>(times), Run{0, shape[i], 1});
  }
  copy_runs(out, x, axes);
}

// Sums over the copies, axis after axis.
Tensors repeat_back(const BackwardArgs& args) {
  static const Op reshape("reshape"), sum("sum");
  const Dims& shape = args.in_meta[0].shape;
  Tensor g = args.grad[0];
  const int dims = g.dim(), extra = dims - shape.size();
  Dims now = g.shape();
  for (int i = 0; i < dims; ++i) {
    const int64_t times = args.integers(0)[static_cast<size_t>(i)];
    if (times == 1) continue;
    const int64_t size = i < extra ? 1 : shape[i - extra];
    int64_t before = 1, after = size;
    for (int j = 0; j < i; ++j) before *= now[j];
    for (int j = i + 1; j < dims; ++j) after *= now[j];
    g = reshape({g}, {std::vector<int64_t>{before, times, after}});
    g = sum({g}, {std::vector<int64_t>{1}, false});
    now[i] = size;
  }
  return {reshape({g}, {list(shape)})};
}

void declare_repeats(Registry& r) {
  const Formula formula = {
      "x, several times", "x", {{"x", "sum of g over the copies", R"(\sum g)"}}};
  r.add({.name = "repeat",
         .doc = "Copies of the input side by side, so many along each axis.",
         .inputs = {"input"},
         .attrs = {integers_attr("repeats", true)},
         .moves = true,
         .infer = infer_repeat,
         .forward = repeat_forward,
         .backward = repeat_back,
         .formula = formula,
         .example = "rv.repeat(rv.arange(3), 2, 2)",
         .method = true});
  r.add({.name = "tile",
         .doc = "Copies of the input side by side; where fewer numbers than axes are given, the "
                "first axes are not repeated.",
         .inputs = {"input"},
         .attrs = {integers_attr("dims", true)},
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op repeat("repeat");
           std::vector<int64_t> times = args.integers(0);
           while (static_cast<int>(times.size()) < in[0].dim()) times.insert(times.begin(), 1);
           return {repeat({in[0]}, {times})};
         },
         .formula = formula,
         .example = "rv.tile(rv.arange(3), 2)",
         .method = true});
}

// ---- repeat_interleave

constexpr int64_t kNoAxis = -1;

// The input as (before, size, after) around an axis; flattened where none is given.
AxisSplit split_at(const AttrReader& args, int attr, const Dims& shape, int64_t* axis) {
  if (!args.given(attr)) {
    *axis = kNoAxis;
    return AxisSplit({count(shape)}, 0);
  }
  *axis = normal_axis(args.op().name.c_str(), args.integer(attr), shape.size());
  return AxisSplit(shape.empty() ? Dims{1} : shape, static_cast<int>(*axis));
}

Tensors repeat_each_composite(const Tensors& in, const AttrReader& args) {
  static const Op reshape("reshape"), expand("expand");
  const int64_t times = args.integer(0);
  if (times < 0)
    fail(ErrorKind::value, "[repeat_interleave] expected repeats of 0 or more, got ", times);
  int64_t axis = 0;
  Dims shape = in[0].shape();
  const AxisSplit s = split_at(args, 1, shape, &axis);
  if (axis == kNoAxis || shape.empty()) shape = {s.size};
  int64_t& size = shape[static_cast<int>(std::max<int64_t>(axis, 0))];
  if (__builtin_mul_overflow(size, times, &size))
    fail(ErrorKind::shape, "[repeat_interleave] expected a shape that fits into memory, got ",
         to_string(in[0].shape()), " repeated ", times);
  const std::vector<int64_t> one = {s.outer * s.size, 1, s.inner};
  const std::vector<int64_t> all = {s.outer * s.size, times, s.inner};
  return {reshape({expand({reshape({in[0]}, {one})}, {all})}, {list(shape)})};
}

// How long the index of repeats is: told, or read.
Metas index_length(const ForwardArgs& args) {
  const Tensor repeats = converted(args.in[0], DType::int64);
  const int64_t* const n = repeats.data<int64_t>();
  int64_t total = 0;
  for (int64_t i = 0; i < repeats.numel(); ++i) {
    if (n[i] < 0)
      fail(ErrorKind::value, "[repeat_interleave] expected repeats of 0 or more, got ", n[i]);
    if (__builtin_add_overflow(total, n[i], &total))
      fail(ErrorKind::shape, "[repeat_interleave] expected a size that fits into memory, got more");
  }
  return {{{total}, DType::int64}};
}

void index_forward(const ForwardArgs& args) {
  const Tensor repeats = converted(args.in[0], DType::int64);
  const int64_t* const n = repeats.data<int64_t>();
  const int64_t total = index_length(args)[0].shape[0];
  const Tensor& out = args.out[0];
  if (total != out.numel())
    fail(ErrorKind::shape, "[repeat_interleave] expected repeats that add up to output_size ",
         out.numel(), ", got ", total);
  int64_t* to = out.data<int64_t>();
  for (int64_t i = 0; i < repeats.numel(); ++i) to = std::fill_n(to, n[i], i);
}

Metas infer_repeats(const InferArgs& args) {
  expect_integers(args, 0);
  if (args.in[0].shape.size() != 1) args.mismatch("repeats with one axis");
  return {{{args.integer(0)}, DType::int64}};
}

Tensors interleave_composite(const Tensors& in, const AttrReader& args) {
  static const Op reshape("reshape"), expand("expand"), select("index_select"),
      free_index("repeat_index"), fixed_index("repeat_index_sized");
  int64_t axis = 0;
  const AxisSplit s = split_at(args, 0, in[0].shape(), &axis);
  Tensor repeats = in[1];
  if (is_floating(repeats.dtype()) || repeats.dtype() == DType::bool_)
    fail(ErrorKind::type, "[repeat_interleave] expected integers for 'repeats', got ",
         name_of(repeats.dtype()), "; call .long() on it");
  if (repeats.numel() == 1 && repeats.dim() < 2)
    repeats =
        expand({reshape({repeats}, {std::vector<int64_t>{1}})}, {std::vector<int64_t>{s.size}});
  if (repeats.dim() != 1 || repeats.numel() != s.size)
    fail(ErrorKind::shape, "[repeat_interleave] expected one number of repeats, or ", s.size,
         " along the axis of ", to_string(in[0].shape()), ", got ", to_string(in[1].shape()));
  const Tensor index =
      args.given(1) ? fixed_index({repeats}, {args.integer(1)}) : free_index({repeats});
  const Tensor x = axis == kNoAxis || in[0].dim() == 0
                       ? reshape({in[0]}, {std::vector<int64_t>{s.size}})
                       : in[0];
  return {select({x, index}, {std::max<int64_t>(axis, 0)})};
}

void declare_interleaves(Registry& r) {
  const AttrDef dim = {.name = "dim", .kind = AttrKind::integer, .value = {}, .optional = true};
  const Formula formula = {
      "each element several times", "x", {{"x", "sum of g over the copies", R"(\sum g)"}}};
  r.add({.name = "repeat_each",
         .doc = "Every slice along an axis so many times in a row; without an axis, every element "
                "of the flattened input.",
         .inputs = {"input"},
         .attrs = {{.name = "repeats", .kind = AttrKind::integer, .value = {}, .required = true},
                   dim},
         .composite = repeat_each_composite,
         .formula = formula,
         .example = "rv.repeat_each(rv.arange(3), 2)"});
  r.add({.name = "repeat_each_by",
         .doc = "Every slice along an axis as often as a tensor of numbers says. With output_size, "
                "their sum, no value is read before the result is made.",
         .inputs = {"input", "repeats"},
         .attrs = {dim,
                   {.name = "output_size",
                    .kind = AttrKind::integer,
                    .value = {},
                    .optional = true,
                    .keyword = true}},
         .arguments = {"input", "repeats", "dim", "output_size"},
         .composite = interleave_composite,
         .formula = formula,
         .example = "rv.repeat_each_by(rv.arange(2), rv.tensor([1, 3]))"});
  r.add({.name = "repeat_index",
         .doc = "The index i repeated repeats[i] times, for every i.",
         .inputs = {"repeats"},
         .infer_by_value = index_length,
         .forward = index_forward,
         .differentiable = false,
         .formula = {"i, repeats_i times", "i", {}},
         .gradient_of = "repeat_each_by"});
  r.add(
      {.name = "repeat_index_sized",
       .doc = "The index i repeated repeats[i] times, for every i; their sum is given.",
       .inputs = {"repeats"},
       .attrs = {{.name = "output_size", .kind = AttrKind::integer, .value = {}, .required = true}},
       .infer = infer_repeats,
       .forward = index_forward,
       .differentiable = false,
       .formula = {"i, repeats_i times", "i", {}},
       .gradient_of = "repeat_each_by"});
}

// ---- roll, flip and rotations

std::vector<Runs> whole_axes(const Dims& shape) {
  std::vector<Runs> axes;
  for (int i = 0; i < shape.size(); ++i) axes.push_back(unchanged(shape[i]));
  return axes;
}

// How far every axis is rolled, in [0, size).
std::vector<int64_t> shifts_of(const AttrReader& args, const Dims& shape) {
  const std::vector<int64_t>& shifts = args.integers(0);
  const bool flat = !args.given(1) || args.integers(1).empty();
  const size_t wanted = flat ? 1 : args.integers(1).size();
  if (shifts.size() != wanted)
    fail(ErrorKind::value, "[roll] expected ",
         flat ? "one shift for the flattened input"
              : "a shift for each of " + std::to_string(wanted) + " axes",
         ", got ", shifts.size());
  std::vector<int64_t> by(flat ? 1 : static_cast<size_t>(shape.size()), 0);
  for (size_t i = 0; i < shifts.size(); ++i) {
    int axis = 0;
    if (!flat) {
      if (shape.empty())
        fail(ErrorKind::index, "[roll] expected axes of a tensor that has some, got dims ",
             to_string(args.dims(1)), " for a single value");
      axis = normal_axis("roll", args.integers(1)[i], shape.size());
    }
    const int64_t size = flat ? count(shape) : shape[axis];
    if (size == 0) continue;
    int64_t& sum = by[static_cast<size_t>(axis)];
    sum = (sum + shifts[i] % size + size) % size;
  }
  return by;
}

Metas infer_roll(const InferArgs& args) {
  shifts_of(args, args.in[0].shape);
  return {args.in[0]};
}

void roll_forward(const ForwardArgs& args) {
  Tensor x = packed(args.in[0]), out = args.out[0];
  const std::vector<int64_t> by = shifts_of(args, x.shape());
  if (!args.given(1) || args.integers(1).empty()) {
    const Dims line = {x.numel()};
    x = x.alias(line, {1}, x.impl()->offset);
    out = out.alias(line, {1}, out.impl()->offset);
  }
  std::vector<Runs> axes = whole_axes(x.shape());
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t size = x.shape()[static_cast<int>(i)];
    if (by[i] > 0) axes[i] = {{size - by[i], by[i], 1}, {0, size - by[i], 1}};
  }
  copy_runs(out, x, axes);
}

Tensors roll_back(const BackwardArgs& args) {
  const Dims& shape = args.in_meta[0].shape;
  std::vector<int64_t> back = shifts_of(args, shape), axes;
  for (int64_t& shift : back) shift = -shift;
  const bool flat = !args.given(1) || args.integers(1).empty();
  for (int i = 0; !flat && i < shape.size(); ++i) axes.push_back(i);
  return call("roll", {args.grad[0]}, {back, axes});
}

void flip_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  std::vector<Runs> axes = whole_axes(x.shape());
  if (x.numel() == 0) return;
  if (x.dim() > 0)
    for (const int axis : distinct_axes(args, 0, x.dim())) {
      const int64_t size = x.shape()[axis];
      axes[static_cast<size_t>(axis)] = {{size - 1, size, size == 1 ? 1 : -1}};
    }
  copy_runs(args.out[0], x, axes);
}

Tensors flip_along(const Tensors& in, const AttrReader& args, int64_t axis, int least) {
  if (in[0].dim() < least)
    fail(ErrorKind::shape, "[", args.op().name, "] expected ", least, " or more axes, got shape ",
         to_string(in[0].shape()));
  return call("flip", {in[0]}, {std::vector<int64_t>{axis}});
}

Tensors rot90_composite(const Tensors& in, const AttrReader& args) {
  static const Op flip("flip"), transpose("transpose"), clone("clone");
  const Tensor& x = in[0];
  if (args.integers(1).size() != 2 || x.dim() < 2)
    fail(ErrorKind::shape, "[rot90] expected two axes of a tensor that has two or more, got dims ",
         to_string(args.dims(1)), " for shape ", to_string(x.shape()));
  const std::vector<int> axes = distinct_axes(args, 1, x.dim());
  const int64_t a = axes[0], b = axes[1], turns = (args.integer(0) % 4 + 4) % 4;
  const auto along = [&](std::vector<int64_t> dims) { return flip({x}, {std::move(dims)}); };
  if (turns == 1) return {transpose({along({b})}, {a, b})};
  if (turns == 2) return {along({a, b})};
  if (turns == 3) return {transpose({along({a})}, {a, b})};
  return {clone({x})};
}

void declare_turns(Registry& r) {
  const Formula formula = {"x in another order", "x", {{"x", "g in the order of x", "g"}}};
  r.add({.name = "roll",
         .doc = "Elements moved along axes, those that leave at the end coming back at the start; "
                "without axes, those of the flattened input.",
         .inputs = {"input"},
         .attrs = {integers_attr("shifts", true), integers_attr("dims", false)},
         .moves = true,
         .infer = infer_roll,
         .forward = roll_forward,
         .backward = roll_back,
         .formula = formula,
         .example = "rv.roll(rv.arange(5), 2)",
         .method = true});
  r.add({.name = "flip",
         .doc = "The order along axes reversed.",
         .inputs = {"input"},
         .attrs = {integers_attr("dims", true)},
         .moves = true,
         .infer = [](const InferArgs& args) -> Metas {
           distinct_axes(args, 0, args.in[0].shape.size());
           return {args.in[0]};
         },
         .forward = flip_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call("flip", {args.grad[0]}, args.all());
         },
         .formula = formula,
         .example = "rv.flip(rv.arange(5), 0)",
         .method = true});
  r.add({.name = "fliplr",
         .doc = "The order along the second axis reversed.",
         .inputs = {"input"},
         .composite = [](const Tensors& in,
                         const AttrReader& args) { return flip_along(in, args, 1, 2); },
         .formula = formula,
         .example = "rv.fliplr(rv.eye(2))",
         .method = true});
  r.add({.name = "flipud",
         .doc = "The order along the first axis reversed.",
         .inputs = {"input"},
         .composite = [](const Tensors& in,
                         const AttrReader& args) { return flip_along(in, args, 0, 1); },
         .formula = formula,
         .example = "rv.flipud(rv.eye(2))",
         .method = true});
  r.add({.name = "rot90",
         .doc = "Turned k times by 90 degrees in the plane of two axes, from the first towards the "
                "second.",
         .inputs = {"input"},
         .attrs = {{.name = "k", .kind = AttrKind::integer, .value = int64_t{1}},
                   integers_attr("dims", false, std::vector<int64_t>{0, 1})},
         .composite = rot90_composite,
         .formula = formula,
         .example = "rv.rot90(rv.eye(2))",
         .method = true});
}

}  // namespace

void declare_rearrangements(Registry& r) {
  declare_repeats(r);
  declare_interleaves(r);
  declare_turns(r);
}

}  // namespace ranvier
