// How many threads a process uses, and in which arithmetic; see parallel.h.
#include "core/parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>
#include <utility>

#include "core/aside.h"
#include "core/cpus.h"
#include "core/parallel_team.h"
#include "ranvier/config.h"
#include "ranvier/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ranvier {

constinit thread_local bool inside_team = false;

namespace {

std::atomic<int64_t> forced_grain{0};

// A whole number above 0, or 0 where the variable is not set. Another library's variable with
// another meaning (OMP_NUM_THREADS=4,2) is passed over; one of ours must be right.
int64_t number_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (!text || !*text) return 0;
  char* end = nullptr;
  const int64_t value = std::strtoll(text, &end, 10);
  if (*end == '\0' && value > 0) return value;
  if (std::string(variable).starts_with("RANVIER_"))
    fail(ErrorKind::value, "[", variable, "] expected a whole number above 0, got '", text, "'");
  return 0;
}

int default_threads() {
  for (const char* variable : {"RANVIER_NUM_THREADS", "OMP_NUM_THREADS"})
    if (const int64_t n = number_from(variable))
      return static_cast<int>(std::min<int64_t>(n, kMaxThreads));
  return usable_cpus(affinity_cpus(), quota_cpus());
}

std::atomic<int>& threads() {
  static std::atomic<int> count = [] {
    forced_grain = number_from("RANVIER_GRAIN");
    return default_threads();
  }();
  return count;
}

#if defined(__x86_64__)
constexpr unsigned kIeee = 0x1f80, kFlags = 0x3f;  // MXCSR: all exceptions masked; sticky flags
#endif

}  // namespace

#if defined(__x86_64__)
IeeeArithmetic::IeeeArithmetic() : before_(_mm_getcsr()) {
  if ((before_ & ~kFlags) != kIeee) _mm_setcsr(kIeee);
}
IeeeArithmetic::~IeeeArithmetic() {
  if ((before_ & ~kFlags) != kIeee) _mm_setcsr(before_);
}
#else
IeeeArithmetic::IeeeArithmetic() = default;
IeeeArithmetic::~IeeeArithmetic() = default;
#endif

int64_t grain(int64_t preferred) {
  const int64_t forced = forced_grain.load(std::memory_order_relaxed);
  return forced > 0 ? forced : preferred;
}

int64_t items_a_piece(int64_t n, int64_t cost, int64_t amount) {
  const int64_t least = std::max<int64_t>(grain(amount) / std::max<int64_t>(cost, 1), 1);
  if (least == 1) return 1;
  if (n < 2 * least) return std::max<int64_t>(n, 1);
  const int64_t pieces = n / least / 2 * 2, items = (n + pieces - 1) / pieces;
  // Where many items are adjacent, a piece begins with a cache line, whatever their size.
  return items < 1024 ? items : (items + 63) / 64 * 64;
}

void set_grain(int64_t n) {
  threads();  // the first call reads the environment; it must not overwrite this one later
  forced_grain = std::max<int64_t>(n, 0);
}

int num_threads() { return threads(); }

void set_num_threads(int n) {
  if (n < 1) fail(ErrorKind::value, "[set_num_threads] expected at least 1 thread, got ", n);
  threads() = std::min(n, kMaxThreads);
}

std::string thread_team() { return team_name(); }

int max_workers() { return inside_team ? 1 : num_threads(); }

InOneThread::InOneThread(bool wanted) : before_(inside_team) { inside_team |= wanted; }
InOneThread::~InOneThread() { inside_team = before_; }

void Aside::offer(void (*run)(void*), void* context) {
  drop();
  run_ = run;
  context_ = context;
  pending_ = true;
  const auto chunk = [](void* me, int64_t, int) {
    const auto& aside = *static_cast<const Aside*>(me);
    aside.run_(aside.context_);
  };
  if (max_workers() > 1) offered_ = offer_aside(chunk, this);
}

void Aside::wait() {
  if (!std::exchange(pending_, false)) return;
  void* const offered = std::exchange(offered_, nullptr);
  if (offered && !take_back(offered)) return;
  const IeeeArithmetic ieee;
  if (offered) return run_unshared([this] { run_(context_); });
  run_(context_);
}

void Aside::drop() {
  pending_ = false;
  if (void* const offered = std::exchange(offered_, nullptr)) {
    try {
      take_back(offered);
    } catch (...) {  // of work that nobody asks for any more
    }
  }
}

void run_alone(int64_t chunks, ChunkFunction run, void* context) {
  const IeeeArithmetic ieee;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) run(context, chunk, 0);
}

void parallel_chunks(int64_t chunks, int workers, ChunkFunction run, void* context) {
  const auto team = static_cast<int>(std::min<int64_t>({workers, chunks, kMaxThreads}));
  if (team <= 1 || inside_team) return run_alone(chunks, run, context);
  run_in_team(chunks, team, run, context);
}

}  // namespace ranvier
