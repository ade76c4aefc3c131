// Loops in threads of our own, which live beside other libraries' threads, survive fork and can be
// checked by the thread sanitizer; see parallel_team.h.
//
// A loop is offered in a slot; whoever has time claims some of its chunks. The caller runs every
// chunk that nobody claimed and waits only for those that somebody did, so that a worker which
// sleeps, or which a busy machine does not let run, costs nothing. Workers without work look for
// some for a few milliseconds, then sleep.
#if defined(RANVIER_POOL)

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "core/cpus.h"
#include "core/parallel.h"
#include "core/parallel_team.h"
#include "ranvier/config.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ranvier {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr microseconds kIdleSpin{5000};  // shorter, and a call every few milliseconds runs alone
constexpr microseconds kShortSpin{100};  // of workers that processors or quota do not suffice for
constexpr microseconds kWaitSpin{100};   // of a caller for a chunk that a worker has begun
// To wake a sleeping worker costs the caller 10 to 20 us, and it comes 30 to 80 us later: only for
// work that has lasted this long, without gaps of kNoGap.
constexpr microseconds kWorthWaking{120};
constexpr microseconds kNoGap{1000};
constexpr int64_t kPatience = 8;  // pauses without a loop after which a worker takes other work
constexpr int kSlots = 4;  // loops at the same time, of several callers; a further one runs alone

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks at the clock now and then: how long a pause takes differs tenfold between processors.
class Spin {
 public:
  explicit Spin(microseconds limit) : limit_(limit) {}
  // Pauses; false once the time is over.
  bool again() {
    pause();
    if (++pauses_ % 64 != 0) return true;
    const auto now = Clock::now();
    if (pauses_ == 64) end_ = now + limit_;
    return now < end_;
  }
  int64_t pauses() const { return pauses_; }

 private:
  microseconds limit_;
  Clock::time_point end_;
  int64_t pauses_ = 0;
};

// The word of a slot: loops offered so far, members of the team, chunks that nobody has claimed.
// One compare-and-swap claims chunks. The number of the loop is what makes it safe: a thread that
// held up its claim while the loop ended and others came and went cannot claim a chunk of those,
// unless exactly a multiple of 2^33 came meanwhile.
constexpr int kChunkBits = 20, kMemberBits = 11;
constexpr uint64_t kOneMember = uint64_t{1} << kChunkBits;
constexpr uint64_t kOneLoop = uint64_t{1} << (kChunkBits + kMemberBits);
constexpr int64_t kMaxChunks = (int64_t{1} << kChunkBits) - 1;
static_assert(kMaxThreads < 1 << kMemberBits);

int64_t unclaimed(uint64_t word) { return static_cast<int64_t>(word & (kOneMember - 1)); }
int members(uint64_t word) { return static_cast<int>((word & (kOneLoop - 1)) >> kChunkBits); }

// One loop on offer. The owner writes the description while nothing is unclaimed, which nobody
// acts upon: a claim succeeds only if the word is still what it was before the description was
// read. (Release and acquire on its members, not fences: the thread sanitizer knows no fences.)
struct alignas(64) Slot {
  std::atomic<uint64_t> word{0};
  std::atomic<ChunkFunction> run{nullptr};
  std::atomic<void*> context{nullptr};
  std::atomic<int64_t> first{0}, total{0};
  std::atomic<int> team{0};
  std::atomic<bool> waits{false};  // for a worker that has had nothing to do for a while

  alignas(64) std::atomic<uint32_t> done{0};  // chunks that workers have run; and kCallerSleeps
  std::atomic<bool> taken{false}, failed{false};
  std::exception_ptr error;
};
constexpr uint32_t kCallerSleeps = uint32_t{1} << 31;

// How many chunks to claim at once: fewer and fewer, so that all end together. One at a time the
// claims would meet on the slot's cache line, which costs most of a microsecond where two
// processors are far from each other.
int64_t share(int64_t left, int team) { return std::max<int64_t>(left / (4 * team), 1); }

struct Chunks {
  int64_t first = 0, count = 0;
  explicit operator bool() const { return count > 0; }
};

// Claims more chunks of a loop that this thread belongs to; none when all are claimed.
Chunks claim(Slot& slot) {
  const int team = slot.team.load(std::memory_order_relaxed);
  uint64_t word = slot.word.load(std::memory_order_acquire);
  while (const int64_t left = unclaimed(word)) {
    const int64_t count = share(left, team);
    if (slot.word.compare_exchange_weak(word, word - static_cast<uint64_t>(count),
                                        std::memory_order_acq_rel, std::memory_order_acquire))
      return {slot.total.load(std::memory_order_relaxed) - left, count};
  }
  return {};
}

// Claims what is left, so that nobody runs it.
int64_t claim_rest(Slot& slot) {
  uint64_t word = slot.word.load(std::memory_order_acquire);
  while (!slot.word.compare_exchange_weak(word, word - (word & (kOneMember - 1)),
                                          std::memory_order_acq_rel, std::memory_order_acquire)) {
  }
  return unclaimed(word);
}

// Runs claimed chunks; returns how many are settled by that.
int64_t settle(Slot& slot, const Chunks& chunks, int member) {
  const ChunkFunction run = slot.run.load(std::memory_order_relaxed);
  void* const context = slot.context.load(std::memory_order_relaxed);
  const int64_t begin = slot.first.load(std::memory_order_relaxed) + chunks.first;
  try {
    for (int64_t i = 0; i < chunks.count; ++i) run(context, begin + i, member);
    return chunks.count;
  } catch (...) {
    if (!slot.failed.exchange(true)) slot.error = std::current_exception();
    return chunks.count + claim_rest(slot);
  }
}

// Joins the loop of the slot, if there is one with room, and works until nothing is left to claim.
bool help(Slot& slot, bool idle) {
  if (!idle && slot.waits.load(std::memory_order_relaxed)) return false;
  uint64_t word = slot.word.load(std::memory_order_acquire);
  Chunks mine;
  do {
    const int64_t left = unclaimed(word);
    if (left == 0) return false;
    const int team = slot.team.load(std::memory_order_acquire);
    if (members(word) >= team) return false;
    mine = {slot.total.load(std::memory_order_acquire) - left, share(left, team)};
  } while (!slot.word.compare_exchange_weak(word,
                                            word + kOneMember - static_cast<uint64_t>(mine.count),
                                            std::memory_order_acq_rel, std::memory_order_acquire));
  const IeeeArithmetic ieee;
  int64_t settled = 0;
  for (; mine; mine = claim(slot)) settled += settle(slot, mine, members(word));
  const uint32_t before =
      slot.done.fetch_add(static_cast<uint32_t>(settled), std::memory_order_acq_rel);
  if (before & kCallerSleeps) slot.done.notify_one();
  return true;
}

// Waits until workers have run `count` chunks. The caller sleeps where that takes long: the kernel
// then moves a worker that another process keeps off its processor to the caller's.
void wait_for(Slot& slot, uint32_t count) {
  for (Spin spin(kWaitSpin); spin.again();)
    if (slot.done.load(std::memory_order_acquire) == count) return;
  uint32_t seen = slot.done.fetch_or(kCallerSleeps, std::memory_order_acq_rel) | kCallerSleeps;
  while (seen != (count | kCallerSleeps)) {
    slot.done.wait(seen, std::memory_order_acquire);
    seen = slot.done.load(std::memory_order_acquire);
  }
}

// The processor that this thread is on.
void note_cpu([[maybe_unused]] std::atomic<int>& where) {
#if defined(__linux__)
  const int cpu = sched_getcpu();
  if (where.load(std::memory_order_relaxed) != cpu) where.store(cpu, std::memory_order_relaxed);
#endif
}

// While it lives the calling thread, a worker, keeps off a processor. The kernel would wake it
// where the caller runs, to wait there for milliseconds while other processors are idle.
class AwayFrom {
 public:
#if defined(__linux__)
  explicit AwayFrom(int cpu) {
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof before_, &before_) != 0)
      return;
    set_ = before_;
    CPU_CLR(cpu, &set_);
    changed_ = CPU_COUNT(&set_) > 0 && sched_setaffinity(0, sizeof set_, &set_) == 0;
  }
  ~AwayFrom() {
    cpu_set_t now;  // another program may have bound this thread meanwhile
    if (changed_ && sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, &set_))
      sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_, set_;
  bool changed_ = false;
#else
  explicit AwayFrom(int) {}
#endif
};

// What affinity and quota leave to this process, in processors.
double allowed_cpus() {
  const double quota = quota_cpus(), bound = affinity_cpus();
  return quota > 0 ? std::min(quota, bound) : bound;
}

// A worker's thread is not for the program's signals; those of its own faults stay.
class SignalsBlocked {
 public:
#if defined(__linux__)
  SignalsBlocked() {
    sigset_t most;
    sigfillset(&most);
    for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGPROF})
      sigdelset(&most, own);
    pthread_sigmask(SIG_BLOCK, &most, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
#else
  SignalsBlocked() {}  // not trivial, so that an unused one is no warning
#endif
};

struct alignas(64) Worker {
  std::atomic<uint32_t> asleep{0};
  std::thread thread;
};

class Pool {
 public:
  // As many workers as a team wants, or as many as the system gives.
  void grow(int workers);
  // Ends and joins all of them. Loops go on, without workers.
  void stop();
  // A slot for the caller alone, or null.
  Slot* take_slot();
  // Offers a loop and works on it until it is done.
  void run(Slot& slot, int64_t chunks, int team);
  // The first half of that.
  void offer(Slot& slot, int64_t chunks, int team);
  // Work of the caller that `wanted` workers sleep through; it calls its argument now and then.
  template <class Work>
  void run_alone(int wanted, Work&& work);

  Pool* older = nullptr;  // dropped before this one

 private:
  void work(int index);
  bool help_anybody(int index, bool idle);
  void sleep(Worker& me);
  void wake(int wanted);

  Slot slots_[kSlots];
  std::atomic<int> size_{0}, asleep_{0}, most_{kMaxThreads};
  std::atomic<bool> stopped_{false};
  // Loops that workers slept through: when the last one ended, how long those in a row took.
  std::atomic<Clock::rep> alone_until_{0}, alone_for_{0};
  std::atomic<int> caller_cpu_{-1};  // where the last loop was offered
  const double cpus_ = allowed_cpus();
  std::mutex mutex_;
  std::unique_ptr<Worker> workers_[kMaxThreads];
};

void Pool::grow(int workers) {
  if (size_.load(std::memory_order_acquire) >= std::min(workers, most_.load())) return;
  const std::lock_guard lock(mutex_);
  const SignalsBlocked blocked;
  for (int i = size_; i < workers && !stopped_; ++i) {
    try {
      workers_[i] = std::make_unique<Worker>();
      workers_[i]->thread = std::thread([this, i] { work(i); });
    } catch (const std::exception&) {  // no more threads: those that there are will do
      workers_[i].reset();
      most_ = i;
      return;
    }
    size_.store(i + 1, std::memory_order_release);
  }
}

void Pool::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  wake(size_);
  for (int i = 0; i < size_; ++i)
    if (workers_[i]->thread.get_id() != std::this_thread::get_id()) workers_[i]->thread.join();
}

Slot* Pool::take_slot() {
  for (Slot& slot : slots_)
    if (!slot.taken.load(std::memory_order_relaxed) &&
        !slot.taken.exchange(true, std::memory_order_acquire))
      return &slot;
  return nullptr;
}

void Pool::offer(Slot& slot, int64_t chunks, int team) {
  slot.done.store(0, std::memory_order_relaxed);
  slot.total.store(chunks, std::memory_order_release);
  slot.team.store(team, std::memory_order_release);
  const uint64_t loop = slot.word.load(std::memory_order_relaxed) / kOneLoop + 1;
  slot.word.store(loop * kOneLoop + kOneMember + static_cast<uint64_t>(chunks),
                  std::memory_order_release);
  note_cpu(caller_cpu_);
}

template <class Work>
void Pool::run_alone(int wanted, Work&& work) {
  const auto now = [] { return Clock::now().time_since_epoch(); };
  const auto begin = now();
  const bool in_a_row = begin - Clock::duration(alone_until_) < kNoGap;
  const auto before = Clock::duration(in_a_row ? alone_for_.load() : 0);
  bool woken = false;
  work([&] {
    if (woken || before + (now() - begin) < kWorthWaking) return;
    woken = true;
    wake(wanted);
  });
  alone_until_ = now().count();
  alone_for_ = woken ? 0 : (before + (now() - begin)).count();
}

void Pool::run(Slot& slot, int64_t chunks, int team) {
  offer(slot, chunks, team);
  const int wanted = std::min(team - 1, size_.load(std::memory_order_relaxed));
  int64_t settled = 0;
  const auto work = [&](auto&& between) {
    while (const Chunks mine = claim(slot)) {
      settled += settle(slot, mine, 0);
      between();
    }
  };
  if (size_.load(std::memory_order_relaxed) - asleep_ < wanted)
    run_alone(wanted, work);
  else
    work([] {});
  if (settled < chunks) wait_for(slot, static_cast<uint32_t>(chunks - settled));
}

void Pool::wake(int wanted) {
  for (int i = 0; i < std::min(size_.load(), wanted); ++i) {
    Worker& worker = *workers_[i];
    if (!worker.asleep || worker.asleep.exchange(0) == 0) continue;
    --asleep_;
    worker.asleep.notify_one();
  }
}

void Pool::sleep(Worker& me) {
  const AwayFrom caller(caller_cpu_);
  me.asleep = 1;
  ++asleep_;
  if (stopped_ && me.asleep.exchange(0) == 1) --asleep_;
  me.asleep.wait(1);
}

bool Pool::help_anybody(int index, bool idle) {
  for (int i = 0; i < kSlots; ++i)
    if (help(slots_[(index + i) % kSlots], idle)) return true;
  return false;
}

void Pool::work(int index) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "ranvier");
#endif
  inside_team = true;
  // With the caller and the workers before it, it would need more processors than there are.
  const bool too_many = index + 2 > cpus_;
  while (!stopped_) {
    const bool spare = index + 2 > num_threads();  // the setting has come down
    Spin spin(spare ? microseconds(0) : too_many ? kShortSpin : kIdleSpin);
    bool helped = false;
    while (!(helped = help_anybody(index, spin.pauses() >= kPatience)) && !stopped_ &&
           spin.again()) {
    }
    if (!helped) sleep(*workers_[index]);
  }
}

// The pool of this process. Never destroyed: loops may run while the process ends.
std::atomic<Pool*> pool{nullptr};

// A child of fork has none of the workers; its first loop makes a new pool. What is dropped stays
// in reach, so that no leak checker takes it for lost.
Pool* dropped = nullptr;

const bool watching = [] {
#if defined(__linux__)
  pthread_atfork(nullptr, nullptr, [] {
    if (Pool* const old = pool.exchange(nullptr)) old->older = std::exchange(dropped, old);
  });
#endif
  return true;
}();

Pool& the_pool() {
  if (Pool* const made = pool.load(std::memory_order_acquire)) return *made;
  auto mine = std::make_unique<Pool>();
  Pool* first = nullptr;
  if (!pool.compare_exchange_strong(first, mine.get())) return *first;
  // Workers end before the code that they run is unloaded, at exit or by dlclose.
  static std::atomic<bool> registered{false};
  if (!registered.exchange(true))
    std::atexit([] {
      if (Pool* const last = pool) last->stop();
    });
  return *mine.release();
}

void describe(Slot& slot, ChunkFunction run, void* context, bool waits) {
  slot.waits.store(waits, std::memory_order_relaxed);
  slot.run.store(run, std::memory_order_release);
  slot.context.store(context, std::memory_order_release);
}

// Gives a slot back; throws what its loop threw.
void release(Slot& slot) {
  std::exception_ptr error;
  if (slot.failed) {
    error = std::exchange(slot.error, nullptr);
    slot.failed = false;
  }
  slot.taken.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
}

}  // namespace

const char* team_name() { return "pool"; }

void run_in_team(int64_t chunks, int team, ChunkFunction run, void* context) {
  static_cast<void>(watching);
  Pool& threads = the_pool();
  threads.grow(team - 1);
  Slot* const slot = threads.take_slot();
  if (!slot) return run_alone(chunks, run, context);
  {
    const IeeeArithmetic ieee;
    const InsideTeam inside;
    describe(*slot, run, context, false);
    for (int64_t first = 0; first < chunks && !slot->failed; first += kMaxChunks) {
      slot->first.store(first, std::memory_order_release);
      threads.run(*slot, std::min(kMaxChunks, chunks - first), team);
    }
  }
  release(*slot);
}

void* offer_aside(ChunkFunction run, void* context) {
  Pool& threads = the_pool();
  threads.grow(1);
  Slot* const slot = threads.take_slot();
  if (!slot) return nullptr;
  describe(*slot, run, context, true);
  slot->first.store(0, std::memory_order_release);
  threads.offer(*slot, 1, 2);
  return slot;
}

bool take_back(void* offered) {
  Slot& slot = *static_cast<Slot*>(offered);
  const bool untouched = claim_rest(slot) == 1;
  if (!untouched) wait_for(slot, 1);
  release(slot);
  return untouched;
}

void run_unshared(const std::function<void()>& work) {
  the_pool().run_alone(1, [&](auto&& between) {
    work();
    between();
  });
}

}  // namespace ranvier

#endif
