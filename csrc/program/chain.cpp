// Chains of instructions block by block: see chain.h.
#include "program/chain.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/stream.h"

namespace ranvier {
namespace {

constexpr int64_t kLeastChained = 1 << 13;  // elements; fewer stay in the cache by themselves
constexpr size_t kMostPlaces = 32;          // where the operands of a chain lie
constexpr int64_t kScratchBytes = 48 << 10;
constexpr int64_t kCachedBytes = 16 << 10;  // that a block of everything takes, beside the next one
constexpr int64_t kLine = 64;
constexpr int64_t kLongRow = 1024;  // elements; blocks are parts of such rows

// How an operand goes along with the elements.
enum class Way {
  each,       // one beside the other
  each_row,   // one a row, for a kernel that takes rows
  whole,      // the same row for all, for a kernel that takes rows
  constant,   // one for all, spread over a block
  row,        // the same row for all, as often as a block has rows
  of_the_row  // one a row, spread over it
};
bool is_spread(Way way) { return way >= Way::constant; }

// An operand of one or more parts of a chain.
struct Place {
  Tensor tensor;
  Way way = Way::each;
  int64_t size = 0;            // of an element
  bool written = false;        // by a part of the chain
  bool made = false;           // and not read before
  size_t first = 0, last = 0;  // the parts that use it
  int area = -1;               // of scratch memory, where it is not in its own
  bool streams = false;        // it goes from there around the caches

  int64_t row = 1;  // elements of a row, where there are rows

  bool same(const Place& other) const {
    return tensor.impl()->storage == other.tensor.impl()->storage &&
           tensor.impl()->offset * size == other.tensor.impl()->offset * other.size &&
           way == other.way && size == other.size && row == other.row;
  }
};

struct Part {
  Sweep sweep;
  SmallVector<size_t, 6> places;  // of operands; kMostPlaces: not given
};

// The way of an operand that broadcasts to a result, and the length of a row if there are any.
std::optional<Way> way_of(const Tensor& t, const Tensor& out, int64_t* row) {
  const int dims = out.dim(), extra = dims - t.dim();
  // Whether the strides of some axes are the result's, divided; by 0: whether they are 0.
  const auto moves = [&](int begin, int end, int64_t divisor) {
    for (int i = begin; i < end; ++i) {
      if (out.shape()[i] == 1) continue;
      const bool stands = i < extra || t.shape()[i - extra] == 1;
      const int64_t step = stands ? 0 : t.strides()[i - extra];
      if (step != (divisor ? out.strides()[i] / divisor : 0)) return false;
    }
    return true;
  };
  if (moves(0, dims, 1)) return Way::each;
  if (moves(0, dims, 0)) return Way::constant;
  if (!out.is_contiguous()) return {};
  *row = 1;
  for (int split = dims - 1; split > 0; --split) {
    *row *= out.shape()[split];
    if (moves(0, split, 0) && moves(split, dims, 1)) return Way::row;
    if (moves(0, split, *row) && moves(split, dims, 0)) return Way::of_the_row;
  }
  return {};
}

const Tensor& result_of(const Instruction& step) {
  return step.outputs.empty() ? step.inputs[0] : step.outputs[0];
}

// Parts of instructions that run as one, in the order of the list.
class Chained {
 public:
  // Whether another instruction fits; if not, nothing has changed.
  bool add(const Instruction& step);
  size_t size() const { return parts_.size(); }
  const std::vector<Place>& places() const { return places_; }
  // When all are there: which of them need no memory of their own.
  void finish(const std::function<bool(const Storage&)>& inside);
  void operator()() const;

 private:
  using Addresses = void * [kMostPlaces + 1];
  bool fits();
  bool is_long(int64_t row) const { return row > std::max(kLongRow, unit_); }
  int64_t unit() const;
  int64_t blocks() const { return extent_ / run_ * ((run_ + block_ - 1) / block_); }
  bool meet(const Place& a, const Place& b) const;
  int64_t bytes_of(const Place& place) const;
  int give_area(const Place& place);
  void choose_block();
  void run(const Addresses& base, int64_t first, int64_t last) const;
  void fetch(const Addresses& at, int64_t begin) const;
  void spread(const Place& place, const void* from, int64_t count, void* to) const;

  struct Area {
    int64_t size, offset;
    size_t until;  // the last part that uses it
  };
  std::vector<Part> parts_;
  std::vector<Place> places_;
  std::vector<Area> areas_;
  int64_t extent_ = 0;         // elements
  std::vector<int64_t> rows_;  // elements of all that is a row, each a part of the next one
  int64_t unit_ = 0;           // of the longest row that a kernel takes
  int64_t run_ = 0;            // elements that are cut into blocks: a long row, or all
  int64_t block_ = 0, blocks_a_piece_ = 1, work_ = 0;
};

bool Chained::add(const Instruction& step) {
  if (!step.op->sweep || result_of(step).numel() < grain(kLeastChained)) return false;
  Part part{step.op->sweep(ForwardArgs(*step.op, step.attrs, step.inputs, step.outputs)), {}};
  const Sweep& sweep = part.sweep;
  if (!sweep || !sweep.operands[0].is_dense()) return false;
  const int64_t extent = sweep.operands[0].numel();
  if (!parts_.empty() && extent != extent_) return false;
  const std::vector<Place> places_before = places_;
  const std::vector<int64_t> rows_before = rows_;
  const int64_t unit_before = unit_;
  bool fit = true;
  if (sweep.rows && sweep.row > 1) {
    rows_.push_back(sweep.row);
    unit_ = std::max(unit_, sweep.row);
  }
  for (size_t i = 0; i < sweep.operands.size() && fit; ++i) {
    const Tensor& t = sweep.operands[i];
    part.places.push_back(kMostPlaces);
    if (!t.defined()) continue;
    Place place{t};
    place.size = static_cast<int64_t>(size_of(t.dtype()));
    place.first = parts_.size();
    if (sweep.map) {
      const std::optional<Way> way = way_of(t, sweep.operands[0], &place.row);
      fit = fit && way;
      place.way = way.value_or(Way::each);
      if (place.way >= Way::row) rows_.push_back(place.row);
    } else if (sweep.steps[i] != sweep.row) {
      place.way = sweep.steps[i] == 0 ? Way::whole : Way::each_row;
      place.row = sweep.row;
    }
    const auto known = std::find_if(places_.begin(), places_.end(),
                                    [&](const Place& other) { return other.same(place); });
    const size_t at = static_cast<size_t>(known - places_.begin());
    if (known == places_.end()) places_.push_back(place);
    Place& used = places_[at];
    used.last = parts_.size();
    const bool writes = i < static_cast<size_t>(sweep.results);
    if (writes && used.first == parts_.size()) used.made = !used.written;
    if (!writes && used.first == parts_.size()) used.made = false;
    used.written = used.written || writes;
    part.places.back() = at;
  }
  extent_ = extent;
  if (fit && fits()) {
    work_ += sweep.work;
    parts_.push_back(std::move(part));
    return true;
  }
  places_ = places_before;
  rows_ = rows_before;
  unit_ = unit_before;
  return false;
}

// A block is some of the longest rows that a kernel takes, or that are spread over it.
int64_t Chained::unit() const {
  int64_t unit = 0;
  for (const int64_t row : rows_)
    if (!is_long(row)) unit = row;
  return unit > 0 ? unit : kLine;
}

int64_t Chained::bytes_of(const Place& place) const {
  const bool of_row = place.way == Way::whole || place.way == Way::row;
  const int64_t count = place.way == Way::each       ? extent_
                        : place.way == Way::constant ? 1
                        : of_row                     ? place.row
                                                     : extent_ / place.row;
  return count * place.size;
}

// What lies nowhere yet is an argument, which nobody writes to, or needs no memory.
bool Chained::meet(const Place& a, const Place& b) const {
  if (!a.tensor.impl()->storage->data || !b.tensor.impl()->storage->data) return false;
  const auto *x = static_cast<const char*>(a.tensor.raw()),
             *y = static_cast<const char*>(b.tensor.raw());
  return x < y + bytes_of(b) && y < x + bytes_of(a);
}

// A block of one part is done before others begin with it: whatever is written must be read where
// it lies, element by element, or not at all.
bool Chained::fits() {
  if (places_.size() > kMostPlaces) return false;
  std::sort(rows_.begin(), rows_.end());
  for (size_t i = 1; i < rows_.size(); ++i)
    if (rows_[i] % rows_[i - 1] != 0) return false;
  int64_t bytes = 0;
  for (const Place& place : places_)
    if (is_spread(place.way) || (place.made && place.way == Way::each))
      bytes += unit() * place.size + kLine;
  if (bytes > kScratchBytes) return false;
  for (size_t i = 0; i < places_.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if ((places_[i].written || places_[j].written) && meet(places_[i], places_[j])) return false;
  return true;
}

int Chained::give_area(const Place& place) {
  const bool stays = is_spread(place.way) || place.streams;
  const size_t until = stays ? parts_.size() : place.last;
  const auto free = std::find_if(areas_.begin(), areas_.end(), [&](const Area& area) {
    return !stays && area.size == place.size && area.until < place.first;
  });
  const auto at = free - areas_.begin();
  if (free == areas_.end())
    areas_.push_back({place.size, 0, until});
  else
    free->until = until;
  return static_cast<int>(at);
}

// As many elements as stay in the first cache, with all that is computed of them.
void Chained::choose_block() {
  int64_t slots = 0, all = 0;
  for (const Area& area : areas_) slots += area.size;
  for (const Place& place : places_)
    if (place.area < 0 && place.way == Way::each) all += place.size;
  const int64_t unit = this->unit();
  const auto room = kScratchBytes - kLine * static_cast<int64_t>(areas_.size());
  int64_t units = std::max<int64_t>(kCachedBytes / std::max<int64_t>((slots + all) * unit, 1), 1);
  if (slots > 0) units = std::min(units, std::max<int64_t>(room / (slots * unit), 1));
  block_ = units * unit;
  int64_t offset = 0;
  for (Area& area : areas_) {
    area.offset = offset;
    offset += (block_ * area.size + kLine - 1) / kLine * kLine;
  }
  blocks_a_piece_ = items_a_piece(blocks(), block_ * work_, 2 * kGrainCopied);
}

void Chained::finish(const std::function<bool(const Storage&)>& inside) {
  const auto first =
      std::find_if(rows_.begin(), rows_.end(), [&](int64_t n) { return is_long(n); });
  run_ = first == rows_.end() ? extent_ : *first;
  for (Place& place : places_) {
    const bool own = place.way == Way::each && inside(*place.tensor.impl()->storage);
    place.streams = !own && place.made && place.way == Way::each &&
                    ranvier::streams(static_cast<size_t>(bytes_of(place)));
    const bool there = place.way == Way::row && is_long(place.row);
    if (own || place.streams || (is_spread(place.way) && !there)) place.area = give_area(place);
  }
  choose_block();
}

void Chained::operator()() const {
  Addresses base{};
  for (size_t i = 0; i < places_.size(); ++i) base[i] = places_[i].tensor.raw();
  parallel_for(blocks(), blocks_a_piece_,
               [&](int64_t first, int64_t last) { run(base, first, last); });
}

void Chained::spread(const Place& place, const void* from, int64_t count, void* to) const {
  visit_size(static_cast<size_t>(place.size), [&]<class T>(Tag<T>) {
    const T* const x = static_cast<const T*>(from);
    T* const y = static_cast<T*>(to);
    if (place.way == Way::constant || is_long(place.row)) return void(std::fill_n(y, count, *x));
    for (int64_t i = 0; i < count; i += place.row)
      if (place.way == Way::row)
        std::copy_n(x, place.row, y + i);
      else
        std::fill_n(y + i, place.row, x[i / place.row]);
  });
}

// Blocks are too short for the processor to see by itself what will be read next.
void Chained::fetch(const Addresses& at, int64_t begin) const {
  const int64_t next = begin + block_, n = std::min(block_, extent_ - next);
  for (size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    if (place.area >= 0 || place.way != Way::each || place.made) continue;
    const char* const from = static_cast<char*>(at[i]) + block_ * place.size;
    for (int64_t k = 0; k < n * place.size; k += kLine) __builtin_prefetch(from + k);
  }
}

// Some blocks, from `first` to before `last`.
void Chained::run(const Addresses& base, int64_t first, int64_t last) const {
  alignas(kLine) char scratch[kScratchBytes];
  Addresses at{};
  for (size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    at[i] = place.area < 0 ? base[i] : scratch + areas_[static_cast<size_t>(place.area)].offset;
    if (place.area >= 0 && (place.way == Way::constant || place.way == Way::row))
      spread(place, base[i], block_, at[i]);
  }
  bool streamed = false;
  const int64_t each = (run_ + block_ - 1) / block_;  // blocks of a run
  for (int64_t b = first; b < last; ++b) {
    const int64_t within = b % each * block_, n = std::min(block_, run_ - within);
    const int64_t begin = b / each * run_ + within;
    const auto in_memory = [&](size_t i) {
      const Place& place = places_[i];
      const int64_t before = place.way == Way::each  ? begin
                             : place.way == Way::row ? begin % place.row
                                                     : begin / place.row;
      return static_cast<char*>(base[i]) + before * place.size;
    };
    for (size_t i = 0; i < places_.size(); ++i) {
      const Place& place = places_[i];
      if (place.way == Way::of_the_row)
        spread(place, in_memory(i), n, at[i]);
      else if (place.area < 0 && place.way != Way::whole)
        at[i] = in_memory(i);
    }
    fetch(at, begin);
    for (const Part& part : parts_) {
      void* operands[8];
      for (size_t i = 0; i < part.places.size(); ++i) operands[i] = at[part.places[i]];
      if (part.sweep.map)
        part.sweep.map(n, operands + 1, operands[0], part.sweep.attribute);
      else
        part.sweep.rows(n / part.sweep.row, operands);
    }
    for (size_t i = 0; i < places_.size(); ++i) {
      const Place& place = places_[i];
      if (!place.streams) continue;
      stream(in_memory(i), at[i], static_cast<size_t>(n * place.size));
      streamed = true;
    }
  }
  if (streamed) end_stream();
}

// f(tensor, whether it is written) for all of an instruction.
template <class F>
void each_operand(const Instruction& step, F f) {
  for (const Tensor& t : step.inputs)
    if (t.defined()) f(t, false);
  step.op->for_mutated(step.inputs.size(), [&](size_t i) {
    if (step.inputs[i].defined()) f(step.inputs[i], true);
  });
  for (const Tensor& t : step.outputs) f(t, true);
}

bool share_memory(const Tensor& a, const Tensor& b) {
  const Storage &x = *a.impl()->storage, &y = *b.impl()->storage;
  const auto *first = static_cast<const char*>(x.data), *other = static_cast<const char*>(y.data);
  return first < other + y.bytes && other < first + x.bytes;
}

// Whether `step` is small, cannot fail, and is the same before the given ones: a rate between the
// changes of a parameter.
bool goes_before(const Instruction& step, std::span<const Instruction> others) {
  if (!step.op->sweep || result_of(step).numel() >= grain(kLeastChained)) return false;
  if (!step.op->sweep(ForwardArgs(*step.op, step.attrs, step.inputs, step.outputs))) return false;
  bool apart = true;
  for (const Instruction& other : others)
    each_operand(step, [&](const Tensor& t, bool writes) {
      each_operand(other, [&](const Tensor& u, bool written) {
        apart = apart && !((writes || written) && share_memory(t, u));
      });
    });
  return apart;
}

}  // namespace

Chains::Chains(std::vector<Instruction>& steps, const Tensors& outside) {
  constexpr size_t kMostBetween = 16;
  for (size_t first = 0, last = 0; first < steps.size(); first = std::max(last, first + 1)) {
    Chained chained;
    last = first;
    for (size_t at = first; at < std::min(steps.size(), last + kMostBetween); ++at) {
      const auto place = [&](size_t i) { return steps.begin() + static_cast<std::ptrdiff_t>(i); };
      if (chained.add(steps[at])) {
        std::rotate(place(first), place(last), place(at));
        first += at - last;
        last = at + 1;
      } else if (chained.size() == 0 ||
                 !goes_before(steps[at], {steps.data() + first, last - first})) {
        break;
      }
    }
    if (chained.size() > 1) chains_.push_back({first, last});
  }
  if (chains_.empty()) return;
  MemoryUses uses(steps, outside);
  for (const Chain& chain : chains_) find_inside(steps, chain, uses);
}

// What is made, used and forgotten within a chain, each element beside those of the others.
void Chains::find_inside(const std::vector<Instruction>& steps, Chain chain, MemoryUses& uses) {
  Chained chained;
  for (size_t i = chain.first; i < chain.last; ++i) chained.add(steps[i]);
  PointerMap<Storage, int> places;
  for (const Place& place : chained.places()) ++places[place.tensor.impl()->storage.get()];
  for (const Place& place : chained.places()) {
    Storage* const storage = place.tensor.impl()->storage.get();
    const MemoryUse& use = uses.of(place.tensor);
    const bool here = use.made_by >= 0 && use.first() >= chain.first && use.last() < chain.last;
    if (here && !use.kept && !storage->release && place.made && place.way == Way::each &&
        place.tensor.impl()->offset == 0 && places[storage] == 1)
      inside_[storage] = true;
  }
}

const Chain* Chains::at(size_t step) const {
  const auto it = std::partition_point(chains_.begin(), chains_.end(),
                                       [&](const Chain& chain) { return chain.last <= step; });
  return it != chains_.end() && it->first <= step ? &*it : nullptr;
}

Prepared Chains::prepared(const std::vector<Instruction>& steps, const Chain& chain) const {
  const auto chained = std::make_shared<Chained>();
  for (size_t i = chain.first; i < chain.last; ++i)
    if (!chained->add(steps[i])) fail(ErrorKind::runtime, "a chain of instructions does not hold");
  chained->finish([this](const Storage& storage) { return inside(storage); });
  return [chained] { (*chained)(); };
}

}  // namespace ranvier
