// What a change in place means for gradients. The changed tensor gets the history of the new
// values; a view shares memory with its base, so the base becomes "itself with one region written"
// and every view of it "a region read". Those two are ops like others.
#include <algorithm>

#include "autograd/node.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

// Attributes of both ops: the strides of the whole, then shape, strides and offset of the region,
// counted in elements of the memory that the whole lies in.
enum { kWhole, kShape, kStrides, kOffset };

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

Attrs region_of(const Tensor& view, const Tensor& base) {
  return {list(base.strides()), list(view.shape()), list(view.strides()),
          view.impl()->offset - base.impl()->offset};
}

// The last element that a layout reaches.
int64_t last_of(const Dims& shape, const Dims& strides) {
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) {
    int64_t step = 0;
    if (strides[i] < 0 || __builtin_mul_overflow(shape[i] - 1, strides[i], &step) ||
        __builtin_add_overflow(last, step, &last))
      return INT64_MAX;
  }
  return last;
}

void check_region(const InferArgs& args) {
  const Dims &shape = args.in[0].shape, whole = args.dims(kWhole);
  const Dims region = args.dims(kShape), strides = args.dims(kStrides);
  const int64_t offset = args.integer(kOffset);
  bool fits = whole.size() == shape.size() && region.size() == strides.size() && offset >= 0;
  if (fits && count(region) > 0) {
    const int64_t last = last_of(region, strides);
    fits = count(shape) > 0 && last != INT64_MAX && offset <= last_of(shape, whole) - last;
  }
  if (!fits) args.mismatch("a region inside of the input's memory");
}

// Memory in which the whole has its strides.
Tensor laid_out(const ForwardArgs& args) {
  return Tensor::empty_strided(args.in[0].shape(), args.dims(kWhole), args.in[0].dtype());
}

Tensor region_in(const ForwardArgs& args, const Tensor& whole) {
  return whole.alias(args.dims(kShape), args.dims(kStrides), args.integer(kOffset));
}

void read_forward(const ForwardArgs& args) {
  const Tensor whole = laid_out(args);
  copy(whole, args.in[0]);
  copy(args.out[0], region_in(args, whole));
}

void write_forward(const ForwardArgs& args) {
  const Tensor whole = laid_out(args);
  copy(whole, args.in[0]);
  copy(region_in(args, whole), args.in[1]);
  copy(args.out[0], whole);
}

Tensor written(const Tensor& whole, const Tensor& part, const Attrs& attrs) {
  static const Op write("write_region");
  return write({whole, part}, attrs);
}

// An axis along which a layout comes by elements that it shows already, or -1.
int repeating_axis(const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  std::vector<int> order;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] > 1) order.push_back(static_cast<int>(i));
  std::sort(order.begin(), order.end(), [&](int a, int b) { return strides[a] < strides[b]; });
  int64_t reach = 0;
  for (const int axis : order) {
    if (strides[axis] <= reach) return axis;
    reach += (shape[axis] - 1) * strides[axis];
  }
  return -1;
}

// Zeros with the part added where the region lies: a view may show an element many times.
Tensor spread(const Meta& whole, const Tensor& part, Attrs attrs) {
  static const Op sum("sum"), select("select");
  auto& shape = std::get<std::vector<int64_t>>(attrs[kShape]);
  auto& strides = std::get<std::vector<int64_t>>(attrs[kStrides]);
  const int axis = repeating_axis(shape, strides);
  if (axis < 0) return written(Tensor::zeros(whole.shape, whole.dtype), part, attrs);
  const int64_t size = shape[axis], stride = strides[axis];
  shape.erase(shape.begin() + axis);
  strides.erase(strides.begin() + axis);
  if (stride == 0) return spread(whole, sum({part}, {std::vector<int64_t>{axis}}), attrs);
  Tensor total;
  for (int64_t k = 0; k < size; ++k) {
    const Tensor g = spread(whole, select({part}, {int64_t{axis}, k}), attrs);
    total = total.defined() ? total + g : g;
    attrs[kOffset] = std::get<int64_t>(attrs[kOffset]) + stride;
  }
  return total;
}

}  // namespace

Tensor seen_through(const Tensor& t) {
  static const Op permute("permute");
  std::vector<int64_t> axes;
  for (int i = 0; i < t.dim(); ++i) axes.push_back(i);
  return permute({t}, {axes});
}

void renew_view(const Tensor& t) {
  static const Op read("read_region");
  const Tensor base(t.impl()->base);
  t.impl()->base_history = autograd_meta(base).history;
  if (t.impl()->autograd) set_node(*t.impl()->autograd, {}, 0);
  const GradMode on(true);
  record_gradient(read.def(), region_of(t, base), {base}, {t});
}

bool change_is_recorded(const OpDef& op, const Tensor& t, const Tensors& inputs) {
  if (!grad_enabled()) return false;
  const Tensor base = t.impl()->base ? Tensor(t.impl()->base) : t;
  const auto asks = [](const Tensor& x) { return x.defined() && requires_grad(x); };
  if (!asks(base) && std::none_of(inputs.begin(), inputs.end(), asks)) return false;
  if (asks(base) && is_leaf(base))
    fail(ErrorKind::runtime, "[", op.name, "] expected '", op.inputs[0],
         "' without gradient for a change in place, got a leaf that requires it",
         t.impl()->base ? " (seen through a view)" : "",
         "; use no_grad(), or the form that makes a new tensor");
  return is_floating(t.dtype()) && base.dtype() == t.dtype();
}

void take_history(const Tensor& t, const Tensor& values) {
  if (!t.impl()->base) {
    const AutogradMeta& from = autograd_meta(values);
    AutogradMeta& meta = autograd_meta(t);
    set_node(meta, from.node, from.output);
    ++meta.history;
    return;
  }
  static const Op write("write_region");
  const Tensor base(t.impl()->base), before = base.detach();
  AutogradMeta& meta = autograd_meta(base);
  set_node(autograd_meta(before), meta.node, meta.output);
  record_gradient(write.def(), region_of(t, base), {before, values}, {base});
  ++meta.history;
}

void declare_regions(Registry& r) {
  const auto required = [](const char* name, AttrKind kind) {
    return AttrDef{.name = name, .kind = kind, .value = {}, .required = true};
  };
  const std::vector<AttrDef> region = {
      required("whole_strides", AttrKind::integers), required("shape", AttrKind::integers),
      required("strides", AttrKind::integers), required("offset", AttrKind::integer)};
  r.add({.name = "read_region",
         .doc = "What a view sees of its base.",
         .inputs = {"input"},
         .attrs = region,
         .moves = true,
         .infer = [](const InferArgs& args) -> Metas {
           check_region(args);
           return {{args.dims(kShape), args.in[0].dtype}};
         },
         .forward = read_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return {spread(args.in_meta[0], args.grad[0], args.all())};
         },
         .formula = {"x[region]", R"(x_R)", {{"x", "g in the region, 0 elsewhere", "[i \\in R]"}}},
         .gradient_of = "write_region"});
  r.add({.name = "write_region",
         .doc = "The base of a view after the view was written.",
         .inputs = {"input", "value"},
         .attrs = region,
         .moves = true,
         .infer = [](const InferArgs& args) -> Metas {
           check_region(args);
           if (!(args.in[1].shape == args.dims(kShape)) || args.in[0].dtype != args.in[1].dtype)
             args.mismatch("a value of the region's shape and the input's dtype");
           return {args.in[0]};
         },
         .forward = write_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           static const Op read("read_region");
           const Tensor& g = args.grad[0];
           Tensors grads(2);
           if (args.needs[0])
             grads[0] = written(g, Tensor::zeros(args.in_meta[1].shape, g.dtype()), args.all());
           if (args.needs[1]) grads[1] = read({g}, args.all());
           return grads;
         },
         .formula = {"x with x[region] = y",
                     R"(x, x_R = y)",
                     {{"x", "g outside of the region, 0 in it", "[i \\notin R]"},
                      {"y", "g in the region", "[i \\in R]"}}},
         .gradient_of = "read_region"});
}

}  // namespace ranvier
