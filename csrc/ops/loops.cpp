// Loops over shapes and strides; see loops.h.
#include "ops/loops.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/stream.h"

#if defined(__linux__)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace ranvier {
namespace {

constexpr int64_t kBlock = 512;  // elements packed at a time
constexpr int kMaxOperands = 5;
constexpr int64_t kShortRun = 128;  // elements for which a call of a kernel costs more than it does

struct Operand {
  char* data = nullptr;
  int64_t size = 0;  // of an element
  Dims strides;      // elements, one per loop axis
};

// The iteration space of an output and its inputs: axes in the order of the output's memory,
// neighbours merged wherever every operand allows it.
class Loop {
 public:
  Loop(const Tensor& out, std::span<const Tensor> in) {
    add(out, out);
    for (const Tensor& t : in) add(t, out);
    // Insertion by stride, largest first: there are few axes, and no memory is wanted here.
    int axes[Dims::kMax], n = 0;
    for (int i = 0; i < out.dim(); ++i) {
      if (out.shape()[i] == 1) continue;
      int at = n++;
      for (; at > 0 && out.strides()[axes[at - 1]] < out.strides()[i]; --at)
        axes[at] = axes[at - 1];
      axes[at] = i;
    }
    for (int i = 0; i < n; ++i) append(axes[i], out.shape()[axes[i]]);
    if (shape_.empty()) append(-1, 1);
  }

  int operands() const { return count_; }
  int axes() const { return shape_.size(); }
  const Operand& operand(int i) const { return merged_[i]; }
  int64_t inner() const { return shape_.back(); }
  int64_t inner_stride(int i) const { return merged_[i].strides.back(); }
  int64_t outer() const {
    int64_t n = 1;
    for (int i = 0; i + 1 < shape_.size(); ++i) n *= shape_[i];
    return n;
  }
  // Address of operand i at the start of inner run `index`.
  char* at(int i, int64_t index) const {
    const Operand& o = merged_[i];
    if (!o.data) return nullptr;
    int64_t offset = 0;
    for (int axis = shape_.size() - 2; axis >= 0; --axis) {
      offset += index % shape_[axis] * o.strides[axis];
      index /= shape_[axis];
    }
    return o.data + offset * o.size;
  }

 private:
  void add(const Tensor& t, const Tensor& out) {
    Operand& o = given_[count_++];
    if (!t.defined()) return;
    o.data = static_cast<char*>(t.raw());
    o.size = static_cast<int64_t>(size_of(t.dtype()));
    const int extra = out.dim() - t.dim();
    for (int i = 0; i < out.dim(); ++i)
      o.strides.push_back(i < extra || t.shape()[i - extra] == 1 ? 0 : t.strides()[i - extra]);
  }

  void append(int axis, int64_t size) {
    const auto stride = [&](int i) {
      return axis < 0 || !given_[i].data ? 0 : given_[i].strides[axis];
    };
    bool merges = !shape_.empty();
    for (int i = 0; i < count_ && merges; ++i)
      merges = merged_[i].strides.back() == stride(i) * size;
    if (merges)
      shape_[shape_.size() - 1] *= size;
    else
      shape_.push_back(size);
    for (int i = 0; i < count_; ++i) {
      merged_[i].data = given_[i].data;
      merged_[i].size = given_[i].size;
      if (merges)
        merged_[i].strides[merged_[i].strides.size() - 1] = stride(i);
      else
        merged_[i].strides.push_back(stride(i));
    }
  }

  int count_ = 0;
  Operand given_[kMaxOperands], merged_[kMaxOperands];
  Dims shape_;
};

template <class T>
void gather(const char* from, int64_t stride, int64_t n, char* to) {
  const T* x = reinterpret_cast<const T*>(from);
  T* y = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i * stride];
}
template <class T>
void scatter(const char* from, int64_t n, char* to, int64_t stride) {
  const T* x = reinterpret_cast<const T*>(from);
  T* y = reinterpret_cast<T*>(to);
  for (int64_t i = 0; i < n; ++i) y[i * stride] = x[i];
}
void gather(int64_t size, const char* from, int64_t stride, int64_t n, char* to) {
  if (size == 8) return gather<uint64_t>(from, stride, n, to);
  if (size == 4) return gather<uint32_t>(from, stride, n, to);
  if (size == 2) return gather<uint16_t>(from, stride, n, to);
  gather<uint8_t>(from, stride, n, to);
}
void scatter(int64_t size, const char* from, int64_t n, char* to, int64_t stride) {
  if (size == 8) return scatter<uint64_t>(from, n, to, stride);
  if (size == 4) return scatter<uint32_t>(from, n, to, stride);
  if (size == 2) return scatter<uint16_t>(from, n, to, stride);
  scatter<uint8_t>(from, n, to, stride);
}

// A run of adjacent elements whose result goes around the caches.
void map_streaming(MapFn f, double attribute, const Loop& loop, const char* const* base,
                   int64_t begin, int64_t end) {
  alignas(64) char piece[kBlock * 8];
  const int64_t size = loop.operand(0).size, step = static_cast<int64_t>(sizeof piece) / size;
  for (int64_t at = begin; at < end; at += step) {
    const int64_t n = std::min(step, end - at);
    const void* in[kMaxOperands] = {};
    for (int i = 1; i < loop.operands(); ++i)
      if (base[i]) in[i - 1] = base[i] + at * loop.operand(i).size;
    f(n, in, piece, attribute);
    stream(const_cast<char*>(base[0]) + at * size, piece, static_cast<size_t>(n * size));
  }
  end_stream();
}

// One inner run [begin, end) of the loop.
void map_run(const Loop& loop, MapFn f, double attribute, int64_t outer, int64_t begin,
             int64_t end) {
  alignas(64) char scratch[kMaxOperands][kBlock * 8];
  const char* base[kMaxOperands];
  bool adjacent = true;
  for (int i = 0; i < loop.operands(); ++i) {
    base[i] = loop.at(i, outer);
    adjacent = adjacent && (!base[i] || loop.inner_stride(i) == 1);
  }
  const bool in_place =
      std::find(base + 1, base + loop.operands(), base[0]) != base + loop.operands();
  if (adjacent && !in_place && streams(static_cast<size_t>(loop.inner() * loop.operand(0).size)))
    return map_streaming(f, attribute, loop, base, begin, end);
  const int64_t step = adjacent ? end - begin : kBlock;
  for (int64_t at = begin; at < end; at += step) {
    const int64_t n = std::min(step, end - at);
    const void* in[kMaxOperands] = {};
    for (int i = 1; i < loop.operands(); ++i) {
      if (!base[i]) continue;
      const int64_t size = loop.operand(i).size, stride = loop.inner_stride(i);
      in[i - 1] = base[i] + at * stride * size;
      if (stride == 1) continue;
      // A constant is spread once and serves every block.
      if (stride != 0 || at == begin)
        gather(size, base[i] + at * stride * size, stride, n, scratch[i]);
      in[i - 1] = scratch[i];
    }
    const int64_t size = loop.operand(0).size, stride = loop.inner_stride(0);
    char* out = const_cast<char*>(base[0]) + at * stride * size;
    if (stride == 1 || n == 1) {
      f(n, in, out, attribute);
    } else {
      f(n, in, scratch[0], attribute);
      scatter(size, scratch[0], n, out, stride);
    }
  }
}

}  // namespace

bool streams(size_t bytes) {
  static const size_t cache = [] {
    int64_t known = 0;
#if defined(__linux__) && defined(_SC_LEVEL3_CACHE_SIZE)
    known = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return static_cast<size_t>(known > 0 ? known : int64_t{32} << 20);
  }();
  return bytes > cache / 8 * 3;
}

#if defined(__x86_64__)
void stream(void* to, const void* from, size_t bytes) {
  char* y = static_cast<char*>(to);
  const char* x = static_cast<const char*>(from);
  const size_t head = std::min(bytes, (16 - reinterpret_cast<uintptr_t>(y) % 16) % 16);
  std::memcpy(y, x, head);
  size_t i = head;
  for (; i + 16 <= bytes; i += 16)
    _mm_stream_si128(reinterpret_cast<__m128i*>(y + i),
                     _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i)));
  std::memcpy(y + i, x + i, bytes - i);
}
void end_stream() { _mm_sfence(); }
#else
void stream(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void end_stream() {}
#endif

namespace {

// Elements that are worth a piece of their own.
int64_t amount_of(const Loop& loop, int64_t work) {
  int64_t amount = kGrainCopied / work;
  for (int i = 0; i < loop.operands(); ++i)
    if (loop.inner_stride(i) > 1) amount = std::min(amount, kGrainStrided);
  return amount;
}

void walk(const Loop& loop, MapFn f, double attribute, int64_t amount) {
  const int64_t inner = loop.inner(), step = items_a_piece(inner, 1, amount);
  const int64_t pieces = (inner + step - 1) / step;
  parallel_items(loop.outer() * pieces, step, amount, [&](int64_t first, int64_t last) {
    for (int64_t unit = first; unit < last; ++unit) {
      const int64_t begin = unit % pieces * step;
      map_run(loop, f, attribute, unit / pieces, begin, std::min(inner, begin + step));
    }
  });
}

// A walk through rows too short for a call of the kernel each: blocks of some rows are brought side
// by side first. Which elements those are was found once, as distances from the first of a block.
class BlockedMap {
 public:
  static bool fits(const Loop& loop) {
    if (loop.axes() == 1) return loop.inner() <= kBlock;
    return loop.inner() < kShortRun && loop.axes() == 2 &&
           !streams(static_cast<size_t>(loop.outer() * loop.inner() * loop.operand(0).size));
  }
  BlockedMap(const Loop& loop, MapFn f, double attribute, int64_t amount)
      : f_(f),
        attribute_(attribute),
        inner_(loop.inner()),
        rows_(loop.outer()),
        block_(std::max<int64_t>(std::min(kBlock / inner_, rows_), 1)),
        blocks_a_piece_(items_a_piece((rows_ + block_ - 1) / block_, block_ * inner_, amount)),
        operands_(static_cast<size_t>(loop.operands())) {
    for (int i = 0; i < loop.operands(); ++i) {
      Walked& o = operands_[static_cast<size_t>(i)];
      o.data = loop.at(i, 0);
      o.size = loop.operand(i).size;
      if (!o.data) continue;
      const int64_t step = loop.inner_stride(i);
      o.row = loop.axes() == 1 ? 0 : loop.operand(i).strides[0];
      if (step == 1 && (o.row == inner_ || rows_ == 1)) continue;
      o.constant = step == 0 && o.row == 0;
      for (int64_t r = 0; r < block_; ++r)
        for (int64_t j = 0; j < inner_; ++j) o.places.push_back(r * o.row + j * step);
    }
  }
  void operator()() const {
    if (block_ == rows_) {
      alignas(64) char scratch[kMaxOperands][kBlock * 8];
      return one_block(0, true, scratch);
    }
    parallel_for((rows_ + block_ - 1) / block_, blocks_a_piece_, [&](int64_t begin, int64_t end) {
      alignas(64) char scratch[kMaxOperands][kBlock * 8];
      for (int64_t b = begin; b < end; ++b) one_block(b * block_, b == begin, scratch);
    });
  }

 private:
  struct Walked {
    char* data = nullptr;
    int64_t size = 0, row = 0;    // of an element; from one row to the next
    std::vector<int64_t> places;  // of a block; none: side by side as they are
    bool constant = false;        // one element for all
  };
  void one_block(int64_t row, bool first, char (*scratch)[kBlock * 8]) const {
    const int64_t n = std::min(block_, rows_ - row) * inner_;
    const void* in[kMaxOperands] = {};
    for (size_t i = 1; i < operands_.size(); ++i) {
      const Walked& o = operands_[i];
      if (!o.data) continue;
      const char* const from = o.data + row * o.row * o.size;
      in[i - 1] = o.places.empty() ? from : scratch[i];
      if (!o.places.empty() && (first || o.row != 0)) bring(o, from, n, scratch[i]);
    }
    const Walked& out = operands_[0];
    char* const to = out.data + row * out.row * out.size;
    f_(n, in, out.places.empty() ? to : scratch[0], attribute_);
    if (!out.places.empty()) take_back(out, scratch[0], n, to);
  }
  static void bring(const Walked& o, const char* from, int64_t n, char* to) {
    visit_size(static_cast<size_t>(o.size), [&]<class T>(Tag<T>) {
      const T* const x = reinterpret_cast<const T*>(from);
      T* const y = reinterpret_cast<T*>(to);
      if (o.constant) return void(std::fill_n(y, n, *x));
      for (int64_t i = 0; i < n; ++i) y[i] = x[o.places[static_cast<size_t>(i)]];
    });
  }
  static void take_back(const Walked& o, const char* from, int64_t n, char* to) {
    visit_size(static_cast<size_t>(o.size), [&]<class T>(Tag<T>) {
      const T* const x = reinterpret_cast<const T*>(from);
      T* const y = reinterpret_cast<T*>(to);
      for (int64_t i = 0; i < n; ++i) y[o.places[static_cast<size_t>(i)]] = x[i];
    });
  }

  MapFn f_;
  double attribute_;
  int64_t inner_, rows_, block_, blocks_a_piece_;
  std::vector<Walked> operands_;
};

// One call of the kernel: all is adjacent, and too little to be shared out.
Prepared one_call(const Loop& loop, MapFn f, double attribute) {
  std::array<const void*, kMaxOperands> from{};
  for (int i = 1; i < loop.operands(); ++i) from[static_cast<size_t>(i) - 1] = loop.at(i, 0);
  return [f, attribute, from, to = static_cast<void*>(loop.at(0, 0)), n = loop.inner()] {
    f(n, from.data(), to, attribute);
  };
}

bool is_one_call(const Loop& loop, int64_t amount) {
  const int64_t n = loop.inner();
  bool adjacent = loop.outer() == 1 && items_a_piece(n, 1, amount) >= n;
  for (int i = 0; i < loop.operands(); ++i)
    adjacent = adjacent && (!loop.operand(i).data || loop.inner_stride(i) == 1 || n == 1);
  return adjacent && !streams(static_cast<size_t>(n * loop.operand(0).size));
}

}  // namespace

void map(MapFn f, double attribute, const Tensor& out, std::initializer_list<Tensor> in,
         int64_t work) {
  if (out.numel() == 0) return;
  const Loop loop(out, {in.begin(), in.size()});
  walk(loop, f, attribute, amount_of(loop, work));
}

namespace {

Prepared prepared_loop(MapFn f, double attribute, const Tensor& out, std::span<const Tensor> in,
                       int64_t work) {
  if (out.numel() == 0) return [] {};
  const Loop loop(out, in);
  const int64_t amount = amount_of(loop, work);
  if (is_one_call(loop, amount)) return one_call(loop, f, attribute);
  if (BlockedMap::fits(loop)) return BlockedMap(loop, f, attribute, amount);
  return [loop, f, attribute, amount] { walk(loop, f, attribute, amount); };
}

// Rows cut into pieces; an undefined operand comes as null.
Prepared prepared_rows(const Sweep& sweep) {
  const Tensor& out = sweep.operands[0];
  if (out.numel() == 0) return [] {};
  if (streams(static_cast<size_t>(out.numel()) * size_of(out.dtype()))) return {};
  constexpr size_t kMost = 8;
  std::array<char*, kMost> data{};
  std::array<int64_t, kMost> bytes{};
  for (size_t i = 0; i < sweep.operands.size(); ++i) {
    const Tensor& t = sweep.operands[i];
    if (!t.defined()) continue;
    data.at(i) = static_cast<char*>(t.raw());
    bytes.at(i) = sweep.steps[i] * static_cast<int64_t>(size_of(t.dtype()));
  }
  return [data, bytes, kernel = sweep.rows, row = sweep.row, count = out.numel() / sweep.row,
          amount = kGrainCopied / sweep.work] {
    parallel_items(count, row, amount, [&](int64_t begin, int64_t end) {
      void* at[kMost];
      for (size_t i = 0; i < kMost; ++i) at[i] = data[i] ? data[i] + begin * bytes[i] : nullptr;
      kernel(end - begin, at);
    });
  };
}

}  // namespace

Prepared prepared_map(MapFn f, double attribute, const Tensor& out,
                      std::initializer_list<Tensor> in, int64_t work) {
  return prepared_loop(f, attribute, out, {in.begin(), in.size()}, work);
}

Prepared prepared_sweep(const Sweep& sweep) {
  if (sweep.rows) return prepared_rows(sweep);
  Prepared call =
      prepared_loop(sweep.map, sweep.attribute, sweep.operands[0],
                    {sweep.operands.begin() + 1, sweep.operands.size() - 1}, sweep.work);
  if (sweep.made.empty()) return call;
  return [made = sweep.made, call] { call(); };
}

namespace {

template <class To, class From>
void convert_run(int64_t n, const void* const* in, void* out, double) {
  const auto* x = static_cast<const From*>(in[0]);
  auto* y = static_cast<To*>(out);
  if constexpr (std::is_same_v<To, From>)
    std::memmove(y, x, static_cast<size_t>(n) * sizeof(To));
  else
    for (int64_t i = 0; i < n; ++i) y[i] = convert<To>(x[i]);
}

}  // namespace

namespace {

struct Conversion {
  MapFn run = nullptr;
  int64_t work = 1;
};

Conversion conversion(DType to, DType from) {
  Conversion c;
  if (to == from) {  // only bytes move
    visit_size(size_of(to), [&]<class T>(Tag<T>) { c.run = convert_run<T, T>; });
    return c;
  }
  visit_all(to, [&]<class To>(Tag<To>) {
    visit_all(from, [&]<class From>(Tag<From>) {
      c.run = convert_run<To, From>;
      // Half precision is converted by bits, one element at a time.
      if (sizeof(To) == 2 || sizeof(From) == 2) c.work = 8;
    });
  });
  return c;
}

}  // namespace

void copy(const Tensor& to, const Tensor& from) {
  const Conversion c = conversion(to.dtype(), from.dtype());
  map(c.run, 0, to, {from}, c.work);
}

Prepared prepared_copy(const Tensor& to, const Tensor& from) {
  return prepared_sweep(copy_sweep(to, from));
}

Sweep copy_sweep(const Tensor& to, const Tensor& from) {
  const Conversion c = conversion(to.dtype(), from.dtype());
  return {.operands = {to, from}, .map = c.run, .work = c.work};
}

Tensor packed(const Tensor& t) { return t.is_contiguous() ? t : converted(t, t.dtype()); }

Tensor converted(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype && t.is_contiguous()) return t;
  Tensor result = Tensor::empty(t.shape(), dtype);
  copy(result, t);
  return result;
}

bool is_apart(const Tensor& from, const Tensor& to) {
  const bool same_view =
      from.raw() == to.raw() && from.shape() == to.shape() && from.strides() == to.strides();
  // By address: two storages may stand for one array of NumPy's.
  const auto first = [](const Tensor& t) { return static_cast<char*>(t.impl()->storage->data); };
  const auto end = [&](const Tensor& t) { return first(t) + t.impl()->storage->bytes; };
  // A program's temporary has no address before it runs, and is nobody else's memory.
  const bool placed = from.impl()->storage == to.impl()->storage || (first(from) && first(to));
  const bool meet = placed && first(from) < end(to) && first(to) < end(from);
  return !meet || same_view;
}

Tensor apart(const Tensor& from, const Tensor& to) {
  if (is_apart(from, to)) return from;
  const Tensor fresh = Tensor::empty(from.shape(), from.dtype());
  copy(fresh, from);
  return fresh;
}

bool same_layout(const Tensor& a, const Tensor& b) {
  for (int i = 0; i < a.dim(); ++i)
    if (a.shape()[i] > 1 && a.strides()[i] != b.strides()[i]) return false;
  return true;
}

Tensor in_layout_of(const Tensor& t, const Tensor& like) {
  if (same_layout(t, like)) return t;
  Tensor result = Tensor::empty_strided(like.shape(), like.strides(), t.dtype());
  copy(result, t);
  return result;
}

}  // namespace ranvier
