// Parallel loops. parallel.h and parallel.cpp are the only files that know of threads; kernels are
// leaf code. Work is cut by its size alone, never by the number of threads.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/grain.h"

namespace ranvier {

// Elements in a piece of work: `preferred`, or what the process has set for tests.
int64_t grain(int64_t preferred);

// While it lives the calling thread rounds to nearest, without flush-to-zero, whatever another
// library has set; then its own settings return.
class IeeeArithmetic {
 public:
  IeeeArithmetic();
  ~IeeeArithmetic();
  IeeeArithmetic(const IeeeArithmetic&) = delete;
  IeeeArithmetic& operator=(const IeeeArithmetic&) = delete;

 private:
  unsigned before_ = 0;
};

// How many threads a loop that starts now may use.
int max_workers();

// While it lives, loops that the calling thread starts stay in it.
class InOneThread {
 public:
  explicit InOneThread(bool wanted = true);
  ~InOneThread();
  InOneThread(const InOneThread&) = delete;
  InOneThread& operator=(const InOneThread&) = delete;

 private:
  bool before_;
};

// Calls run(context, chunk, worker) once for every chunk in [0, chunks), in IEEE arithmetic. An
// exception in `run` is thrown again to the caller, the first one of several. A loop inside one
// that several threads run stays in its thread. worker < workers.
void parallel_chunks(int64_t chunks, int workers, void (*run)(void*, int64_t, int), void* context);

// f(chunk, worker) for every chunk. Who keeps memory for each worker asks max_workers() once and
// passes it: the setting may change meanwhile.
template <class F>
void for_chunks(int64_t chunks, int workers, F&& f) {
  using Function = std::remove_reference_t<F>;
  parallel_chunks(
      chunks, workers,
      [](void* context, int64_t chunk, int worker) {
        (*static_cast<Function*>(context))(chunk, worker);
      },
      &f);
}

// f(begin, end) over pieces of [0, n) of `step` items each.
template <class F>
void parallel_for(int64_t n, int64_t step, F&& f) {
  if (n <= 0) return;
  for_chunks((n + step - 1) / step, max_workers(), [&](int64_t chunk, int) {
    const int64_t begin = chunk * step;
    f(begin, begin + step < n ? begin + step : n);
  });
}

// How many of n items make a piece, where an item costs `cost` elements of work and a piece should
// have `amount` of them or more: all, where there are not enough for two; else as even a number of
// pieces as even pieces allow, so that two threads have the same to do.
int64_t items_a_piece(int64_t n, int64_t cost, int64_t amount);

// f(begin, end) over [0, n) in such pieces.
template <class F>
void parallel_items(int64_t n, int64_t cost, int64_t amount, F&& f) {
  parallel_for(n, items_a_piece(n, cost, amount), f);
}

}  // namespace ranvier
