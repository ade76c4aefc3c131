// A replay asks nobody for memory: every malloc of the process is counted.
#include <gtest/gtest.h>

#include "core/allocator.h"
#include "ranvier/ranvier.h"

// The sanitizers have a malloc of their own, and other C libraries no second name for theirs.
#if defined(__GLIBC__) && !defined(RANVIER_ASAN) && !defined(__SANITIZE_THREAD__)
#define RANVIER_COUNTS_MALLOC 1
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef RANVIER_COUNTS_MALLOC
#endif
#endif
#endif

#ifdef RANVIER_COUNTS_MALLOC
#include <atomic>

namespace {
std::atomic<long> mallocs{0};
}

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void* malloc(size_t n) {
  ++mallocs;
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t size) {
  ++mallocs;
  return __libc_calloc(n, size);
}
void* realloc(void* p, size_t n) {
  ++mallocs;
  return __libc_realloc(p, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
  ++mallocs;
  return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) {
  ++mallocs;
  *p = __libc_memalign(alignment, n);
  return *p ? 0 : 12;
}
}

namespace ranvier {
namespace {

Tensor learned(const Dims& shape, const Generator& g) {
  const Tensor t =
      call("normal", {g.state()}, {std::vector<int64_t>(shape.begin(), shape.end())})[0];
  set_requires_grad(t, true);
  return t;
}

// A weight (out, in) whose rows lie as those of its gradient do, as nn.Linear has them.
Tensor weight(int64_t out, int64_t in, const Generator& g) {
  const Tensor rows = call("normal", {g.state()}, {std::vector<int64_t>{in, out}})[0] * 0.1;
  const Tensor t = rows.alias({out, in}, {1, out}, 0);
  set_requires_grad(t, true);
  return t;
}

Tensor zeros_like(const Tensor& t) {
  const Tensor zeros = Tensor::empty_strided(t.shape(), t.strides(), t.dtype());
  call("fill_", {zeros}, {0.0});
  return zeros;
}

// Forward with dropout, loss, backward and update; with two threads parts of it are shared.
class Training {
 public:
  Training(int64_t in, int64_t hidden, int64_t out)
      : parameters_{weight(hidden, in, g_), learned({hidden}, g_), weight(out, hidden, g_),
                    learned({out}, g_)} {
    for (const Tensor& p : parameters_)
      state_.push_back({zeros_like(p), zeros_like(p), Tensor::zeros({}, DType::float64)});
  }
  Tensors step(const Tensors& in) const {
    for (const Tensor& p : parameters_) set_grad(p, {});
    Tensor h = call("linear", {in[0], parameters_[0], parameters_[1]})[0];
    h = call("dropout", {g_.state(), call("relu", {h})[0]}, {0.3})[0];
    h = call("linear", {h, parameters_[2], parameters_[3]})[0];
    const Tensor loss = call("cross_entropy", {h, in[1]})[0];
    backward(loss);
    const NoGrad off;
    Tensors update = {rate_, Tensor(), Tensor(), Tensor()};
    for (size_t i = 0; i < parameters_.size(); ++i)
      for (const Tensor& t : {parameters_[i], grad(parameters_[i]), state_[i][0], state_[i][1],
                              state_[i][2], Tensor()})
        update.push_back(t);
    call("adam_updates", update);
    return {loss};
  }

 private:
  Generator g_{3};
  Tensors parameters_;
  std::vector<Tensors> state_;
  Tensor rate_ = Tensor::full({}, 1e-3, DType::float64);
};

TEST(ReplayMemory, AReplayAsksForNone) {
  const int before = num_threads();
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    for (const int64_t rows : {3, 64}) {
      const Training training(200, 100, 10);
      const Tensors batch = {Tensor::full({rows, 200}, 0.5), Tensor::zeros({rows}, DType::int64)};
      Program program =
          Program::record([&](const Tensors& in) { return training.step(in); }, batch);
      for (int i = 0; i < 5; ++i) program.replay(batch);
      const long first = mallocs;
      for (int i = 0; i < 50; ++i) program.replay(batch);
      EXPECT_EQ(mallocs - first, 0) << threads << " threads, " << rows << " rows";
    }
  }
  set_num_threads(before);
}

// Nor does one whose instructions run block by block, into memory that the caller gets.
TEST(ReplayMemory, AChainAsksForNone) {
  const int before = num_threads();
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    const Tensor x = Tensor::full({200, 500}, 0.5), row = Tensor::full({500}, 2);
    Program program = Program::record(
        [&](const Tensors& in) {
          const Tensor y = call("tanh", {in[0] * row})[0] + in[0];
          return Tensors{y, call("softmax", {y * y}, {int64_t{-1}, std::monostate()})[0]};
        },
        {x});
    EXPECT_NE(program.dump().find("\n/ "), std::string::npos) << program.dump();
    for (int i = 0; i < 5; ++i) program.replay({x});
    const long first = mallocs;
    for (int i = 0; i < 50; ++i) program.replay({x});
    EXPECT_EQ(mallocs - first, 0) << threads << " threads";
  }
  set_num_threads(before);
}

}  // namespace
}  // namespace ranvier
#endif
