// Recording: see ranvier/program.h. What the function does is written down while it runs as usual;
// replay.cpp runs it again.
#include <algorithm>

#include "autograd/node.h"
#include "core/recording.h"
#include "core/structure.h"
#include "program/listing.h"
#include "program/plan.h"
#include "program/recorder.h"

namespace ranvier {

Recorder*& recorder() {
  thread_local Recorder* current = nullptr;
  return current;
}

void Recorder::note_gradient(const Tensor& leaf, Event event) {
  size_t& place = places[leaf.impl()];
  if (place == 0) {
    leaves.push_back({leaf, leaf.impl()->autograd ? leaf.impl()->autograd->grad : Tensor(),
                      event == Event::clear, false});
    place = leaves.size();
  }
  if (event == Event::write) leaves[place - 1].written = true;
}

bool end_recording(const char* what, bool read) {
  Recorder* const r = recorder();
  if (!r || !(read ? r->may_end_by_read : r->may_end)) return false;
  r->ended = read ? std::string("it reads a value by ") + what : std::string("it ") + what;
  if (const Place place = current_place ? current_place() : nullptr) r->ended += " in " + *place;
  recorder() = nullptr;
  recording = false;
  return true;
}

namespace {

class Recording {
 public:
  explicit Recording(Recorder* r) {
    static std::atomic<uint32_t> count{0};
    if (recorder()) fail(ErrorKind::runtime, "[record] expected one recording at a time");
    recorder() = r;
    recording = true;
    do recording_number = ++count & ~kMadeAnew;
    while (recording_number == 0);
  }
  ~Recording() {
    recorder() = nullptr;
    recording = false;
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
};

bool same_storage(const Tensor& a, const Tensor& b) {
  return a.impl()->storage == b.impl()->storage;
}

// A graph that goes on behind a result: a replay could not give it.
bool has_graph(const Tensor& t) {
  return requires_grad(t) && !is_leaf(t) && !autograd_meta(t).node->released;
}

// Turns a recorder's list into a plan. Says why not in `reason`.
class Planner {
 public:
  Planner(Recorder& recorder, const Tensors& inputs, const Tensors& results)
      : recorder_(recorder), inputs_(inputs), results_(results) {}

  std::unique_ptr<Program::Plan> plan();
  std::string reason;

 private:
  bool refuses();
  void settle_leaves();
  void settle_results();
  void watch();
  bool leaks();
  bool was_made(const Tensor& t) const {
    return made_.contains(t.impl()->storage.get()) || is_anew(*t.impl()->storage);
  }
  // Memory that the function made by itself, and instructions wrote.
  static bool is_anew(const Storage& storage) {
    return storage.unrecorded == (recording_number | kMadeAnew);
  }
  bool is_constant(const Tensor& t) const {
    return t.impl()->storage->unrecorded == recording_number;
  }
  int input_of(const Tensor& t) const {
    for (size_t i = 0; i < inputs_.size(); ++i)
      if (same_storage(inputs_[i], t)) return static_cast<int>(i);
    return -1;
  }

  Recorder& recorder_;
  const Tensors &inputs_, &results_;
  PointerMap<Storage, bool> made_;  // by instructions
  std::unique_ptr<Program::Plan> plan_;
};

bool Planner::refuses() {
  if (!recorder_.ended.empty()) {
    reason = recorder_.ended;
    return true;
  }
  for (const Tensor& t : results_)
    if (has_graph(t)) {
      reason =
          "a result still has a graph for backward(); call backward() inside, or use no_grad()";
      return true;
    }
  for (const Tensor& t : inputs_)
    if (requires_grad(t)) {
      reason = "an argument requires a gradient";
      return true;
    }
  for (const Instruction& step : recorder_.instructions)
    for (const Tensor& t : step.outputs)
      if (t.impl()->autograd && t.impl()->autograd->retains_grad) {
        reason = "retain_grad() keeps a gradient";
        return true;
      }
  for (const LeafUse& use : recorder_.leaves) {
    const AutogradMeta* const m = use.leaf.impl()->autograd.get();
    if (m && m->grad.defined() && requires_grad(m->grad)) {
      reason = "a gradient has a graph of its own";
      return true;
    }
  }
  return false;
}

void Planner::settle_leaves() {
  for (LeafUse& use : recorder_.leaves) {
    const Tensor now = grad(use.leaf);
    const bool made = now.defined() && was_made(now) && use.written;
    LeafGradient entry{Held(use.leaf), {}, {}, use.cleared, made};
    if (!use.cleared && use.before.defined()) entry.before.emplace(use.before);
    if (now.defined()) entry.after.emplace(now);
    plan_->leaves.push_back(std::move(entry));
  }
}

void Planner::settle_results() {
  for (const Tensor& t : results_) {
    const int from = input_of(t);
    if (from >= 0)
      plan_->results.push_back({Result::input, static_cast<size_t>(from),
                                t.same(inputs_[static_cast<size_t>(from)]) ? Tensor() : t});
    else if (was_made(t) || is_constant(t))
      plan_->results.push_back({Result::made, 0, t});
    else
      plan_->results.push_back({Result::held, 0, t});
  }
}

// What was there before and is read: its place in a graph decided what was recorded.
void Planner::watch() {
  PointerMap<TensorImpl, bool> seen;
  const auto add = [&](const Tensor& t) {
    if (!t.defined() || was_made(t) || is_constant(t) || input_of(t) >= 0) return;
    if (seen.contains(t.impl()) || !is_leaf(t)) return;
    seen[t.impl()] = true;
    const AutogradMeta* const m = t.impl()->autograd.get();
    if (m && m->hooks && !m->hooks->empty() && reason.empty()) reason = "a tensor has a hook";
    t.impl()->watched.store(true, std::memory_order_relaxed);
    plan_->watched.push_back({Held(t), requires_grad(t), t.shape(), t.strides()});
  };
  for (const LeafUse& use : recorder_.leaves) add(use.leaf);
  for (const Instruction& step : recorder_.instructions)
    for (const Tensor& t : step.inputs) add(t);
}

// Whether somebody outside keeps a tensor that the function made: a replay would write into it.
bool Planner::leaks() {
  Tensors outside = inputs_;
  for (const Tensor& t : results_) outside.push_back(t);
  for (const LeafUse& use : recorder_.leaves)
    if (const Tensor g = grad(use.leaf); g.defined()) outside.push_back(g);
  MemoryUses uses(recorder_.instructions, {});
  PointerMap<Storage, bool> known;
  for (const Tensor& t : outside) known[t.impl()->storage.get()] = true;
  for (const auto& [storage, use] : uses.all())
    if ((use.made_by >= 0 || is_anew(*storage)) && use.kept && !known.contains(storage))
      return true;
  return false;
}

std::unique_ptr<Program::Plan> Planner::plan() {
  if (refuses()) return nullptr;
  for (const Instruction& step : recorder_.instructions)
    if (runs(step))
      for (const Tensor& t : step.outputs) made_[t.impl()->storage.get()] = true;
  plan_ = std::make_unique<Program::Plan>();
  plan_->inputs = inputs_;
  settle_leaves();
  settle_results();
  watch();
  if (!reason.empty()) return nullptr;
  // The graph has done its work; results must not keep it alive.
  for (const Instruction& step : recorder_.instructions)
    for (const Tensor& t : step.outputs)
      if (!is_leaf(t)) t.impl()->autograd.reset();
  plan_->leaking = leaks();
  Tensors outside = inputs_;
  for (const Tensor& t : results_) outside.push_back(t);
  for (const LeafGradient& g : plan_->leaves) {
    outside.push_back(*g.leaf);
    for (const auto* t : {&g.before, &g.after})
      if (*t) outside.push_back(***t);
  }
  plan_->instructions = std::move(recorder_.instructions);
  recorder_.leaves.clear();
  optimize(plan_->instructions, outside);
  Chains chains(plan_->instructions, outside);
  MemoryUses uses(plan_->instructions, outside);
  // What lives at the same time in chains must not need more memory than they save.
  if (chains.size() > 0 && Arena::bytes_for(uses, chains) <= Arena::bytes_for(uses, {}))
    plan_->chains = std::move(chains);
  plan_->arena = Arena(uses, plan_->chains);
  if (!plan_->adopt(uses)) {
    reason = "it looks at memory beside its arguments";
    return nullptr;
  }
  plan_->prepare();
  return std::move(plan_);
}

}  // namespace

namespace {

// Arguments that share memory under handles that do not, so that it is known which of them a part
// of that memory was meant to be.
Tensors told_apart(const Tensors& given) {
  Tensors apart = given;
  for (size_t i = 1; i < given.size(); ++i) {
    const Tensor& t = given[i];
    if (std::none_of(given.begin(), given.begin() + i,
                     [&](const Tensor& other) { return same_storage(other, t); }))
      continue;
    apart[i] = Tensor::wrap(
        t.raw(), t.shape(), t.strides(), t.dtype(),
        [](void* owner) { delete static_cast<Tensor*>(owner); }, new Tensor(t));
    apart[i].impl()->storage->read_only = t.impl()->storage->read_only;
    apart[i].impl()->storage->unrecorded = 0;
  }
  return apart;
}

}  // namespace

Recorded record_plan(const std::function<Tensors(const Tensors&)>& function, const Tensors& given,
                     const RecordOptions& options) {
  const Tensors inputs = told_apart(given);
  Recorded recorded;
  Recorder recorder;
  recorder.may_end = options.may_end;
  recorder.may_end_by_read = options.may_end_by_read;
  {
    const Recording now(&recorder);
    recorded.results = function(inputs);
  }
  try {
    if (options.cuts_graphs)
      for (Tensor& t : recorded.results) t = t.detach();
    Planner planner(recorder, inputs, recorded.results);
    recorded.plan = planner.plan();
    recorded.reason = planner.reason;
  } catch (const Error& error) {  // no memory for it, mostly
    recorded.reason = error.what();
  } catch (const std::bad_alloc&) {
    recorded.reason = "there is no memory for it";
  }
  return recorded;
}

Listing record_listing(const std::function<Tensors(const Tensors&)>& function,
                       const Tensors& inputs) {
  Recorder recorder;
  recorder.may_end = recorder.may_end_by_read = true;
  Listing listing;
  {
    const Recording now(&recorder);
    listing.results = function(inputs);
  }
  listing.steps = std::move(recorder.instructions);
  listing.ended = std::move(recorder.ended);
  return listing;
}

Program Program::record(const std::function<Tensors(const Tensors&)>& function,
                        const Tensors& inputs) {
  Tensors copies;
  for (const Tensor& t : inputs) copies.push_back(clone(t.detach()));
  Recorded recorded = record_plan(function, copies, {.cuts_graphs = true});
  if (!recorded.plan)
    fail(ErrorKind::runtime, "[record] expected a function that can be run again without it, got ",
         "one of which ", recorded.reason);
  for (const LeafGradient& g : recorded.plan->leaves)
    if (!g.any_before && !g.before && g.after)
      fail(ErrorKind::runtime, "[record] expected the gradient of ", to_string(g.leaf->shape()),
           " to be cleared within the recorded function; call optimizer.zero_grad() in it");
  recorded.plan->first = recorded.results;
  return Program(std::move(recorded.plan));
}

}  // namespace ranvier
