// Replay: see plan.h. A recorded list gets memory of its own, and runs on other arguments.
#include <pthread.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "core/allocator.h"
#include "core/structure.h"
#include "ops/loops.h"
#include "program/ahead.h"
#include "program/recorder.h"

namespace ranvier {

// ---- what is held

Held::Held(Tensor t) : tensor_(std::move(t)) {
  tensor_.impl()->program_refs.fetch_add(1, std::memory_order_relaxed);
}
Held::~Held() {
  if (tensor_.defined()) tensor_.impl()->program_refs.fetch_sub(1, std::memory_order_relaxed);
}

bool Watched::holds() const {
  const TensorImpl& impl = *tensor->impl();
  const AutogradMeta* const m = impl.autograd.get();
  const bool asks = m && (m->requires_grad || m->node);
  return asks == requires_grad && !(m && m->hooks && !m->hooks->empty()) && impl.shape == shape &&
         impl.strides == strides;
}

// ---- turns

namespace {

std::atomic<uint64_t> forks{0};
const bool counting_forks = [] {
  pthread_atfork(nullptr, nullptr, [] { forks.fetch_add(1, std::memory_order_relaxed); });
  return true;
}();

}  // namespace

// The one of before a fork may be locked by a thread that the child has not: it is left behind.
std::mutex& turn_of(Program::Plan& plan) {
  const uint64_t now = forks.load(std::memory_order_relaxed);
  if (plan.turn_of_fork != now) {
    (void)plan.turn.release();
    plan.turn = std::make_unique<std::mutex>();
    plan.turn_of_fork = now;
  }
  return *plan.turn;
}

// ---- memory

namespace {

constexpr size_t kLentBytes =
    1 << 16;                      // from which a copy costs more than a call that is not ready
constexpr int64_t kMostGaps = 4;  // elements of memory for each of an argument
constexpr double kWorthChoosing = 4000;  // nanoseconds; less is never shared between threads

// The elements between the first and behind the last one of a layout.
int64_t reach(const Tensor& t) {
  if (t.numel() == 0) return 0;
  int64_t last = 0;
  for (int i = 0; i < t.dim(); ++i) last += (t.shape()[i] - 1) * t.strides()[i];
  return last + 1;
}

size_t bytes_of(const Tensor& t) { return static_cast<size_t>(t.numel()) * size_of(t.dtype()); }

// Gives the operands of a list other handles: none of the caller's, and the storages that the
// program has for its own in the place of those that it was recorded with.
class Adoption {
 public:
  // What lay at `from`, in elements, lies at the beginning of `to`, which has room for `room`.
  void replace(const Tensor& from, Ref<Storage> to, int64_t room) {
    places_[from.impl()->storage.get()] = {std::move(to), from.impl()->offset, room};
  }
  void replace_whole(const Tensor& from) {
    Storage& old = *from.impl()->storage;
    if (places_.contains(&old)) return;
    places_[&old] = {Ref<Storage>(new Storage(old.bytes)), 0,
                     static_cast<int64_t>(old.bytes / size_of(from.dtype()))};
  }
  void keep(Storage* temporary) { temporaries_[temporary] = true; }

  Tensor of(const Tensor& t) {
    if (!t.defined() || temporaries_.contains(t.impl()->storage.get())) return t;
    if (const Tensor* const known = handles_.find(t.impl())) return *known;
    const Tensor handle = handle_of(t);
    // What a view was taken of; of an argument that is one itself nothing more is seen.
    if (const Tensor base(t.impl()->base); base.defined() && lies_inside(base))
      handle.impl()->base = of(base).ref();
    handles_[t.impl()] = handle;
    return handle;
  }
  bool inside() const { return inside_; }
  std::vector<std::pair<Ref<Storage>, int>> shared() const {
    std::vector<std::pair<Ref<Storage>, int>> list;
    for (const auto& [storage, count] : shared_) {
      list.emplace_back(Ref<Storage>(storage), count + 1);
      storage->program_refs.fetch_add(count + 1, std::memory_order_relaxed);
    }
    return list;
  }

 private:
  struct Place {
    Ref<Storage> storage;
    int64_t offset = 0, room = 0;
  };
  bool lies_inside(const Tensor& t) const {
    const Place* const place = places_.find(t.impl()->storage.get());
    if (!place || t.numel() == 0) return true;
    const int64_t offset = t.impl()->offset - place->offset;
    return offset >= 0 && offset + reach(t) <= place->room;
  }
  Tensor handle_of(const Tensor& t) {
    const Place* const place = places_.find(t.impl()->storage.get());
    if (!place) {
      ++shared_[t.impl()->storage.get()];
      return t.detach();
    }
    if (!lies_inside(t)) inside_ = false;
    const int64_t offset = t.impl()->offset - place->offset;
    const Tensor handle = t.alias(t.shape(), t.strides(), std::max<int64_t>(offset, 0));
    handle.impl()->storage = place->storage;
    return handle;
  }
  PointerMap<Storage, Place> places_;
  PointerMap<Storage, bool> temporaries_;
  PointerMap<TensorImpl, Tensor> handles_;
  PointerMap<Storage, int> shared_;
  bool inside_ = true;
};

}  // namespace

Program::Plan::Plan() = default;
Program::Plan::~Plan() {
  for (const auto& [storage, count] : shared)
    storage->program_refs.fetch_sub(count, std::memory_order_relaxed);
}

bool Program::Plan::adopt(MemoryUses& uses) {
  Adoption own;
  for (const auto& [storage, use] : uses.all())
    if (storage->bytes > 0 && is_temporary(*storage)) own.keep(storage);
  for (Tensor& t : inputs) {
    const int64_t room = reach(t);
    const bool changes = !uses.of(t).writes.empty();
    if (room > kMostGaps * t.numel() + 1) return false;
    const auto bytes = static_cast<size_t>(room) * size_of(t.dtype());
    written.push_back(changes);
    lent.push_back(!changes && bytes >= kLentBytes);
    own.replace(t,
                Ref<Storage>(lent.back() ? new Storage(
                                               nullptr, bytes, [](void*) {}, nullptr)
                                         : new Storage(bytes)),
                room);
  }
  PointerMap<Storage, int> sharers;
  PointerMap<Storage, bool> gradients;  // which leaves hold, and callers get a copy of
  for (const LeafGradient& g : leaves)
    if (g.after) gradients[(*g.after)->impl()->storage.get()] = true;
  for (Result& r : results)
    if (r.kind == Result::made) {
      ++sharers[r.tensor.impl()->storage.get()];
      if (!gradients.contains(r.tensor.impl()->storage.get())) own.replace_whole(r.tensor);
    }
  for (Result& r : results) {
    if (r.kind == Result::held || !r.tensor.defined()) continue;
    r.whole = r.kind == Result::made &&
              (sharers[r.tensor.impl()->storage.get()] > 1 || !r.tensor.is_dense());
    const Tensor before = r.tensor;
    const bool is_written = !uses.of(before).writes.empty();
    r.given = r.kind == Result::made && !r.whole && is_written && bytes_of(before) >= kLentBytes &&
              before.impl()->storage->bytes == bytes_of(before) &&
              !gradients.contains(before.impl()->storage.get());
    r.tensor = own.of(r.tensor);
    // What the function made by no instruction is as it was.
    if (r.kind == Result::made && !is_written && r.tensor.impl()->storage != before.impl()->storage)
      std::memcpy(r.tensor.impl()->storage->data, before.impl()->storage->data,
                  before.impl()->storage->bytes);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor recorded = inputs[i];
    inputs[i] = own.of(recorded);
    if (!lent[i]) copy(inputs[i], recorded);  // for profile() before the first run
  }
  for (Instruction& step : instructions) {
    for (Tensor& t : step.inputs) t = own.of(t);
    for (Tensor& t : step.outputs) t = own.of(t);
  }
  shared = own.shared();
  return own.inside();
}

// ---- calls

std::vector<Prepared> Program::Plan::calls_of(const std::vector<Instruction>& steps,
                                              const std::function<bool(size_t)>& wanted) const {
  PointerMap<Storage, bool> elsewhere;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (lent[i]) elsewhere[inputs[i].impl()->storage.get()] = true;
  for (const Result& r : results)
    if (r.given) elsewhere[r.tensor.impl()->storage.get()] = true;
  const auto is_elsewhere = [&](const Tensor& t) {
    return t.defined() && elsewhere.contains(t.impl()->storage.get());
  };
  std::vector<Prepared> list;
  for (size_t at = 0; at < steps.size(); ++at) {
    const Instruction& step = steps[at];
    if (!wanted(at)) continue;
    const bool moves = std::any_of(step.inputs.begin(), step.inputs.end(), is_elsewhere) ||
                       std::any_of(step.outputs.begin(), step.outputs.end(), is_elsewhere);
    if (const Chain* const chain = chains.at(at); !chain)
      list.push_back(prepared_call(*step.op, step.attrs, step.inputs, step.outputs, !moves));
    else if (chain->first == at)
      list.push_back(chains.prepared(steps, *chain));
  }
  return list;
}

void Program::Plan::counting(const std::function<void()>& make) {
  SmallVector<int32_t, 32> handles;
  for (const auto& [storage, count] : shared)
    handles.push_back(storage->refs.load(std::memory_order_relaxed));
  make();
  for (size_t i = 0; i < shared.size(); ++i) {
    auto& [storage, count] = shared[i];
    const int32_t more = storage->refs.load(std::memory_order_relaxed) - handles[i];
    count += more;
    storage->program_refs.fetch_add(more, std::memory_order_relaxed);
  }
}

void Program::Plan::prepare() {
  counting([&] { calls = calls_of(instructions, [](size_t) { return true; }); });
  PointerMap<Storage, bool> seen, changes;
  for (const auto& entry : shared) seen[entry.first.get()] = true;
  const auto writes = [&](const Tensor& t, bool counts) {
    Storage* const storage = t.impl()->storage.get();
    if (!seen.contains(storage) || storage->bytes == 0) return;
    if (counts) changes[storage] = true;
    const auto* begin = static_cast<const char*>(storage->data);
    changing.emplace_back(begin, begin + storage->bytes);
  };
  for (const Instruction& step : instructions) {
    step.op->for_mutated(step.inputs.size(), [&](size_t i) {
      if (step.inputs[i].defined()) writes(step.inputs[i], true);
    });
    for (const Tensor& t : step.outputs) writes(t, false);
    Metas in, out;
    for (const Tensor& t : step.inputs) in.push_back(t.defined() ? meta_of(t) : Meta{});
    for (const Tensor& t : step.outputs) out.push_back(meta_of(t));
    const Cost cost = cost_of(*step.op, in, out, step.attrs);
    nanoseconds += cost.flops / 50 + cost.bytes / 20;
  }
  for (const auto& entry : changes) changed.push_back(entry.key);
  std::sort(changing.begin(), changing.end());
  changing.erase(std::unique(changing.begin(), changing.end()), changing.end());
}

// ---- whether

Argument argument_of(const Tensor& t) {
  return {t.raw(), t.dtype(), t.dim(), t.shape().begin(), t.strides().begin()};
}

namespace {

bool alike(const Argument& given, const Tensor& recorded) {
  if (given.dtype != recorded.dtype() || given.dim != recorded.dim()) return false;
  for (int i = 0; i < given.dim; ++i) {
    if (given.shape[i] != recorded.shape()[i]) return false;
    if (given.shape[i] > 1 && given.strides[i] != recorded.strides()[i]) return false;
  }
  return true;
}

using Range = std::pair<const char*, const char*>;

// The memory of an argument; the program's own room for it is as large.
Range range_of(const Argument& a, const Tensor& recorded) {
  const auto* const begin = static_cast<const char*>(a.data);
  return {begin, begin + recorded.impl()->storage->bytes};
}
bool meet(const Range& a, const Range& b) { return a.first < b.second && b.first < a.second; }

// Nobody but programs and the leaf itself holds a gradient that is about to be written anew.
bool is_unseen(const LeafGradient& g) {
  const TensorImpl& impl = *(*g.after)->impl();
  const AutogradMeta* const m = g.leaf->impl()->autograd.get();
  const int in_place = m && m->grad.impl() == &impl ? 1 : 0;
  const Storage& storage = *impl.storage;
  return impl.refs.load(std::memory_order_relaxed) ==
             impl.program_refs.load(std::memory_order_relaxed) + in_place &&
         storage.refs.load(std::memory_order_relaxed) ==
             storage.program_refs.load(std::memory_order_relaxed) + 1;
}

}  // namespace

bool Program::Plan::holds() const {
  return default_type == default_dtype() && isa == current_isa() &&
         std::all_of(watched.begin(), watched.end(), [](const Watched& w) { return w.holds(); });
}

bool Program::Plan::fits(std::span<const Argument> arguments) const {
  if (arguments.size() != inputs.size()) return false;
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!alike(arguments[i], inputs[i])) return false;
  for (const LeafGradient& g : leaves) {
    const AutogradMeta* const m = g.leaf->impl()->autograd.get();
    const TensorImpl* const now = m ? m->grad.impl() : nullptr;
    if (!g.any_before && now != (g.before ? (*g.before)->impl() : nullptr)) return false;
    if (g.made && !is_unseen(g)) return false;
  }
  return keeps_apart(arguments);
}

bool Program::Plan::keeps_apart(std::span<const Argument> arguments) const {
  // A change of one argument must not be one of another.
  if (std::any_of(written.begin(), written.end(), [](bool w) { return w; }))
    for (size_t i = 0; i < arguments.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (meet(range_of(arguments[i], inputs[i]), range_of(arguments[j], inputs[j])))
          return false;
  if (changing.empty()) return true;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Range own = range_of(arguments[i], inputs[i]);
    // The first range that ends behind the argument's beginning.
    const auto it = std::partition_point(changing.begin(), changing.end(),
                                         [&](const Range& r) { return r.second <= own.first; });
    if (it != changing.end() && meet(*it, own)) return false;
  }
  return true;
}

// ---- a run

Lending::Lending(Program::Plan& plan, std::span<const Argument> arguments) : plan_(plan) {
  for (size_t i = 0; i < arguments.size(); ++i)
    if (plan.lent[i]) plan.inputs[i].impl()->storage->data = arguments[i].data;
  for (const Result& r : plan.results)
    if (r.given) {
      Storage& storage = *r.tensor.impl()->storage;
      if (!storage.data) storage.data = allocate(storage.bytes);
    }
}

Lending::~Lending() {
  for (size_t i = 0; i < plan_.inputs.size(); ++i)
    if (plan_.lent[i]) plan_.inputs[i].impl()->storage->data = nullptr;
}

Tensors Program::Plan::shown_results() const {
  Tensors shown;
  for (const Result& r : results) shown.push_back(r.tensor.defined() ? r.tensor : inputs[r.place]);
  return shown;
}

namespace {

// The caller's tensor, for what is no plain block of bytes.
Tensor tensor_of(const Argument& a) {
  return Tensor::wrap(
      a.data, Dims(a.shape, static_cast<size_t>(a.dim)),
      Dims(a.strides, static_cast<size_t>(a.dim)), a.dtype, [](void*) {}, nullptr);
}

}  // namespace

void take_in(const Tensor& to, const Argument& from) {
  if (to.is_dense())
    std::memcpy(to.raw(), from.data, bytes_of(to));
  else
    copy(to, tensor_of(from));
}

namespace {

// A result in memory that nobody else has.
Tensor given_out(const Result& r, std::map<const Storage*, Ref<Storage>>& copies) {
  const Tensor& t = r.tensor;
  if (r.given) {
    Tensor result = t.detach();
    Storage& storage = *t.impl()->storage;
    result.impl()->storage = Ref<Storage>(
        new Storage(std::exchange(storage.data, nullptr), storage.bytes, nullptr, nullptr));
    return result;
  }
  if (!r.whole) {
    Tensor result = Tensor::empty_strided(t.shape(), t.strides(), t.dtype());
    if (t.numel() > 0) std::memcpy(result.raw(), t.raw(), bytes_of(t));
    return result;
  }
  Ref<Storage>& storage = copies[t.impl()->storage.get()];
  if (!storage) {
    storage = Ref<Storage>(new Storage(t.impl()->storage->bytes));
    std::memcpy(storage->data, t.impl()->storage->data, storage->bytes);
  }
  Tensor result = t.detach();
  result.impl()->storage = storage;
  return result;
}

}  // namespace

void Program::Plan::compute(std::span<const Argument> arguments) {
  const Running running;
  const Lending lending(*this, arguments);
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!lent[i]) take_in(inputs[i], arguments[i]);
  run(calls);
}

// One after the other, each sharing its own loop between threads that stay awake in between. That
// costs 0.3 us a loop (see grain.h), of five in the 63 us of a step of 784-128-10: all that a team
// which walked through the list by itself could save.
void Program::Plan::run(const std::vector<Prepared>& list) {
  const Running running;
  const bool chooses = nanoseconds > kWorthChoosing && max_workers() > 1;
  if (!chooses) {
    for (const Prepared& call : list) call();
    return;
  }
  const InOneThread one(choice.in_one_thread());
  const auto start = std::chrono::steady_clock::now();
  for (const Prepared& call : list) call();
  choice.note(std::chrono::steady_clock::now() - start);
}

void Program::Plan::look_ahead() {
  if (std::exchange(looked_ahead, true)) return;
  try {
    ahead = Ahead::of(*this);
  } catch (const std::exception&) {  // no memory for it: steps do without
  }
}

void Program::Plan::publish() {
  // Nobody else writes there at the same time, or values would clash and not only their count.
  for (Storage* const storage : changed)
    storage->version.store(storage->version.load(std::memory_order_relaxed) + 1,
                           std::memory_order_relaxed);
  for (const LeafGradient& g : leaves) {
    Tensor& held = autograd_meta(*g.leaf).grad;
    if (!g.after)
      held = Tensor();
    else if (!held.same(**g.after))
      held = **g.after;
  }
}

void Program::Plan::finish(std::span<const Argument> arguments, Tensors* out) {
  publish();
  for (size_t i = 0; i < arguments.size(); ++i)
    if (written[i]) copy(tensor_of(arguments[i]), inputs[i]);
  std::map<const Storage*, Ref<Storage>> copies;
  for (const Result& r : results)
    out->push_back(r.kind == Result::made ? given_out(r, copies)
                                          : (r.kind == Result::held ? r.tensor : Tensor()));
}

// Gradients are as the function's clearing would have left them, not half of this step's.
void Program::Plan::give_up() {
  for (const LeafGradient& g : leaves)
    if (g.any_before) autograd_meta(*g.leaf).grad = Tensor();
}

void Program::Plan::take_from(const Tensors& given, Tensors* out) const {
  for (size_t i = 0; i < out->size(); ++i) {
    const Result& r = results[i];
    if (r.kind != Result::input) continue;
    const Tensor& from = given[r.place];
    (*out)[i] = r.tensor.defined() ? from.alias(r.tensor.shape(), r.tensor.strides(),
                                                from.impl()->offset + r.tensor.impl()->offset)
                                   : from;
  }
}

bool Program::Plan::is_plain() const {
  return std::none_of(written.begin(), written.end(), [](bool w) { return w; }) &&
         std::all_of(results.begin(), results.end(),
                     [](const Result& r) { return r.kind == Result::made && !r.whole; });
}

// ---- Program

Program::Program(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;
Program::~Program() = default;

const Tensors& Program::first() const { return plan_->first; }
std::size_t Program::size() const { return plan_->instructions.size(); }
std::size_t Program::arena_bytes() const { return plan_->arena.bytes(); }

namespace {

void check(const Program::Plan& plan, const Tensors& given) {
  if (given.size() != plan.inputs.size())
    fail(ErrorKind::value, "[replay] expected ", plan.inputs.size(), " inputs, got ", given.size());
  for (size_t i = 0; i < given.size(); ++i)
    if (!given[i].defined() || given[i].shape() != plan.inputs[i].shape() ||
        given[i].dtype() != plan.inputs[i].dtype())
      fail(ErrorKind::shape, "[replay] expected input ", i, " as recorded, ",
           to_string(plan.inputs[i].shape()), " ", name_of(plan.inputs[i].dtype()), ", got ",
           given[i].defined() ? to_string(given[i].shape()) + " " + name_of(given[i].dtype())
                              : "None");
}

}  // namespace

Tensors Program::replay(const Tensors& inputs) {
  Plan& plan = *plan_;
  check(plan, inputs);
  forbid_while_recording("a replay");
  Tensors given = inputs;
  SmallVector<Argument, 8> arguments;
  for (size_t i = 0; i < given.size(); ++i) {
    if (!alike(argument_of(given[i]), plan.inputs[i])) {
      given[i] = Tensor::empty_strided(plan.inputs[i].shape(), plan.inputs[i].strides(),
                                       plan.inputs[i].dtype());
      copy(given[i], inputs[i]);
    }
    arguments.push_back(argument_of(given[i]));
  }
  const std::span<const Argument> all(arguments.begin(), arguments.size());
  if (!plan.keeps_apart(all))
    fail(ErrorKind::value, "[replay] expected inputs that share no memory with one another, where ",
         "one is changed in place, or with what the program writes to; clone() them first");
  const std::lock_guard<std::mutex> turn(turn_of(plan));
  Tensors results;
  try {
    plan.compute(all);
  } catch (...) {
    plan.give_up();
    throw;
  }
  plan.finish(all, &results);
  plan.take_from(given, &results);
  return results;
}

}  // namespace ranvier
