// Matrix products between pages that nobody may touch: no kernel reads or writes beyond the
// matrices, for every instruction set, layout, odd size and misalignment.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "gemm_problem.h"
#include "kernels/cpu/gemm.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

// Numbers whose memory begins after a forbidden page, or ends before one: then they are aligned to
// their own size alone.
template <class T>
class Guarded {
 public:
  Guarded(const std::vector<T>& x, bool at_end) : bytes_(x.size() * sizeof(T)) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    inside_ = (bytes_ + page - 1) / page * page;
    size_ = inside_ + 2 * page;
    void* const p =
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<char*>(p);
    first_ = base_ + page + (at_end ? inside_ - bytes_ : 0);
    std::memcpy(first_, x.data(), bytes_);
    mprotect(base_, page, PROT_NONE);
    mprotect(base_ + page + inside_, page, PROT_NONE);
  }
  ~Guarded() { munmap(base_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;
  T* data() const { return reinterpret_cast<T*>(first_); }

 private:
  size_t bytes_, inside_ = 0, size_ = 0;
  char *base_ = nullptr, *first_ = nullptr;
};

class GuardedGemms : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    isa_ = current_isa();
    set_isa(GetParam());
  }
  void TearDown() override { set_isa(isa_); }

  template <class T>
  void check(int64_t m, int64_t n, int64_t k) {
    const Problem<T> q(m, n, k);
    const std::vector<T> want = q.chains(GetParam() != "base", true), bias = numbers<T>(n, 4);
    std::vector<T> with_bias = want;
    for (size_t i = 0; i < want.size(); ++i) with_bias[i] += bias[i % size_t(n)];
    for (const Layout la : {Layout::normal, Layout::transposed})
      for (const Layout lb : {Layout::normal, Layout::transposed, Layout::strided})
        for (const bool at_end : {false, true}) {
          const auto [a_row, a_k] = strides_of(la, m, k);
          const auto [b_k, b_col] = strides_of(lb, k, n);
          const Guarded<T> a(spread(q.a, m, k, a_row, a_k), at_end);
          const Guarded<T> b(spread(q.b, k, n, b_k, b_col), at_end);
          const Guarded<T> c(q.start, at_end), given(bias, at_end);
          for (const bool biased : {false, true}) {
            std::memcpy(c.data(), q.start.data(), q.start.size() * sizeof(T));
            gemm(Gemm<T>{.m = m,
                         .n = n,
                         .k = k,
                         .a = a.data(),
                         .a_row = a_row,
                         .a_k = a_k,
                         .b = b.data(),
                         .b_k = b_k,
                         .b_col = b_col,
                         .c = c.data(),
                         .c_row = n,
                         .accumulate = true,
                         .bias = biased ? given.data() : nullptr});
            const auto& right = biased ? with_bias : want;
            ASSERT_EQ(std::memcmp(c.data(), right.data(), right.size() * sizeof(T)), 0)
                << m << " x " << n << " x " << k << ", layouts " << int(la) << int(lb);
          }
        }
  }

 private:
  std::string isa_;
};

TEST_P(GuardedGemms, OddSizes) {
  for (const int64_t m : {1, 2, 5, 12, 13, 25})
    for (const int64_t n : {1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65})
      for (const int64_t k : {1, 3, 8, 15, 17, 33}) {
        check<float>(m, n, k);
        check<double>(m, n, k);
        if (HasFatalFailure()) return;
      }
}

// One row whose sums stay in registers, for every number of vectors, and one more.
TEST_P(GuardedGemms, Strips) {
  for (int64_t n = 33; n <= 290; n += n % 16 == 1 ? 7 : n % 16 == 8 ? 8 : 1) {
    check<float>(1, n, 19);
    check<double>(1, n, 19);
    if (HasFatalFailure()) return;
  }
}

TEST_P(GuardedGemms, SeveralBlocks) {
  for (const auto& [m, n, k] :
       {std::tuple{30, 70, 523}, {1, 131, 530}, {131, 1, 530}, {4, 70, 131}, {13, 300, 600}}) {
    check<float>(m, n, k);
    check<double>(m, n, k);
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, GuardedGemms, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace ranvier
