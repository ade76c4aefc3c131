// Kernels over rows and columns on every instruction set: guard zones, misalignment, odd tails; the
// bits of a row do not depend on its neighbours, and AVX2 and AVX-512 give the same.
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "guarded.h"
#include "kernels/kernels.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

enum Size { whole, column, row, pair };  // rows x n, n, rows, rows x 2

int64_t size_of(Size size, int64_t rows, int64_t n) {
  return size == whole ? rows * n : size == column ? n : size == row ? rows : 2 * rows;
}
// Where row r begins.
int64_t start_of(Size size, int64_t r, int64_t n) {
  return size == whole ? r * n : size == column ? 0 : size == row ? r : 2 * r;
}

template <class T>
struct Call {
  const ranvier::Kernels<T>& k;
  int64_t rows, n;
  const T* const* in;
  T* const* out;
  const int64_t* labels;
};

template <class T>
struct RowKernel {
  const char* name;
  std::vector<Size> in, out;
  void (*run)(const Call<T>&);
  bool by_rows = true;  // every row for itself
};

template <class T>
std::vector<RowKernel<T>> row_kernels() {
  using C = const Call<T>&;
  return {
      {"softmax", {whole}, {whole}, [](C c) { c.k.softmax(c.rows, c.n, c.in[0], c.out[0]); }},
      {"softmax_backward",
       {whole, whole},
       {whole},
       [](C c) { c.k.softmax_backward(c.rows, c.n, c.in[0], c.in[1], c.out[0]); }},
      {"log_softmax",
       {whole},
       {whole},
       [](C c) { c.k.log_softmax(c.rows, c.n, c.in[0], c.out[0]); }},
      {"log_softmax_backward",
       {whole, whole},
       {whole},
       [](C c) { c.k.log_softmax_backward(c.rows, c.n, c.in[0], c.in[1], c.out[0]); }},
      {"cross_entropy",
       {whole},
       {pair, row},
       [](C c) { c.k.cross_entropy(c.rows, c.n, c.in[0], c.labels, c.out[0], c.out[1]); }},
      {"cross_entropy_backward",
       {whole, pair, row},
       {whole},
       [](C c) {
         c.k.cross_entropy_backward(c.rows, c.n, c.in[0], c.labels, c.in[1], c.in[2], 1, c.out[0]);
       }},
      {"norm_rows, centred",
       {whole, column, column},
       {whole, row, row},
       [](C c) {
         c.k.norm_rows[1](c.rows, c.n, c.in[0], c.in[1], c.in[2], 1e-5, c.out[0], c.out[1],
                          c.out[2]);
       }},
      {"norm_rows",
       {whole, column},
       {whole, row, row},
       [](C c) {
         c.k.norm_rows[0](c.rows, c.n, c.in[0], c.in[1], nullptr, 1e-5, c.out[0], c.out[1],
                          c.out[2]);
       }},
      {"norm_rows_backward, centred",
       {whole, whole, column, row, row},
       {whole},
       [](C c) {
         c.k.norm_rows_backward[1](c.rows, c.n, c.in[0], c.in[1], c.in[2], c.in[3], c.in[4],
                                   c.out[0]);
       }},
      {"norm_rows_backward",
       {whole, whole, row, row},
       {whole},
       [](C c) {
         c.k.norm_rows_backward[0](c.rows, c.n, c.in[0], c.in[1], nullptr, c.in[2], c.in[3],
                                   c.out[0]);
       }},
      {"scale_rows",
       {whole, column, column, column},
       {whole},
       [](C c) { c.k.scale_rows(c.rows, c.n, c.in[0], c.in[1], c.in[2], c.in[3], c.out[0]); }},
      {"columns_backward",
       {whole, whole, column, column, column, column, column},
       {whole},
       [](C c) {
         const ColumnArgs<T> columns{c.in[2], c.in[3], c.in[4], c.in[5], c.in[6]};
         c.k.columns_backward(c.rows, c.n, c.in[0], c.in[1], columns, c.out[0]);
       }},
      {"column_products",
       {whole, whole, column, column},
       {column, column},
       [](C c) {
         c.k.column_products(c.rows, c.n, c.in[0], c.in[1], c.in[2], c.in[3], c.out[0], c.out[1]);
       },
       false},
      {"norm_weight_rows",
       {whole, whole, row, row},
       {column, column},
       [](C c) {
         std::fill_n(c.out[0], c.n, T(0.5));
         std::fill_n(c.out[1], c.n, T(0.25));
         c.k.norm_weight_rows[1](c.rows, c.n, c.n, c.in[0], c.in[1], c.in[2], c.in[3], c.out[0],
                                 c.out[1]);
       },
       false},
  };
}

// Outputs of one call, with every zone around them checked.
template <class T>
std::vector<std::vector<T>> results(const RowKernel<T>& kernel, int64_t rows, int64_t n,
                                    int64_t shift) {
  std::vector<std::unique_ptr<Guarded>> memory;
  std::vector<const T*> in;
  for (size_t i = 0; i < kernel.in.size(); ++i) {
    const int64_t size = size_of(kernel.in[i], rows, n);
    memory.push_back(
        std::make_unique<Guarded>(numbers<T>(size, uint32_t(i + 1), T(0.1), T(3)), size));
    in.push_back(reinterpret_cast<const T*>(memory.back()->data()));
  }
  std::vector<int64_t> labels;
  for (int64_t r = 0; r < rows; ++r) labels.push_back(r % 4 == 3 ? -1 : r % n);
  std::vector<Output<T>> outputs;
  std::vector<T*> out;
  for (const Size size : kernel.out) outputs.emplace_back(size_of(size, rows, n), shift);
  for (Output<T>& o : outputs) out.push_back(o.data());
  kernel.run({kernels<T>(), rows, n, in.data(), out.data(), labels.data()});
  std::vector<std::vector<T>> values;
  for (Output<T>& o : outputs) {
    EXPECT_TRUE(o.untouched_around()) << kernel.name << " " << rows << " x " << n;
    values.push_back(o.values());
  }
  if (!kernel.by_rows) return values;
  for (int64_t r = 0; r < rows; ++r) {  // the same row alone
    std::vector<const T*> from;
    for (size_t i = 0; i < in.size(); ++i) from.push_back(in[i] + start_of(kernel.in[i], r, n));
    std::vector<std::vector<T>> alone;
    std::vector<T*> to;
    for (const Size size : kernel.out) alone.emplace_back(size_t(size_of(size, 1, n)));
    for (std::vector<T>& a : alone) to.push_back(a.data());
    kernel.run({kernels<T>(), 1, n, from.data(), to.data(), &labels[size_t(r)]});
    for (size_t o = 0; o < alone.size(); ++o) {
      const T* mine = values[o].data() + start_of(kernel.out[o], r, n);
      EXPECT_EQ(std::memcmp(mine, alone[o].data(), alone[o].size() * sizeof(T)), 0)
          << kernel.name << " row " << r << " of " << rows << " x " << n;
    }
  }
  return values;
}

constexpr int64_t kWidths[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 65, 100, 1000, 5000};

template <class T>
void check_row_kernels() {
  for (const RowKernel<T>& kernel : row_kernels<T>())
    for (const int64_t n : kWidths)
      for (const int64_t rows : {1, 3, 6, 19}) {
        if (rows * n > 20000) continue;
        const auto first = results(kernel, rows, n, 0);
        for (const int64_t shift : {1, 3})
          EXPECT_EQ(results(kernel, rows, n, shift), first) << kernel.name << " " << n;
      }
}

class RowKernels : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    before_ = current_isa();
    set_isa(GetParam());
  }
  void TearDown() override { set_isa(before_); }

 private:
  std::string before_;
};

TEST_P(RowKernels, StayInTheirMemoryAndInTheirRow) {
  check_row_kernels<float>();
  check_row_kernels<double>();
}
INSTANTIATE_TEST_SUITE_P(Isa, RowKernels, testing::ValuesIn(available_isas()),
                         [](const auto& info) { return info.param; });

TEST(RowKernelBits, FmaIsasAgree) {
  const auto isas = available_isas();
  if (isas.size() < 3) GTEST_SKIP() << "this machine has no AVX-512 beside AVX2";
  const std::string before = current_isa();
  for (const RowKernel<float>& kernel : row_kernels<float>())
    for (const int64_t n : kWidths) {
      set_isa("avx2");
      const auto narrow = results(kernel, 3, n, 1);
      set_isa("avx512");
      const auto wide = results(kernel, 3, n, 1);
      for (size_t o = 0; o < wide.size(); ++o)
        EXPECT_TRUE(same_bits(narrow[o], wide[o])) << kernel.name << " " << n;
    }
  set_isa(before);
}

}  // namespace
}  // namespace ranvier
