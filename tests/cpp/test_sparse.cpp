// The linear layer over sparse rows: the bits of the dense product, and no memory beside the
// matrix.
#include <gtest/gtest.h>

#include <cstring>
#include <span>
#include <vector>

#include "ops/op.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

const Tensor kStarts = Tensor::from<int64_t>({5}, {0, 2, 2, 5, 6});
const Tensor kColumns = Tensor::from<int64_t>({6}, {1, 3, 0, 2, 3, 2});
const Tensor kValues = Tensor::from<float>({6}, {1, 2, 3, 4, 5, 6});
const Tensor kDense = Tensor::from<float>({4, 4}, {0, 1, 0, 2,  //
                                                   0, 0, 0, 0,  //
                                                   3, 0, 4, 5,  //
                                                   0, 0, 6, 0});

Tensor numbers(const Dims& shape) {
  return call("uniform", {Generator(7).state()},
              {std::vector<int64_t>(shape.begin(), shape.end()), -1.0, 1.0, int64_t{0}})[0];
}

bool same(const Tensor& a, const Tensor& b) {
  const Tensor x = call("contiguous", {a})[0], y = call("contiguous", {b})[0];
  return x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), static_cast<size_t>(x.numel()) * sizeof(float)) == 0;
}

TEST(Sparse, GivesTheBitsOfTheDenseLayer) {
  const Tensor rows = Tensor::from<int64_t>({5}, {2, 0, 1, 2, 3});
  const Tensor x = call("index_select", {kDense, rows}, {int64_t{0}})[0];
  for (const int64_t out : {1, 7, 16, 100, 130}) {
    const Tensor weight = numbers({out, 4}), bias = numbers({out}), g = numbers({5, out});
    EXPECT_TRUE(same(call("sparse_linear", {kStarts, kColumns, kValues, rows, weight, bias})[0],
                     call("linear", {x, weight, bias})[0]));
    const Tensor want = call("linear_weight_grad", {x, g})[0];
    for (const int64_t grain : {0, 1}) {
      set_grain(grain);
      EXPECT_TRUE(same(
          call("sparse_linear_weight_grad", {kStarts, kColumns, kValues, rows, g}, {int64_t{4}})[0],
          want));
      const Tensor sum = Tensor::full({4, out}, 0, DType::float32);
      call("sparse_linear_weight_grad_onto_", {kStarts, kColumns, kValues, rows, g, sum});
      EXPECT_TRUE(same(sum, want));
    }
    set_grain(0);
  }
}

TEST(Sparse, RefusesPlacesOutsideOfTheMatrix) {
  const Tensor rows = Tensor::from<int64_t>({1}, {1}), weight = numbers({3, 4});
  const auto at = [&](std::vector<int64_t> starts, std::vector<int64_t> columns) {
    return call("sparse_linear", {Tensor::from<int64_t>({3}, std::span<const int64_t>(starts)),
                                  Tensor::from<int64_t>({2}, std::span<const int64_t>(columns)),
                                  numbers({2}), rows, weight});
  };
  EXPECT_NO_THROW(at({0, 0, 2}, {0, 3}));
  EXPECT_NO_THROW(at({-9, 0, 2}, {0, 3}));  // a row that is not asked for
  EXPECT_THROW(at({0, 0, 3}, {0, 3}), Error);
  EXPECT_THROW(at({0, -1, 2}, {0, 3}), Error);
  EXPECT_THROW(at({0, 2, 1}, {0, 3}), Error);
  EXPECT_THROW(at({0, 0, 2}, {0, 4}), Error);
  EXPECT_THROW(at({0, 0, 2}, {INT64_MIN, 0}), Error);
  EXPECT_THROW(at({0, INT64_MIN, INT64_MAX}, {0, 3}), Error);
}

}  // namespace
}  // namespace ranvier
