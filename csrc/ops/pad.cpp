// Borders around a tensor: a constant, or what the tensor itself goes on with.
#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/indices.h"
#include "ops/runs.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

enum class Mode { constant, reflect, replicate, circular };

Mode mode_of(const AttrReader& args) {
  const std::string& mode = args.text(1);
  if (mode == "constant") return Mode::constant;
  if (mode == "reflect") return Mode::reflect;
  if (mode == "replicate") return Mode::replicate;
  if (mode == "circular") return Mode::circular;
  fail(ErrorKind::value,
       "[pad] expected 'constant', 'reflect', 'replicate' or 'circular' for 'mode', got '", mode,
       "'");
}

struct Widths {
  int64_t before = 0, after = 0;
};

// Of an axis: pairs stand from the last axis on.
Widths widths_of(const AttrReader& args, int axis, int dim) {
  const std::vector<int64_t>& pad = args.integers(0);
  const auto at = static_cast<size_t>(2 * (dim - 1 - axis));
  return at + 1 < pad.size() ? Widths{pad[at], pad[at + 1]} : Widths{};
}

[[noreturn]] void cannot(const AttrReader& args, const std::string& expected, int axis,
                         const Dims& shape) {
  fail(ErrorKind::shape, "[pad] expected ", expected, " for axis ", axis, " of shape ",
       to_string(shape), ", got pad ", to_string(Attr(args.integers(0))));
}

// Where the positions of a padded axis come from. What a negative width cuts off is not a part of
// the circle; mirrors stand at the ends of the whole axis.
Runs padded_axis(const AttrReader& args, int axis, const Dims& shape) {
  const int64_t n = shape[axis];
  const auto [before, after] = widths_of(args, axis, shape.size());
  if (before == 0 && after == 0) return unchanged(n);
  int64_t total = 0;
  if (__builtin_add_overflow(before, after, &total) || __builtin_add_overflow(total, n, &total))
    cannot(args, "widths that fit into memory", axis, shape);
  const Mode mode = mode_of(args);
  const int64_t least = mode == Mode::constant ? 0 : 1;
  if (total < least || before < -n || after < -n)
    cannot(args, "widths that leave at least " + std::to_string(least) + " positions", axis, shape);
  if (mode != Mode::constant && n == 0) cannot(args, "an axis with elements", axis, shape);
  if (mode == Mode::reflect && (before >= n || after >= n))
    cannot(args, "widths smaller than the size", axis, shape);
  const int64_t first = std::max<int64_t>(-before, 0), last = n - 1 - std::max<int64_t>(-after, 0);
  if (mode == Mode::circular && std::max(before, after) > last - first + 1)
    cannot(args, "widths no larger than the size", axis, shape);
  Runs runs;
  const auto add = [&](int64_t from, int64_t many, int64_t step) {
    if (many > 0) runs.push_back({from, many, many == 1 ? 1 : step});
  };
  const int64_t left = std::max<int64_t>(before, 0), right = std::max<int64_t>(after, 0);
  switch (mode) {
    case Mode::constant:
      add(-1, left, 0);
      add(first, last - first + 1, 1);
      add(-1, right, 0);
      break;
    case Mode::reflect:
      add(left, left, -1);
      add(first, last - first + 1, 1);
      add(n - 2, right, -1);
      break;
    case Mode::replicate:
      add(0, left, 0);
      add(first, last - first + 1, 1);
      add(n - 1, right, 0);
      break;
    case Mode::circular:
      add(last + 1 - left, left, 1);
      add(first, last - first + 1, 1);
      add(first, right, 1);
      break;
  }
  return runs;
}

std::vector<Runs> padded_axes(const AttrReader& args, const Dims& shape) {
  std::vector<Runs> axes;
  for (int i = 0; i < shape.size(); ++i) axes.push_back(padded_axis(args, i, shape));
  return axes;
}

Metas infer_pad(const InferArgs& args) {
  const Dims& shape = args.in[0].shape;
  const size_t n = args.integers(0).size();
  if (n % 2 != 0 || n > 2 * static_cast<size_t>(shape.size()))
    fail(ErrorKind::shape, "[pad] expected two widths for each of at most ", shape.size(),
         " axes of shape ", to_string(shape), ", the last axis first, got ", n, " widths");
  if (mode_of(args) != Mode::constant && args.given(2) && args.number(2) != 0)
    fail(ErrorKind::value, "[pad] expected a 'value' with mode 'constant' only, got ",
         args.number(2), " with '", args.text(1), "'");
  Meta out = args.in[0];
  const std::vector<Runs> axes = padded_axes(args, shape);
  for (int i = 0; i < shape.size(); ++i) out.shape[i] = length_of(axes[static_cast<size_t>(i)]);
  return {out};
}

void pad_forward(const ForwardArgs& args) {
  const Tensor& x = args.in[0];
  const Tensor given = Tensor::full({}, args.given(2) ? args.number(2) : 0.0, DType::float64);
  const Tensor value = value_as(args, given, x.dtype());
  copy_runs(args.out[0], x, padded_axes(args, x.shape()), value.raw());
}

// The places that an axis of the result came from, as an index.
Tensor places(const Runs& runs) {
  const Tensor index = Tensor::empty({length_of(runs)}, DType::int64);
  int64_t* to = index.data<int64_t>();
  for (const Run& run : runs)
    for (int64_t i = 0; i < run.count; ++i) *to++ = run.from + i * run.step;
  return index;
}

// A constant border is cut off again; what was taken twice gets both gradients, axis after axis.
Tensors pad_back(const BackwardArgs& args) {
  static const Op pad("pad"), expand("expand"), add("index_add");
  const Dims& shape = args.in_meta[0].shape;
  Tensor g = args.grad[0];
  if (mode_of(args) == Mode::constant) {
    std::vector<int64_t> back = args.integers(0);
    for (int64_t& width : back) width = -width;
    return {pad({g}, {back})};
  }
  for (int i = 0; i < shape.size(); ++i) {
    const Runs runs = padded_axis(args, i, shape);
    if (runs.size() == 1 && runs[0].count == shape[i]) continue;
    Dims to = g.shape();
    to[i] = shape[i];
    const Tensor none = expand({scalar(0, g.dtype())}, {list(to)});
    g = add({none, places(runs), g}, {int64_t{i}});
  }
  return {g};
}

}  // namespace

void declare_pads(Registry& r) {
  r.add({.name = "pad",
         .doc = "Borders of the given widths (before and after, the last axis first): a constant, "
                "the elements mirrored ('reflect'), the outermost ones ('replicate') or those of "
                "the other end ('circular'). Negative widths cut off.",
         .inputs = {"input"},
         .attrs = {{.name = "pad", .kind = AttrKind::integers, .value = {}, .required = true},
                   {.name = "mode", .kind = AttrKind::text, .value = std::string("constant")},
                   {.name = "value", .kind = AttrKind::number, .value = {}, .optional = true}},
         .moves = true,
         .infer = infer_pad,
         .forward = pad_forward,
         .backward = pad_back,
         .formula = {"x with borders",
                     "x",
                     {{"x", "g without borders, plus what came from x", R"(\sum g)"}}},
         .example = "rv.pad(rv.ones(2, 2), [1, 1])"});
}

}  // namespace ranvier
