// The sum of float32 numbers, from one running sum to what the library does: a ladder of versions,
// each compared with the exact sum and timed. Nothing here is part of the library;
// csrc/kernels/cpu/reduce.inc and csrc/ops/reduce.cpp hold the version that won.
//
//   g++ -std=c++20 -O3 -march=native -ffp-contract=off benchmarks/lab/sum/sum.cpp -o sum && ./sum
//   ./sum 10000000      another number of elements
//
// Prints for each version the time, GB/s read, how many times as fast as the first it is, and the
// relative error. Sums of floats depend on their order: a version is its order of additions.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace {

constexpr int kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

Lanes load(const float* x) {
  Lanes v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
float sum_lanes(Lanes v) {
  for (int step = kLanes / 2; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) v[i] += v[i + step];
  return v[0];
}

// 1. One sum that runs through all numbers: each addition waits for the last one, and once the sum
// is large the small digits of every number are lost.
float running(int64_t n, const float* x) {
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += x[i];
  return sum;
}

// 2. What is lost is carried along (Kahan, "Further remarks on reducing truncation errors", 1965):
// exact to the last place, and four additions that wait for each other.
float compensated(int64_t n, const float* x) {
  float sum = 0, lost = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float term = x[i] - lost, next = sum + term;
    lost = (next - sum) - term;
    sum = next;
  }
  return sum;
}

// 3. Sixteen sums side by side, each a sixteenth as large.
float lanes(int64_t n, const float* x) {
  Lanes sum{};
  for (int64_t i = 0; i < n; i += kLanes) sum += load(x + i);
  return sum_lanes(sum);
}

// 4. Four times sixteen: an addition takes four cycles, and two can start in each.
float more_lanes(int64_t n, const float* x) {
  Lanes sum[4]{};
  for (int64_t i = 0; i < n; i += 4 * kLanes)
    for (int k = 0; k < 4; ++k) sum[k] += load(x + i + k * kLanes);
  return sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

// 5. Blocks of 4096 numbers with sixteen sums each, and the blocks' sums added in pairs: an error
// grows with the logarithm of the number of blocks (Higham, "The accuracy of floating point
// summation", 1993), and threads may take any blocks without changing a bit.
constexpr int64_t kBlock = 4096;
float tree(int64_t blocks, const float* sums) {
  if (blocks == 1) return sums[0];
  const int64_t half = blocks / 2;
  return tree(half, sums) + tree(blocks - half, sums + half);
}
float blocks(int64_t n, const float* x) {
  std::vector<float> sums;
  for (int64_t begin = 0; begin < n; begin += kBlock)
    sums.push_back(lanes(std::min(kBlock, n - begin), x + begin));
  return tree(static_cast<int64_t>(sums.size()), sums.data());
}

struct Version {
  const char* name;
  float (*run)(int64_t, const float*);
};

double median_seconds(const Version& version, const std::vector<float>& x, float* sum) {
  std::vector<double> times;
  for (int round = 0; round < 15; ++round) {
    const auto start = std::chrono::steady_clock::now();
    *sum = version.run(static_cast<int64_t>(x.size()), x.data());
    times.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(times.begin(), times.begin() + 7, times.end());
  return times[7];
}

}  // namespace

int main(int argc, char** argv) {
  const size_t asked = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10000000;
  const size_t n = std::max<size_t>(asked / 64, 1) * 64;  // whole vectors: the lab has no tails
  std::vector<float> x(n);
  uint32_t state = 1;
  double exact = 0;
  for (float& v : x) {  // uniform in [0, 1)
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) / 16777216.0f;
    exact += static_cast<double>(v);  // 24 bits each: a double holds their sum exactly
  }
  const Version versions[] = {{"1 one running sum", running},
                              {"2 Kahan's sum", compensated},
                              {"3 16 sums", lanes},
                              {"4 64 sums", more_lanes},
                              {"5 blocks in a tree", blocks}};
  std::printf("%zu elements, one thread\n%-20s%10s%8s%8s%12s\n", n, "", "us", "GB/s", "times",
              "error");
  double first = 0, error = 0;
  for (const Version& version : versions) {
    float sum = 0;
    const double seconds = median_seconds(version, x, &sum);
    if (first == 0) first = seconds;
    error = std::fabs(static_cast<double>(sum) - exact) / exact;
    std::printf("%-20s%10.1f%8.1f%8.1f%12.1e\n", version.name, seconds * 1e6,
                static_cast<double>(n) * 4 / seconds / 1e9, first / seconds, error);
  }
  if (error > 2e-7) std::printf("expected a relative error of at most 2e-7 in the last version\n");
  return error > 2e-7 ? 1 : 0;
}
