// How the limits are measured; see peak.h. The loops for each instruction set stand in target
// regions, as the library's kernels do, and the registers are the library's own.
#include "peak.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <map>
#include <thread>
#include <tuple>

#include "kernels/cpu/region.h"
#include "ranvier/tensor.h"

namespace bench {
namespace {

// A value that the compiler knows nothing about, and that it must have computed.
double opaque(double x) {
  asm volatile("" : "+x"(x));
  return x;
}

struct Arithmetic {
  double (*run)(int64_t repeats) = nullptr;
  double flops = 0;  // of one repetition
};
using MemoryLoop = void (*)(float* from, float* to, int64_t n, int64_t repeats);

struct Loops {
  const char* isa;
  Arithmetic f32, f64, bf16;
  MemoryLoop flows[4][2];  // [flow][0: one stream, 1: several]
};

// ---- base

namespace base {
#include "kernels/cpu/vec_sse2.inc"
using F = F4;
using D = D2;
#include "peak.inc"
}  // namespace base

// Around the caches, as processors of every kind here can.
void stream_write(float*, float* to, int64_t n, int64_t repeats) {
  const __m128 x = _mm_set1_ps(static_cast<float>(opaque(1)));
  for (int64_t r = 0; r < repeats; ++r)
    for (int64_t i = 0; i < n; i += 16)
      for (int j = 0; j < 16; j += 4) _mm_stream_ps(to + i + j, x);
  _mm_sfence();
}
void stream_copy(float* from, float* to, int64_t n, int64_t repeats) {
  for (int64_t r = 0; r < repeats; ++r)
    for (int64_t i = 0; i < n; i += 16)
      for (int j = 0; j < 16; j += 4) _mm_stream_ps(to + i + j, _mm_loadu_ps(from + i + j));
  _mm_sfence();
}

}  // namespace
}  // namespace bench

RV_BEGIN_TARGET("avx2,fma")
namespace bench {
namespace {
namespace avx2 {
#include "kernels/cpu/vec_avx2.inc"
using F = F8;
using D = D4;
#include "peak.inc"
}  // namespace avx2
}  // namespace
}  // namespace bench
RV_END_TARGET

RV_BEGIN_TARGET("avx512f,avx512dq,avx512bw,avx512vl,avx2,fma")
namespace bench {
namespace {
namespace avx512 {
#include "kernels/cpu/vec_avx512.inc"
using F = F16;
using D = D8;
#include "peak.inc"
}  // namespace avx512
}  // namespace
}  // namespace bench
RV_END_TARGET

RV_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512bf16")
namespace bench {
namespace {
RV_NOINLINE double bf16_dot(int64_t repeats) {
  const __m512 one = _mm512_set1_ps(static_cast<float>(opaque(1)));
  const __m512bh a = _mm512_cvtne2ps_pbh(one, one);
  __m512 sum[avx512::kChains];
  for (int i = 0; i < avx512::kChains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(opaque(i)));
  for (int64_t r = 0; r < repeats; ++r)
#pragma GCC unroll 12
    for (int i = 0; i < avx512::kChains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
  for (int i = 1; i < avx512::kChains; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  return static_cast<double>(_mm512_cvtss_f32(sum[0]));
}
}  // namespace
}  // namespace bench
RV_END_TARGET

namespace bench {
namespace {

// Of an instruction set that this processor has; null for one that is not known here.
const Loops* loops_of(const std::string& isa) {
  static const std::vector<Loops> all = [] {
    std::vector<Loops> found = {base::loops("base"), avx2::loops("avx2"), avx512::loops("avx512")};
    if (__builtin_cpu_supports("avx512bf16"))
      found.back().bf16 = {bf16_dot, 2.0 * avx512::kChains * 32};
    return found;
  }();
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const Loops& l) { return l.isa == isa; });
  return at == all.end() ? nullptr : &*at;
}

// ---- rounds

// Threads wait for one another. It yields: there may be fewer processors than threads.
class Gate {
 public:
  explicit Gate(int threads) : threads_(threads) {}
  void pass() {
    const int turn = turn_.load();
    if (waiting_.fetch_add(1) + 1 == threads_) {
      waiting_ = 0;
      turn_ = turn + 1;
    }
    while (turn_.load() == turn) std::this_thread::yield();
  }

 private:
  int threads_;
  std::atomic<int> waiting_{0}, turn_{0};
};

constexpr int kMostBatches = 4;
constexpr double kRoundSeconds = 1e-3;

using Round = std::function<void(int thread, int64_t repeats)>;

// The shortest time of some rounds, of what all threads do at once; a round is over when the last
// of them has ended.
double best_round(int threads, int rounds, int64_t repeats, const Round& work) {
  Gate gate(threads);
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread)
    others.emplace_back([&, thread] {
      for (int round = 0; round < rounds; ++round) {
        gate.pass();
        work(thread, repeats);
        gate.pass();
      }
    });
  double best = 1e300;
  for (int round = 0; round < rounds; ++round) {
    const double start = seconds_now();
    gate.pass();
    work(0, repeats);
    gate.pass();
    best = std::min(best, seconds_now() - start);
  }
  for (std::thread& other : others) other.join();
  return best;
}

// The shortest time of a repetition. Somebody else's work may last for several rounds: it is
// measured again until that finds nothing shorter.
double best_seconds(int threads, const Round& work) {
  int64_t repeats = 1;
  double took = 0;
  while (took < kRoundSeconds / 4 && repeats < (int64_t{1} << 40)) {
    const double start = seconds_now();
    work(0, repeats);
    took = seconds_now() - start;
    const double more = kRoundSeconds / std::max(took, kRoundSeconds / 1000);
    if (more > 1) repeats = static_cast<int64_t>(static_cast<double>(repeats) * more) + 1;
  }
  const int rounds = took > 2 * kRoundSeconds ? 2 : 4;
  double best = best_round(threads, rounds, repeats, work);
  for (int batch = 1; batch < kMostBatches; ++batch) {
    const double next = best_round(threads, rounds, repeats, work);
    const bool settled = next > 0.97 * best;
    best = std::min(best, next);
    if (settled) break;
  }
  return best / static_cast<double>(repeats);
}

// ---- memory

double cache_bytes(int name, double otherwise) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<double>(bytes) : otherwise;
}
double first_cache() { return cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10); }
double second_cache() { return cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512 << 10); }
double last_cache() { return cache_bytes(_SC_LEVEL3_CACHE_SIZE, 32 << 20); }

// More than this is memory like any other.
double largest_footprint() { return std::clamp(4 * last_cache(), 128.0 * (1 << 20), 0x1p29); }

constexpr int64_t kSkew = 272;  // floats: stores must not seem to hit the loads that follow them

constexpr int64_t kRoom = 1 << 18;  // for the skew of every thread

// From the library's allocator, so that it lies on pages of the same size.
float* memory() {
  static const ranvier::Tensor block =
      ranvier::Tensor::full({static_cast<int64_t>(largest_footprint()) / 4 + kRoom}, 1.0);
  return block.data<float>();
}

double measure_bandwidth(const Setting& setting, Flow flow, double footprint) {
  const Loops* loops = loops_of(setting.isa);
  if (!loops) return 0;
  const bool copies = flow == Flow::copy;
  const double share = footprint / setting.threads / (copies ? 2 : 1);
  const int64_t n = std::max<int64_t>(static_cast<int64_t>(share / 4) / 512 * 512, 512);
  const int64_t apart = copies ? 2 * n + kSkew : n;
  const auto& [one, several] = loops->flows[static_cast<int>(flow)];
  std::vector<MemoryLoop> candidates = {one};
  if (footprint > second_cache()) {
    candidates.push_back(several);
    if (flow == Flow::write) candidates.push_back(stream_write);
    if (copies) candidates.push_back(stream_copy);
  }
  double best = 1e300;
  for (const MemoryLoop loop : candidates)
    best = std::min(best, best_seconds(setting.threads, [&](int thread, int64_t repeats) {
                      float* const from = memory() + thread * apart;
                      loop(from, copies ? from + n + kSkew : from, n, repeats);
                    }));
  const int directions = copies || flow == Flow::update ? 2 : 1;
  return 4.0 * static_cast<double>(n) * directions * setting.threads / best;
}

double measure_flops(const Setting& setting, Number number) {
  const Loops* loops = loops_of(setting.isa);
  if (!loops) return 0;
  const Arithmetic& a = number == Number::f32   ? loops->f32
                        : number == Number::f64 ? loops->f64
                                                : loops->bf16;
  if (!a.run) return 0;
  return a.flops * setting.threads /
         best_seconds(setting.threads, [&](int, int64_t repeats) { opaque(a.run(repeats)); });
}

}  // namespace

double seconds_now() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

const char* name_of(Number number) {
  return number == Number::f32 ? "f32" : number == Number::f64 ? "f64" : "bf16";
}

double peak_flops(const Setting& setting, Number number) {
  static std::map<std::tuple<Setting, Number>, double> known;
  const auto [at, added] = known.try_emplace({setting, number}, 0);
  if (added) at->second = measure_flops(setting, number);
  return at->second;
}

double bandwidth(const Setting& setting, Flow flow, double footprint) {
  static std::map<std::tuple<Setting, Flow, int>, double> known;
  // Four sizes to a doubling: caches have no sharper edges.
  const double size = std::clamp(footprint, 4096.0, largest_footprint());
  const int step = static_cast<int>(std::lround(4 * std::log2(size)));
  const auto [at, added] = known.try_emplace({setting, flow, step}, 0);
  if (added)
    at->second =
        measure_bandwidth(setting, flow, std::min(std::exp2(step / 4.0), largest_footprint()));
  return at->second;
}

std::vector<Level> levels(int threads) {
  return {{"L1", first_cache() / 2 * threads},
          {"L2", second_cache() / 2 * threads},
          {"L3", std::max(last_cache() / 2, second_cache() * threads)},
          {"memory", largest_footprint()}};
}

}  // namespace bench
