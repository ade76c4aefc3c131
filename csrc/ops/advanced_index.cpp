// Indexing by integer tensors: elements are read from, written to or added up at the places that
// the tensors name. Masks come here as the integers of their true elements.
#include <algorithm>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

constexpr int64_t kPiece = 8192;  // elements of a run that one thread takes at a time

// ---- shapes

// Which axes are indexed, and where in the result the axes of the indices stand: in the place of
// indexed axes that are neighbours, else in front, as in NumPy.
struct Plan {
  SmallVector<int, 4> axes;
  Dims picked;                        // the indices' shapes, broadcast
  Dims result;                        // before, picked, after
  int first = 0;                      // axes before
  SmallVector<int, 8> before, after;  // axes of the input that stay
};

[[noreturn]] void wrong_dims(const AttrReader& args, int attr, size_t indices, const Dims& shape) {
  fail(ErrorKind::index, "[", args.op().name, "] expected one of the ", shape.size(),
       " axes of shape ", to_string(shape), " for each of ", indices, " indices, in rising order, ",
       "got ",
       args.given(attr) ? to_string(args.all()[static_cast<size_t>(attr)]) : "one for each");
}

Plan plan_of(const AttrReader& args, int attr, const Dims& shape, const Metas& in, size_t from) {
  Plan plan;
  const size_t n = in.size() - std::min(from, in.size());
  if (n == 0) fail(ErrorKind::type, "[", args.op().name, "] expected at least one index, got none");
  if (args.given(attr) ? args.integers(attr).size() != n : n > static_cast<size_t>(shape.size()))
    wrong_dims(args, attr, n, shape);
  for (size_t i = 0; i < n; ++i) {
    const int64_t given = args.given(attr) ? args.integers(attr)[i] : static_cast<int64_t>(i);
    if (given < -shape.size() || given >= shape.size()) wrong_dims(args, attr, n, shape);
    const int axis = static_cast<int>(given < 0 ? given + shape.size() : given);
    if (i > 0 && axis <= plan.axes.back()) wrong_dims(args, attr, n, shape);
    plan.axes.push_back(axis);
  }
  for (size_t i = from; i < in.size(); ++i) {
    const DType dtype = in[i].dtype;
    if (is_floating(dtype) || dtype == DType::bool_ || is_storage_only(dtype))
      fail(ErrorKind::type, "[", args.op().name, "] expected integers as indices, got ",
           name_of(dtype),
           dtype == DType::bool_ ? "; write t[mask], or use argwhere() of the mask"
                                 : "; call .long() on it");
    const Dims& one = in[i].shape;
    while (plan.picked.size() < one.size()) plan.picked.insert(0, 1);
    for (int a = 0; a < one.size(); ++a) {
      int64_t& size = plan.picked[plan.picked.size() - one.size() + a];
      if (size != one[a] && size != 1 && one[a] != 1)
        fail(ErrorKind::index, "[", args.op().name,
             "] expected indices whose shapes broadcast, got ", to_string(plan.picked), " and ",
             to_string(one));
      if (size == 1) size = one[a];
    }
  }
  const bool adjacent = plan.axes.back() - plan.axes.front() + 1 == static_cast<int>(n);
  for (int axis = 0; axis < shape.size(); ++axis) {
    if (std::find(plan.axes.begin(), plan.axes.end(), axis) != plan.axes.end()) continue;
    (adjacent && axis < plan.axes.front() ? plan.before : plan.after).push_back(axis);
  }
  plan.first = static_cast<int>(plan.before.size());
  for (const int axis : plan.before) plan.result.push_back(shape[axis]);
  for (const int64_t size : plan.picked) plan.result.push_back(size);
  for (const int axis : plan.after) plan.result.push_back(shape[axis]);
  return plan;
}

// ---- places

// Some axes of two tensors walked together, neighbours merged where both allow it.
struct Axes {
  Dims sizes, one, other;

  void add(int64_t size, int64_t stride_one, int64_t stride_other) {
    if (size == 1) return;
    const int last = sizes.size() - 1;
    if (last >= 0 && one[last] == size * stride_one && other[last] == size * stride_other) {
      sizes[last] *= size;
      one[last] = stride_one;
      other[last] = stride_other;
    } else {
      sizes.push_back(size);
      one.push_back(stride_one);
      other.push_back(stride_other);
    }
  }
  int64_t count() const {
    int64_t n = 1;
    for (const int64_t size : sizes) n *= size;
    return n;
  }
  void at(int64_t index, int64_t* in_one, int64_t* in_other) const {
    for (int axis = sizes.size() - 1; axis >= 0; --axis) {
      const int64_t i = index % sizes[axis];
      index /= sizes[axis];
      *in_one += i * one[axis];
      *in_other += i * other[axis];
    }
  }
};

// The places in a tensor `x` that indices name, beside those of a tensor of the picked shape (the
// result, or the values), in elements.
struct Places {
  Axes before, after;  // without the axes that are `run`
  int64_t run = 1, run_one = 1, run_other = 1;
  int64_t picked = 0;
  std::vector<int64_t> in_x;      // for each picked place
  std::vector<int64_t> in_other;  // likewise; empty where `step` says it
  int64_t step = 0;

  int64_t one(int64_t b) const { return in_x[static_cast<size_t>(b)]; }
  int64_t other(int64_t b) const {
    return in_other.empty() ? b * step : in_other[static_cast<size_t>(b)];
  }
};

// Adds what one index says to the places of x; an Error for an index out of range.
void add_index(const AttrReader& args, const Tensor& given, const Plan& plan, const Tensor& x,
               size_t i, std::vector<int64_t>* places) {
  const int axis = plan.axes[i];
  const int64_t size = x.shape()[axis], stride = x.strides()[axis];
  Tensor index = given;
  if (index.dtype() != DType::int64 || index.shape() != plan.picked || !index.is_contiguous()) {
    index = Tensor::empty(plan.picked, DType::int64);
    copy(index, given);
  }
  const int64_t* at = index.data<int64_t>();
  parallel_items(index.numel(), 1, kGrainFolded, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      if (at[b] < -size || at[b] >= size)
        fail(ErrorKind::index, "[", args.op().name, "] expected indices in [", -size, ", ",
             size - 1, "] for axis ", axis, " of size ", size, ", got ", at[b]);
      (*places)[static_cast<size_t>(b)] += (at[b] < 0 ? at[b] + size : at[b]) * stride;
    }
  });
}

// Strides of a tensor that is broadcast to `shape`.
Dims broadcast_strides(const Tensor& t, const Dims& shape) {
  Dims strides;
  const int extra = shape.size() - t.dim();
  for (int a = 0; a < shape.size(); ++a)
    strides.push_back(a < extra || t.shape()[a - extra] == 1 ? 0 : t.strides()[a - extra]);
  return strides;
}

// `other` is broadcast to the plan's result.
Places places_of(const AttrReader& args, const Plan& plan, const Tensor& x, const Tensor& other,
                 const Tensors& in, size_t from) {
  Places p;
  const Dims strides = broadcast_strides(other, plan.result);
  int at = 0;
  for (const int axis : plan.before)
    p.before.add(x.shape()[axis], x.strides()[axis], strides[at++]);
  Axes picked;
  for (const int64_t size : plan.picked) {
    picked.add(size, strides[at], strides[at]);
    ++at;
  }
  for (const int axis : plan.after) p.after.add(x.shape()[axis], x.strides()[axis], strides[at++]);
  p.picked = count(plan.picked);
  // An axis before the picked ones will do where there is none behind them, and few are picked.
  const bool swaps =
      p.after.sizes.empty() && !p.before.sizes.empty() && p.before.sizes.back() > p.picked;
  Axes& fast = swaps ? p.before : p.after;
  if (const int last = fast.sizes.size() - 1; last >= 0) {
    p.run = fast.sizes[last];
    p.run_one = fast.one[last];
    p.run_other = fast.other[last];
    fast.sizes.erase(last);
    fast.one.erase(last);
    fast.other.erase(last);
  }
  p.in_x.assign(static_cast<size_t>(p.picked), 0);
  for (size_t i = 0; i < plan.axes.size(); ++i) add_index(args, in[from + i], plan, x, i, &p.in_x);
  if (picked.sizes.size() == 1) p.step = picked.other[0];
  if (picked.sizes.size() > 1) {
    p.in_other.assign(static_cast<size_t>(p.picked), 0);
    int64_t unused = 0;
    for (int64_t b = 0; b < p.picked; ++b)
      picked.at(b, &unused, &p.in_other[static_cast<size_t>(b)]);
  }
  return p;
}

template <class T>
void copy_run(T* to, int64_t to_step, const T* from, int64_t from_step, int64_t n) {
  if (to_step == 1 && from_step == 1)
    std::copy_n(from, n, to);
  else
    for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
}

// One stretch of picked places, with all axes behind them.
template <class T>
void read_places(const Places& p, const T* from, T* to, int64_t begin, int64_t end) {
  const int64_t inner = p.after.count();
  if (inner == 1 && p.run == 1) {
    for (int64_t b = begin; b < end; ++b) to[p.other(b)] = from[p.one(b)];
    return;
  }
  for (int64_t q = 0; q < inner; ++q) {
    int64_t one = 0, other = 0;
    p.after.at(q, &one, &other);
    for (int64_t b = begin; b < end; ++b)
      copy_run(to + other + p.other(b), p.run_other, from + one + p.one(b), p.run_one, p.run);
  }
}

// result = x[places]
void read(const Places& p, const Tensor& x, const Tensor& result) {
  if (result.numel() == 0) return;
  const int64_t each = p.after.count() * p.run;
  visit_size(size_of(x.dtype()), [&]<class T>(Tag<T>) {
    parallel_items(p.before.count() * p.picked, each, kGrainPicked,
                   [&](int64_t begin, int64_t end) {
                     while (begin < end) {
                       const int64_t b = begin % p.picked, n = std::min(end - begin, p.picked - b);
                       int64_t one = 0, other = 0;
                       p.before.at(begin / p.picked, &one, &other);
                       read_places(p, x.data<T>() + one, result.data<T>() + other, b, b + n);
                       begin += n;
                     }
                   });
  });
}

// f(place in x, place in values, number of elements) for every run, those that name one place in
// the order of the indices and by one thread: what is written last stays, sums have one order.
template <class F>
void each_written(const Places& p, F f) {
  const int64_t pieces = (p.run + kPiece - 1) / kPiece, inner = p.after.count();
  const int64_t cost = p.picked * std::min(p.run, kPiece);
  parallel_items(p.before.count() * inner * pieces, cost, kGrainPicked,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t item = begin; item < end; ++item) {
                     const int64_t skip = item % pieces * kPiece, rest = item / pieces;
                     const int64_t n = std::min(kPiece, p.run - skip);
                     int64_t one = skip * p.run_one, other = skip * p.run_other;
                     p.after.at(rest % inner, &one, &other);
                     p.before.at(rest / inner, &one, &other);
                     for (int64_t b = 0; b < p.picked; ++b)
                       f(one + p.one(b), other + p.other(b), n);
                   }
                 });
}

// x[places] = values
void write(const Places& p, const Tensor& x, const Tensor& values) {
  visit_size(size_of(x.dtype()), [&]<class T>(Tag<T>) {
    T* const to = x.data<T>();
    const T* const from = values.data<T>();
    if (p.run == 1) return each_written(p, [=](int64_t a, int64_t v, int64_t) { to[a] = from[v]; });
    each_written(p, [&](int64_t a, int64_t v, int64_t n) {
      copy_run(to + a, p.run_one, from + v, p.run_other, n);
    });
  });
}

template <class T>
T sum_of(T a, T b) {
  if constexpr (std::is_same_v<T, bool>)
    return a || b;
  else if constexpr (std::is_integral_v<T>)  // wraps around
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) +
                          static_cast<std::make_unsigned_t<T>>(b));
  else
    return a + b;
}

// x[places] += values, also where a place is named twice; no half precision
void add(const Places& p, const Tensor& x, const Tensor& values) {
  visit_all(x.dtype(), [&]<class T>(Tag<T>) {
    if constexpr (!is_half_v<T>) {
      T* const to = x.data<T>();
      const T* const from = values.data<T>();
      each_written(p, [&](int64_t a, int64_t v, int64_t n) {
        for (int64_t i = 0; i < n; ++i)
          to[a + i * p.run_one] = sum_of(to[a + i * p.run_one], from[v + i * p.run_other]);
      });
    }
  });
}

Metas metas_of(const Tensors& tensors) {
  Metas metas;
  for (const Tensor& t : tensors) metas.push_back(meta_of(t));
  return metas;
}

// ---- index. Attribute: dims. Inputs: input, indices.

Metas infer_index(const InferArgs& args) {
  return {{plan_of(args, 0, args.in[0].shape, args.in, 1).result, args.in[0].dtype}};
}

void index_forward(const ForwardArgs& args) {
  const Plan plan = plan_of(args, 0, args.in[0].shape(), metas_of(args.in), 1);
  read(places_of(args, plan, args.in[0], args.out[0], args.in, 1), args.in[0], args.out[0]);
}

Tensors with_indices(const Tensor& first, const Tensors& in, size_t from) {
  Tensors all = {first};
  for (size_t i = from; i < in.size(); ++i) all.push_back(in[i]);
  return all;
}

// Attributes: shape of the input, dims. Inputs: grad, indices.
Metas infer_index_backward(const InferArgs& args) {
  const Meta whole = {args.dims(0), args.in[0].dtype};
  count(whole.shape);
  if (!is_floating(whole.dtype)) args.mismatch("a floating gradient");
  if (!(plan_of(args, 1, whole.shape, args.in, 1).result == args.in[0].shape))
    args.mismatch("a gradient of the picked shape");
  return {whole};
}

void index_backward(const ForwardArgs& args) {
  const Tensor& dx = args.out[0];
  std::fill_n(static_cast<char*>(dx.raw()), static_cast<size_t>(dx.numel()) * size_of(dx.dtype()),
              char{0});
  const Plan plan = plan_of(args, 1, dx.shape(), metas_of(args.in), 1);
  add(places_of(args, plan, dx, args.in[0], args.in, 1), dx, args.in[0]);
}

// ---- index_put. Attributes: accumulate, dims. Inputs: input, values, indices.

void check_put(const InferArgs& args) {
  const Plan plan = plan_of(args, 1, args.in[0].shape, args.in, 2);
  const Meta& values = args.in[1];
  if (values.dtype != args.in[0].dtype)
    fail(ErrorKind::type, "[", args.op().name, "] expected values of the input's dtype, ",
         name_of(args.in[0].dtype), ", got ", name_of(values.dtype), "; convert them with .to()");
  const int extra = plan.result.size() - values.shape.size();
  bool fits = extra >= 0;
  for (int a = 0; fits && a < values.shape.size(); ++a)
    fits = values.shape[a] == 1 || values.shape[a] == plan.result[a + extra];
  if (!fits)
    fail(ErrorKind::shape, "[", args.op().name, "] expected values that broadcast to the indexed ",
         "shape ", to_string(plan.result), ", got ", to_string(values.shape));
}

void put(const ForwardArgs& args, const Tensor& x) {
  const bool adds = args.flag(0), half = adds && is_half(x.dtype());
  const Tensor values = half ? converted(args.in[1], DType::float32) : apart(args.in[1], x);
  const Tensor target = half ? converted(x, DType::float32) : x;
  const Plan plan = plan_of(args, 1, x.shape(), metas_of(args.in), 2);
  const Places places = places_of(args, plan, target, values, args.in, 2);
  if (adds)
    add(places, target, values);
  else
    write(places, target, values);
  if (half) copy(x, target);
}

Tensors put_back(const BackwardArgs& args) {
  static const Op index("index"), index_put("index_put");
  const Tensor& g = args.grad[0];
  Tensors grads(args.in.size());
  if (args.needs[0]) {
    Tensors in = {g, scalar(0, g.dtype())};
    for (size_t i = 2; i < args.in.size(); ++i) in.push_back(args.in[i]);
    grads[0] = args.flag(0) ? g : index_put(in, {false, args.all()[1]});
  }
  if (args.needs[1])
    grads[1] =
        reduce_to(index(with_indices(g, args.in, 2), {args.all()[1]}), args.in_meta[1].shape);
  return grads;
}

// ---- declarations

const AttrDef kDims = {.name = "dims", .kind = AttrKind::integers, .value = {}, .optional = true};

void declare_index(Registry& r) {
  r.add({.name = "index",
         .doc = "The elements at the places that integer tensors name, which broadcast together: "
                "index i belongs to axis dims[i], or to axis i. Their axes stand where the indexed "
                "ones were if those are neighbours, else in front. What t[i, j] calls.",
         .inputs = {"input", "indices*"},
         .attrs = {kDims},
         .moves = true,
         .infer = infer_index,
         .forward = index_forward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           const Dims& shape = args.in_meta[0].shape;
           return call("index_backward", with_indices(args.grad[0], args.in, 1),
                       {std::vector<int64_t>(shape.begin(), shape.end()), args.all()[0]});
         },
         .saves = {"indices"},
         .formula = {"x[i, j, ...]",
                     R"(x_{i_k j_k})",
                     {{"x", "sum of g over equal indices", R"(\sum_{k: i_k = i} g_k)"}}},
         .example = "rv.index(rv.arange(6), [rv.tensor([4, 0])])"});
  r.add({.name = "index_backward",
         .doc = "Gradient of index: adds up what was picked from one place.",
         .inputs = {"grad", "indices*"},
         .attrs = {{.name = "shape", .kind = AttrKind::integers, .value = {}, .required = true},
                   kDims},
         .infer = infer_index_backward,
         .forward = index_backward,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return call("index", with_indices(args.grad[0], args.in, 1), {args.all()[1]});
         },
         .saves = {"indices"},
         .formula = {"sum of g over equal indices", R"(\sum g)", {}},
         .gradient_of = "index"});
}

void declare_index_put(Registry& r) {
  const std::vector<AttrDef> attrs = {
      {.name = "accumulate", .kind = AttrKind::flag, .value = false}, kDims};
  const std::vector<std::string> arguments = {"input", "indices", "values", "accumulate", "dims"};
  const Formula formula = {"x with x[i, j, ...] = v, or x[i, j, ...] + v",
                           R"(x_{i_k} \leftarrow v_k)",
                           {{"x", "g, 0 at the places that were overwritten", R"(g [i \notin I])"},
                            {"v", "g[i, j, ...]", R"(g_{i_k})"}}};
  r.add({.name = "index_put",
         .doc = "A copy with values written, or added, at the places that integer tensors name. Of "
                "several values for one place the last one stays; each of them gets its gradient.",
         .inputs = {"input", "values", "indices*"},
         .attrs = attrs,
         .arguments = arguments,
         .moves = true,
         .infer = [](const InferArgs& args) -> Metas {
           check_put(args);
           return {args.in[0]};
         },
         .forward =
             [](const ForwardArgs& args) {
               copy(args.out[0], args.in[0]);
               put(args, args.out[0]);
             },
         .backward = put_back,
         .saves = {"indices"},
         .formula = formula,
         .example = "rv.index_put(rv.zeros(3), [rv.tensor([0, 2])], rv.tensor(5.0))",
         .fronted = true});
  r.add({.name = "index_put_",
         .doc = "Writes values, or adds them, at the places that integer tensors name. What "
                "t[i, j] = values calls.",
         .inputs = {"input", "values", "indices*"},
         .outputs = {},
         .attrs = attrs,
         .arguments = arguments,
         .moves = true,
         .infer = [](const InferArgs& args) -> Metas {
           check_put(args);
           return {};
         },
         .forward = [](const ForwardArgs& args) { put(args, args.in[0]); },
         .mutates = {"input"},
         .differentiable = false,
         .formula = {"x[i, j, ...] = v, or x[i, j, ...] += v", formula.latex, {}},
         .example = "rv.index_put_(rv.zeros(3), [rv.tensor([0, 2])], rv.tensor(5.0))",
         .in_place_of = "index_put",
         .fronted = true});
}

}  // namespace

Tensors true_places(const Tensor& mask) {
  const Tensor flags = packed(mask);
  const bool* const at = flags.data<bool>();
  const int64_t n = flags.numel();
  const int64_t found = std::count(at, at + n, true);
  Tensors places;
  SmallVector<int64_t*, 8> to;
  for (int axis = 0; axis < mask.dim(); ++axis) {
    places.push_back(Tensor::empty({found}, DType::int64));
    to.push_back(places.back().data<int64_t>());
  }
  Dims position = mask.shape();
  for (int axis = 0; axis < mask.dim(); ++axis) position[axis] = 0;
  for (int64_t i = 0, k = 0; k < found; ++i) {
    if (at[i]) {
      for (int axis = 0; axis < mask.dim(); ++axis)
        to[static_cast<size_t>(axis)][k] = position[axis];
      ++k;
    }
    for (int axis = mask.dim() - 1; axis >= 0 && ++position[axis] == mask.shape()[axis]; --axis)
      position[axis] = 0;
  }
  return places;
}

void declare_advanced_indexing(Registry& r) {
  declare_index(r);
  declare_index_put(r);
}

}  // namespace ranvier
