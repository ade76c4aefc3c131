// OpenMP behind parallel.h, and how many threads a process uses.
#include "core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <string>

#include "ranvier/config.h"
#include "ranvier/error.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ranvier {
namespace {

std::atomic<int64_t> forced_grain{0};
thread_local bool inside = false;

// A child of fork has libgomp's state but not its threads, and would wait for them for ever.
std::atomic<bool> forked{false};

// CPUs that a container's quota allows, or 0 for no limit: cgroup v2, then v1.
int quota_cpus() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0)
    return static_cast<int>((std::atof(quota.c_str()) + period - 1) / period);
  std::ifstream quota_v1("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_v1("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double us = 0;
  if (quota_v1 >> us && period_v1 >> period && us > 0 && period > 0)
    return static_cast<int>((us + period - 1) / period);
  return 0;
}

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
      return static_cast<int>(std::min<int64_t>(n, 1024));
  int cpus = omp_get_num_procs();
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
#endif
  const int quota = quota_cpus();
  return std::max(1, quota > 0 ? std::min(cpus, quota) : cpus);
}

std::atomic<int>& threads() {
  static std::atomic<int> count = [] {
    forced_grain = number_from("RANVIER_GRAIN");
#if defined(__linux__)
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif
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

void set_grain(int64_t n) {
  threads();  // the first call reads the environment; it must not overwrite this one later
  forced_grain = std::max<int64_t>(n, 0);
}

int num_threads() { return threads(); }

void set_num_threads(int n) {
  if (n < 1) fail(ErrorKind::value, "[set_num_threads] expected at least 1 thread, got ", n);
  threads() = std::min(n, 1024);
}

int max_workers() { return inside || forked ? 1 : num_threads(); }

void parallel_chunks(int64_t chunks, int workers, void (*run)(void*, int64_t, int), void* context) {
  const auto team = static_cast<int>(std::min<int64_t>(workers, chunks));
  if (team <= 1) {
    const IeeeArithmetic ieee;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) run(context, chunk, 0);
    return;
  }
  std::exception_ptr error;  // none may leave an OpenMP region
  std::atomic<bool> failed{false};
#pragma omp parallel num_threads(team)
  {
    const IeeeArithmetic ieee;
    inside = true;
#pragma omp for schedule(dynamic, 1) nowait
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      if (failed) continue;
      try {
        run(context, chunk, omp_get_thread_num());
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
    inside = false;
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace ranvier
