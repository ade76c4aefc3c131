// Loops in OpenMP's threads, for programs that use OpenMP beside this library; see parallel_team.h.
#if !defined(RANVIER_POOL)

#include <omp.h>

#include <atomic>
#include <exception>

#include "core/parallel.h"
#include "core/parallel_team.h"

#if defined(__linux__)
#include <pthread.h>
#endif

namespace ranvier {
namespace {

// A child of fork has libgomp's state but not its threads, and would wait for them for ever.
std::atomic<bool> forked{false};

bool watch_for_forks() {
#if defined(__linux__)
  pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif
  return true;
}

}  // namespace

const char* team_name() { return "openmp"; }

void run_in_team(int64_t chunks, int team, ChunkFunction run, void* context) {
  static const bool watching = watch_for_forks();
  static_cast<void>(watching);
  if (forked) return run_alone(chunks, run, context);
  std::exception_ptr error;  // none may leave an OpenMP region
  std::atomic<bool> failed{false};
#pragma omp parallel num_threads(team)
  {
    const IeeeArithmetic ieee;
    const InsideTeam inside;
#pragma omp for schedule(guided) nowait
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      if (failed) continue;
      try {
        run(context, chunk, omp_get_thread_num());
      } catch (...) {
        if (!failed.exchange(true)) error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

// OpenMP's threads sleep or spin between loops, and take nothing over.
void* offer_aside(ChunkFunction, void*) { return nullptr; }
bool take_back(void*) { return true; }
void run_unshared(const std::function<void()>& work) { work(); }

}  // namespace ranvier

#endif
