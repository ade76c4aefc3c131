// Sorting, the largest elements, and places in what is sorted. NaN is larger than everything, as in
// PyTorch; equal elements stay in their order, whether asked for or not, so that results never
// depend on the method.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

// ---- keys: unsigned integers in the order of the values

template <class T>
using KeyOf =
    std::conditional_t<sizeof(T) == 8, uint64_t,
                       std::conditional_t<sizeof(T) == 4, uint32_t,
                                          std::conditional_t<sizeof(T) == 2, uint16_t, uint8_t>>>;

template <class T>
KeyOf<T> key_of(T x) {
  using Key = KeyOf<T>;
  [[maybe_unused]] constexpr auto kTop = static_cast<Key>(Key(1) << (8 * sizeof(T) - 1));
  if constexpr (std::is_floating_point_v<T>) {
    if (x != x) return std::numeric_limits<Key>::max();
    const auto bits = std::bit_cast<Key>(x == T(0) ? T(0) : x);  // -0 is equal to 0
    return bits & kTop ? ~bits : bits | kTop;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<Key>(static_cast<Key>(x) ^ kTop);
  } else {
    return static_cast<Key>(x);
  }
}

// An element's key and place: no two are equal, so every way to sort them gives one order.
template <class Key, class Place>
struct Entry {
  Key key;
  Place place;
  bool operator<(const Entry& other) const {
    return key != other.key ? key < other.key : place < other.place;
  }
};

template <class E, class T>
void fill_entries(const T* x, int64_t stride, int64_t n, bool descending, E* entries) {
  for (int64_t i = 0; i < n; ++i) {
    const auto key = key_of(x[i * stride]);
    entries[i].key = descending ? static_cast<decltype(key)>(~key) : key;
    entries[i].place = static_cast<decltype(entries->place)>(i);
  }
}

// Digit by digit from the lowest; entries come in the order of their places, and stay in it.
template <class E>
void radix_sort(std::vector<E>& entries, std::vector<E>& spare) {
  constexpr int kBits = 11, kDigits = 1 << kBits;
  constexpr int kKey = 8 * static_cast<int>(sizeof(E::key));
  const size_t n = entries.size();
  spare.resize(n);
  for (int shift = 0; shift < kKey; shift += kBits) {
    size_t start[kDigits] = {};
    const auto digit = [shift](const E& e) {
      return static_cast<size_t>(e.key >> shift) & (kDigits - 1);
    };
    for (const E& e : entries) ++start[digit(e)];
    if (start[digit(entries[0])] == n) continue;  // one digit for all
    size_t sum = 0;
    for (size_t& s : start) sum += std::exchange(s, sum);
    for (const E& e : entries) spare[start[digit(e)]++] = e;
    entries.swap(spare);
  }
}

template <class E>
void sort_entries(std::vector<E>& entries, std::vector<E>& spare) {
  if (entries.size() < 1024)
    std::sort(entries.begin(), entries.end());
  else
    radix_sort(entries, spare);
}

// f(entries, spare, row) for every line along the axis: each thread has memory of its own. A line
// starts at x + row.at and goes on in steps of `inner`.
struct Line {
  int64_t in, out;  // where it starts in the input, and in a result with `kept` elements a line
};

template <class T, class F>
void each_line(const AxisSplit& s, int64_t kept, F f) {
  const auto run = [&]<class Place>(Tag<Place>) {
    using E = Entry<KeyOf<T>, Place>;
    parallel_items(s.outer * s.inner, 16 * std::max<int64_t>(s.size, 1), kGrainCopied,
                   [&](int64_t begin, int64_t end) {
                     std::vector<E> entries, spare;
                     for (int64_t i = begin; i < end; ++i) {
                       const int64_t o = i / s.inner, j = i % s.inner;
                       f(Line{o * s.size * s.inner + j, o * kept * s.inner + j}, entries, spare);
                     }
                   });
  };
  if (s.size <= std::numeric_limits<uint32_t>::max())
    run(Tag<uint32_t>{});
  else
    run(Tag<uint64_t>{});
}

// A single value is a line of one.
AxisSplit split_of(const AttrReader& args, int attr, const Dims& shape) {
  const int axis = normal_axis(args.op().name.c_str(), args.integer(attr), shape.size());
  return AxisSplit(shape.empty() ? Dims{1} : shape, axis);
}

// The first `kept` entries as values and indices.
template <class T, class E>
void write_line(const T* x, const Line& line, int64_t inner, const std::vector<E>& entries,
                int64_t kept, T* values, int64_t* indices) {
  for (int64_t k = 0; k < kept; ++k) {
    const auto place = static_cast<int64_t>(entries[static_cast<size_t>(k)].place);
    values[line.out + k * inner] = x[line.in + place * inner];
    indices[line.out + k * inner] = place;
  }
}

// ---- sort, topk, kthvalue

Metas infer_sort(const InferArgs& args) {
  const Meta& x = args.in[0];
  normal_axis(args.op().name.c_str(), args.integer(0), x.shape.size());
  return {x, {x.shape, DType::int64}};
}

void sort_forward(const ForwardArgs& args) {
  if (args.in[0].numel() == 0) return;  // of any number of lines
  const Tensor x = packed(args.in[0]);
  const AxisSplit s = split_of(args, 0, x.shape());
  const bool descending = args.flag(1);
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    T* const values = args.out[0].data<T>();
    int64_t* const indices = args.out[1].data<int64_t>();
    each_line<T>(s, s.size, [&](const Line& line, auto& entries, auto& spare) {
      entries.resize(static_cast<size_t>(s.size));
      fill_entries(from + line.in, s.inner, s.size, descending, entries.data());
      sort_entries(entries, spare);
      write_line(from, line, s.inner, entries, s.size, values, indices);
    });
  });
}

// Every result came from one element: its gradient goes back there.
Tensors picked_back(const BackwardArgs& args, int64_t axis, bool kept_axis = true) {
  static const Op expand("expand"), add("scatter_add"), unsqueeze("unsqueeze");
  const Meta& x = args.in_meta[0];
  Tensor g = args.grad[0], index = args.out[1];
  if (!g.defined()) return {Tensor()};
  if (!kept_axis && !x.shape.empty()) {
    g = unsqueeze({g}, {axis});
    index = unsqueeze({index}, {axis});
  }
  const Tensor none = expand({scalar(0, g.dtype())}, {list(x.shape)});
  return {add({none, index, g}, {axis})};
}

int64_t chosen_count(const InferArgs& args, const char* what, int64_t least) {
  const Dims& shape = args.in[0].shape;
  const int axis = normal_axis(args.op().name.c_str(), args.integer(1), shape.size());
  const int64_t size = shape.empty() ? 1 : shape[axis], k = args.integer(0);
  if (k < least || k > size)
    fail(ErrorKind::index, "[", args.op().name, "] expected ", what, " in [", least, ", ", size,
         "] for axis ", axis, " of size ", size, " of shape ", to_string(shape), ", got ", k);
  return k;
}

Metas infer_topk(const InferArgs& args) {
  const int64_t k = chosen_count(args, "k", 0);
  Meta values = args.in[0];
  if (!values.shape.empty())
    values.shape[normal_axis("topk", args.integer(1), values.shape.size())] = k;
  return {values, {values.shape, DType::int64}};
}

// The k smallest entries in order. Few out of many: a sorted list of the best so far, which most
// elements do not enter.
template <class T, class E>
void smallest(const T* x, int64_t stride, int64_t n, int64_t k, bool descending,
              std::vector<E>& entries) {
  const auto count = static_cast<size_t>(k);
  if (k == 0) return;
  if (k > 32 || n < 4 * k) {
    entries.resize(static_cast<size_t>(n));
    fill_entries(x, stride, n, descending, entries.data());
    if (k < n) std::nth_element(entries.begin(), entries.begin() + k - 1, entries.end());
    std::sort(entries.begin(), entries.begin() + k);
    return;
  }
  entries.resize(count);
  fill_entries(x, stride, k, descending, entries.data());
  std::sort(entries.begin(), entries.end());
  for (int64_t i = k; i < n; ++i) {
    E next;
    fill_entries(x + i * stride, stride, 1, descending, &next);
    if (next.key >= entries.back().key) continue;
    next.place = static_cast<decltype(next.place)>(i);
    const auto at = std::upper_bound(entries.begin(), entries.end(), next);
    std::move_backward(at, entries.end() - 1, entries.end());
    *at = next;
  }
}

void topk_forward(const ForwardArgs& args) {
  if (args.in[0].numel() == 0) return;  // of any number of lines
  const Tensor x = packed(args.in[0]);
  const AxisSplit s = split_of(args, 1, x.shape());
  // Without an axis there is one element to take, even for k = 0, as in PyTorch.
  const int64_t k = x.dim() == 0 ? 1 : args.integer(0);
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    T* const values = args.out[0].data<T>();
    int64_t* const indices = args.out[1].data<int64_t>();
    each_line<T>(s, k, [&](const Line& line, auto& entries, auto&) {
      smallest(from + line.in, s.inner, s.size, k, args.flag(2), entries);
      write_line(from, line, s.inner, entries, k, values, indices);
    });
  });
}

Metas infer_kthvalue(const InferArgs& args) {
  chosen_count(args, "k", 1);
  Meta values = args.in[0];
  if (!values.shape.empty()) {
    const int axis = normal_axis("kthvalue", args.integer(1), values.shape.size());
    if (args.flag(2))
      values.shape[axis] = 1;
    else
      values.shape.erase(axis);
  }
  return {values, {values.shape, DType::int64}};
}

void kthvalue_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[0]);
  const AxisSplit s = split_of(args, 1, x.shape());
  const int64_t k = args.integer(0);
  visit(x.dtype(), [&]<class T>(Tag<T>) {
    const T* const from = x.data<T>();
    T* const values = args.out[0].data<T>();
    int64_t* const indices = args.out[1].data<int64_t>();
    each_line<T>(s, 1, [&](const Line& line, auto& entries, auto&) {
      entries.resize(static_cast<size_t>(s.size));
      fill_entries(from + line.in, s.inner, s.size, false, entries.data());
      std::nth_element(entries.begin(), entries.begin() + k - 1, entries.end());
      const auto place = static_cast<int64_t>(entries[static_cast<size_t>(k - 1)].place);
      values[line.out] = from[line.in + place * s.inner];
      indices[line.out] = place;
    });
  });
}

// ---- places in what is sorted

// A boundary list for all values, or one for each row of them.
Metas infer_searchsorted(const InferArgs& args) {
  const Dims &sorted = args.in[0].shape, &values = args.in[1].shape;
  if (args.given(2) && args.text(2) != "left" && args.text(2) != "right")
    fail(ErrorKind::value, "[", args.op().name, "] expected 'left' or 'right' for 'side', got '",
         args.text(2), "'");
  if (args.given(2) && args.flag(1) && args.text(2) == "left")
    fail(ErrorKind::value, "[", args.op().name,
         "] expected 'side' and 'right' to agree, got side='left' and right=True");
  bool fits = sorted.size() == 1 || (!sorted.empty() && sorted.size() == values.size());
  for (int i = 0; fits && sorted.size() > 1 && i + 1 < sorted.size(); ++i)
    fits = sorted[i] == values[i];
  if (!fits) args.mismatch("one list of boundaries, or one for every row of the values");
  if (args.given_inputs[2]) {
    if (!(args.in[2].shape == sorted)) args.mismatch("a sorter of the shape of what it sorts");
    if (args.in[2].dtype != DType::int64)
      fail(ErrorKind::type, "[", args.op().name, "] expected int64 for 'sorter', got ",
           name_of(args.in[2].dtype), "; call .long() on it");
  }
  return {{values, args.flag(0) ? DType::int32 : DType::int64}};
}

Tensor checked_sorter(const ForwardArgs& args, int64_t n) {
  const Tensor sorter = packed(args.in[2]);
  const int64_t* const p = sorter.data<int64_t>();
  for (int64_t i = 0; i < sorter.numel(); ++i)
    if (p[i] < 0 || p[i] >= n)
      fail(ErrorKind::index, "[", args.op().name, "] expected a sorter in [0, ", n - 1,
           "] for boundaries of size ", n, ", got ", p[i]);
  return sorter;
}

void searchsorted_forward(const ForwardArgs& args) {
  const DType common = promote(args.in[0].dtype(), args.in[1].dtype());
  const Tensor sorted = converted(args.in[0], common), values = converted(args.in[1], common);
  const int64_t n = sorted.shape().back();
  const bool right = args.flag(1) || (args.given(2) && args.text(2) == "right");
  const Tensor sorter = args.in[2].defined() ? checked_sorter(args, n) : Tensor();
  const int64_t row = sorted.dim() == 1 ? 0 : values.shape().back();
  const Tensor found = Tensor::empty(values.shape(), DType::int64);
  visit(common, [&]<class T>(Tag<T>) {
    int64_t* const to = found.data<int64_t>();
    parallel_items(values.numel(), 32, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = row == 0 ? 0 : i / row * n;
        const T* const list = sorted.data<T>() + first;
        const int64_t* const order = sorter.defined() ? sorter.data<int64_t>() + first : nullptr;
        const auto key = key_of(values.data<T>()[i]);
        int64_t low = 0, high = n;
        while (low < high) {
          const int64_t middle = low + (high - low) / 2;
          const auto there = key_of(list[order ? order[middle] : middle]);
          if (there < key || (right && there == key))
            low = middle + 1;
          else
            high = middle;
        }
        to[i] = low;
      }
    });
  });
  copy(args.out[0], found);
}

std::vector<AttrDef> search_attrs(bool with_side) {
  std::vector<AttrDef> attrs = {
      {.name = "out_int32", .kind = AttrKind::flag, .value = false, .keyword = true},
      {.name = "right", .kind = AttrKind::flag, .value = false, .keyword = true}};
  if (with_side)
    attrs.push_back(
        {.name = "side", .kind = AttrKind::text, .value = {}, .optional = true, .keyword = true});
  return attrs;
}

void declare_searches(Registry& r) {
  const Formula formula = {"how many boundaries are smaller", R"(|\{j : b_j < x_i\}|)", {}};
  r.add({.name = "searchsorted",
         .doc = "Where values would go in a sorted list, so that it stays sorted: before equal "
                "ones, or behind them with right=True.",
         .inputs = {"sorted_sequence", "input", "sorter?"},
         .attrs = search_attrs(true),
         .arguments = {"sorted_sequence", "input", "out_int32", "right", "side", "sorter"},
         .infer = infer_searchsorted,
         .forward = searchsorted_forward,
         .differentiable = false,
         .formula = formula,
         .example = "rv.searchsorted(rv.tensor([1.0, 2.0, 3.0]), rv.tensor([2.5]))"});
  r.add({.name = "bucketize",
         .doc = "Which of the buckets between sorted boundaries each value falls into.",
         .inputs = {"input", "boundaries"},
         .attrs = search_attrs(false),
         .infer = [](const InferArgs& args) -> Metas {
           if (args.in[1].shape.size() != 1) args.mismatch("boundaries with one axis");
           return {{args.in[0].shape, args.flag(0) ? DType::int32 : DType::int64}};
         },
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op search("searchsorted");
           return {search({in[1], in[0]}, {args.flag(0), args.flag(1)})};
         },
         .differentiable = false,
         .formula = formula,
         .example = "rv.bucketize(rv.tensor([2.5, 7.0]), rv.tensor([1.0, 3.0, 5.0]))"});
}

void declare_selections(Registry& r) {
  const Formula formula = {
      "the k-th of the ordered elements", "x_{(k)}", {{"x", "g where it came from", "g_{(k)}"}}};
  r.add({.name = "topk",
         .doc = "The k largest elements along an axis (or the smallest), in order, and their "
                "indices.",
         .inputs = {"input"},
         .outputs = {"values", "indices"},
         .attrs = {{.name = "k", .kind = AttrKind::integer, .value = {}, .required = true},
                   {.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}},
                   {.name = "largest", .kind = AttrKind::flag, .value = true},
                   {.name = "sorted", .kind = AttrKind::flag, .value = true}},
         .infer = infer_topk,
         .forward = topk_forward,
         .backward = [](const BackwardArgs& args) { return picked_back(args, args.integer(1)); },
         .saves = {"indices"},
         .formula = formula,
         .example = "rv.topk(rv.tensor([3.0, 1.0, 2.0]), 2).values",
         .method = true});
  r.add({.name = "kthvalue",
         .doc = "The k-th smallest element along an axis, counted from 1, and its index.",
         .inputs = {"input"},
         .outputs = {"values", "indices"},
         .attrs = {{.name = "k", .kind = AttrKind::integer, .value = {}, .required = true},
                   {.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}},
                   {.name = "keepdim", .kind = AttrKind::flag, .value = false}},
         .infer = infer_kthvalue,
         .forward = kthvalue_forward,
         .backward =
             [](const BackwardArgs& args) {
               const int axis =
                   normal_axis("kthvalue", args.integer(1), args.in_meta[0].shape.size());
               return picked_back(args, axis, args.flag(2));
             },
         .saves = {"indices"},
         .formula = formula,
         .example = "rv.kthvalue(rv.tensor([3.0, 1.0, 2.0]), 2).values",
         .method = true});
}

}  // namespace

void declare_sorts(Registry& r) {
  const AttrDef dim = {.name = "dim", .kind = AttrKind::integer, .value = int64_t{-1}};
  const AttrDef descending = {.name = "descending", .kind = AttrKind::flag, .value = false};
  const AttrDef stable = {
      .name = "stable", .kind = AttrKind::flag, .value = false, .keyword = true};
  r.add({.name = "sort",
         .doc = "The elements in order along an axis, and the indices they came from. Equal ones "
                "stay in their order, also without stable=True.",
         .inputs = {"input"},
         .outputs = {"values", "indices"},
         .attrs = {dim, descending, stable},
         .infer = infer_sort,
         .forward = sort_forward,
         .backward = [](const BackwardArgs& args) { return picked_back(args, args.integer(0)); },
         .saves = {"indices"},
         .formula = {"x in order", "x_{(i)}", {{"x", "g where it came from", "g_{(i)}"}}},
         .example = "rv.sort(rv.tensor([3.0, 1.0, 2.0])).values",
         .method = true});
  r.add({.name = "argsort",
         .doc = "The indices that put the elements along an axis in order.",
         .inputs = {"input"},
         .attrs = {dim, descending, stable},
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           return {call("sort", {in[0]}, args.all())[1]};
         },
         .differentiable = false,
         .formula = {"the indices of x in order", "i_{(k)}", {}},
         .example = "rv.argsort(rv.tensor([3.0, 1.0, 2.0]))",
         .method = true});
  r.add({.name = "msort",
         .doc = "The elements in order along the first axis.",
         .inputs = {"input"},
         .composite = [](const Tensors& in, const AttrReader&) -> Tensors {
           return {call("sort", {in[0]}, {int64_t{0}})[0]};
         },
         .formula = {"x in order", "x_{(i)}", {{"x", "g where it came from", "g_{(i)}"}}},
         .example = "rv.msort(rv.tensor([3.0, 1.0, 2.0]))",
         .method = true});
  declare_selections(r);
  declare_searches(r);
}

}  // namespace ranvier
