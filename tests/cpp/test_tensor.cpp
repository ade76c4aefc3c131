// Shapes, strides, storages and the allocator, below everything that computes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <thread>
#include <vector>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/philox.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

template <class F>
ErrorKind kind_of(F f) {
  try {
    f();
  } catch (const Error& e) {
    return e.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::runtime;
}

TEST(Dims, PushInsertEraseCompare) {
  Dims d = {2, 3};
  d.insert(0, 7);
  d.insert(3, 9);
  EXPECT_EQ(d, (Dims{7, 2, 3, 9}));
  d.erase(0);
  d.erase(2);
  EXPECT_EQ(d, (Dims{2, 3}));
  EXPECT_FALSE(d == (Dims{2, 3, 1}));
  EXPECT_EQ(to_string(Dims{}), "()");
  EXPECT_EQ(to_string(Dims{3}), "(3,)");
  EXPECT_EQ(to_string(Dims{32, 784}), "(32, 784)");
}

TEST(Dims, NineAreTooMany) {
  Dims d = {1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_EQ(kind_of([&] { d.push_back(1); }), ErrorKind::shape);
  EXPECT_EQ(kind_of([&] { d.insert(0, 1); }), ErrorKind::shape);
  EXPECT_EQ(d.size(), 8);
}

TEST(Dims, CountChecksSizes) {
  EXPECT_EQ(count(Dims{}), 1);
  EXPECT_EQ(count(Dims{2, 3, 4}), 24);
  EXPECT_EQ(count(Dims{2, 0, 4}), 0);
  const int64_t big = int64_t{1} << 62;
  for (const Dims& bad : {Dims{-1}, Dims{2, -3}, Dims{big, big}, Dims{big, 0}, Dims{0, big},
                          Dims{big, 4}, Dims{INT64_MAX}, Dims{INT64_MAX, INT64_MAX, 0}})
    EXPECT_EQ(kind_of([&] { count(bad); }), ErrorKind::shape) << to_string(bad);
}

TEST(Dims, ContiguousStrides) {
  EXPECT_EQ(contiguous_strides(Dims{2, 3, 4}), (Dims{12, 4, 1}));
  EXPECT_EQ(contiguous_strides(Dims{2, 0, 4}), (Dims{4, 4, 1}));
  EXPECT_EQ(contiguous_strides(Dims{}), Dims{});
}

TEST(Tensor, LayoutQuestions) {
  const Tensor t = Tensor::zeros({2, 3, 4});
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_TRUE(t.is_dense());
  const Tensor turned = t.alias({4, 2, 3}, {1, 12, 4}, 0);
  EXPECT_FALSE(turned.is_contiguous());
  EXPECT_TRUE(turned.is_dense());
  const Tensor gaps = t.alias({2, 3, 2}, {12, 4, 2}, 0);
  EXPECT_FALSE(gaps.is_dense());
  const Tensor same = t.alias({3, 4}, {0, 1}, 0);
  EXPECT_FALSE(same.is_dense());
  const Tensor overlapping = t.alias({3, 3}, {1, 1}, 0);
  EXPECT_FALSE(overlapping.is_dense());
  EXPECT_TRUE(t.alias({1, 4}, {99, 1}, 0).is_contiguous()) << "an axis of size 1 has no stride";
  EXPECT_TRUE(t.alias({1, 4, 1}, {0, 1, 77}, 0).is_dense());
  EXPECT_TRUE(t.alias({0, 4}, {9, 9}, 0).is_contiguous());
  EXPECT_TRUE(t.alias({}, {}, 5).is_contiguous());
}

TEST(Tensor, FromFullItem) {
  const Tensor t = Tensor::from<float>({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(t.data<float>()[3], 4);
  EXPECT_EQ(kind_of([] { Tensor::from<float>({3}, {1, 2}); }), ErrorKind::shape);
  EXPECT_EQ(Tensor::full({}, 2.5).item(), 2.5);
  EXPECT_EQ(Tensor::full({1, 1}, 7.9, DType::int32).item_int(), 7);
  EXPECT_EQ(kind_of([&] { t.item(); }), ErrorKind::runtime);
  EXPECT_EQ(kind_of([&] { Tensor::zeros({0}).item(); }), ErrorKind::runtime);
  EXPECT_EQ(t.size(-1), 2);
  EXPECT_EQ(kind_of([&] { t.size(2); }), ErrorKind::index);
  EXPECT_EQ(kind_of([&] { t.size(-3); }), ErrorKind::index);
  const Tensor empty = Tensor::zeros({0, 5});
  EXPECT_EQ(empty.numel(), 0);
}

TEST(Tensor, WrapGivesBackOnce) {
  static int given_back;
  given_back = 0;
  float memory[6] = {0, 1, 2, 3, 4, 5};
  {
    const auto release = [](void* context) { ++*static_cast<int*>(context); };
    const Tensor t = Tensor::wrap(memory, {2, 2}, {3, 1}, DType::float32, release, &given_back);
    const Tensor copy = t, view = t.alias({2}, {3}, 1);
    EXPECT_EQ(view.data<float>()[3], 4);
    EXPECT_EQ(t.impl()->storage->bytes, 5 * sizeof(float));
    EXPECT_EQ(given_back, 0);
  }
  EXPECT_EQ(given_back, 1);
}

TEST(Tensor, HandlesAreSharedByThreads) {
  const Tensor t = Tensor::zeros({100});
  std::vector<std::thread> team;
  for (int i = 0; i < 4; ++i)
    team.emplace_back([t] {
      for (int n = 0; n < 10000; ++n) {
        const Tensor copy = t;
        const Tensor view = copy.alias({10}, {1}, 5);
        ASSERT_TRUE(view.defined());
      }
    });
  for (std::thread& thread : team) thread.join();
  EXPECT_EQ(t.impl()->refs, 1);
  EXPECT_EQ(t.impl()->storage->refs, 1);
}

TEST(DTypes, PromotionIsSymmetricAndIdempotent) {
  for (int i = 0; i < kDTypes; ++i)
    for (int j = 0; j < kDTypes; ++j) {
      const auto a = static_cast<DType>(i), b = static_cast<DType>(j);
      if (is_storage_only(a) || is_storage_only(b)) continue;
      EXPECT_EQ(promote(a, b), promote(b, a));
      EXPECT_EQ(promote(a, a), a);
      EXPECT_EQ(promote(promote(a, b), a), promote(a, b));
    }
  EXPECT_EQ(promote(DType::int64, DType::float32), DType::float32);
  EXPECT_EQ(promote(DType::uint8, DType::int32), DType::int32);
  EXPECT_EQ(promote(DType::uint8, DType::int8), DType::int16);
  EXPECT_EQ(promote(DType::float16, DType::bfloat16), DType::float32);
  EXPECT_EQ(promote(DType::float16, DType::int64), DType::float16);
}

TEST(DTypes, ConversionsAreDefinedEverywhere) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  for (const double x : {nan, inf, -inf, 1e300, -1e300, 9.3e18, -9.3e18}) {
    EXPECT_EQ(convert<int64_t>(x), INT64_MIN) << x;
    EXPECT_EQ(convert<int32_t>(x), INT32_MIN) << x;
  }
  EXPECT_EQ(convert<int64_t>(-0x1p63), INT64_MIN);
  EXPECT_EQ(convert<int64_t>(0x1p62), int64_t{1} << 62);
  EXPECT_EQ(convert<int32_t>(3e9), INT32_MIN);
  EXPECT_EQ(convert<int32_t>(-2147483648.0), INT32_MIN);
  EXPECT_EQ(convert<int32_t>(2147483647.5), INT32_MAX);
  EXPECT_EQ(convert<int32_t>(-1.9f), -1);
  EXPECT_EQ(convert<uint8_t>(255.7), 255);
  EXPECT_TRUE(convert<bool>(nan));
  EXPECT_TRUE(convert<bool>(0.25));
  EXPECT_FALSE(convert<bool>(-0.0));
}

TEST(Allocator, AlignedAndWritable) {
  for (size_t bytes = 0; bytes < 70000; bytes = bytes * 5 / 4 + 1) {
    void* p = allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % kAlignment, 0u);
    std::memset(p, 0xab, bytes);
    deallocate(p, bytes);
  }
}

TEST(Allocator, LiveBlocksAreDistinct) {
  std::vector<std::pair<char*, size_t>> live;
  for (size_t i = 0; i < 600; ++i) {
    const size_t bytes = (i * 7919) % 5000 + 1;
    char* p = static_cast<char*>(allocate(bytes));
    std::memset(p, static_cast<int>(i & 127), bytes);
    live.emplace_back(p, bytes);
  }
  for (size_t i = 0; i < live.size(); ++i)
    for (size_t j = 0; j < live[i].second; ++j)
      ASSERT_EQ(live[i].first[j], static_cast<char>(i & 127)) << "block " << i;
  for (const auto& [p, bytes] : live) deallocate(p, bytes);
  empty_cache();
}

TEST(Allocator, AbsurdSizesAreErrors) {
  for (int power = 44; power < 64; ++power)
    EXPECT_EQ(kind_of([&] { deallocate(allocate(size_t{1} << power), size_t{1} << power); }),
              ErrorKind::memory)
        << power;
  EXPECT_EQ(kind_of([] { allocate(SIZE_MAX); }), ErrorKind::memory);
}

TEST(Allocator, ManyThreads) {
  std::vector<std::thread> team;
  for (int id = 0; id < 6; ++id)
    team.emplace_back([id] {
      for (int i = 0; i < 2000; ++i) {
        const size_t bytes = static_cast<size_t>((i * 131 + id) % 9000 + 1);
        char* p = static_cast<char*>(allocate(bytes));
        std::memset(p, id, bytes);
        if (i % 50 == 0) empty_cache();
        ASSERT_EQ(p[bytes - 1], id);
        deallocate(p, bytes);
      }
    });
  for (std::thread& thread : team) thread.join();
}

// Known answers for counter and key 0, Random123's kat_vectors; the counter's upper half is 0 here.
TEST(Philox, KnownAnswers) {
  const std::array<uint32_t, 4> zero = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
  EXPECT_EQ(philox(0, 0), zero);
}

// The same function written out after figure 1 of the paper, for other keys and counters.
TEST(Philox, AgreesWithThePaper) {
  const auto plain = [](uint64_t key, uint64_t counter) {
    uint32_t x[4] = {uint32_t(counter), uint32_t(counter >> 32), 0, 0};
    uint32_t k[2] = {uint32_t(key), uint32_t(key >> 32)};
    for (int round = 0; round < 10; ++round) {
      const uint64_t left = uint64_t{0xD2511F53} * x[0], right = uint64_t{0xCD9E8D57} * x[2];
      const uint32_t y[4] = {uint32_t(right >> 32) ^ x[1] ^ k[0], uint32_t(right),
                             uint32_t(left >> 32) ^ x[3] ^ k[1], uint32_t(left)};
      std::copy_n(y, 4, x);
      k[0] += 0x9E3779B9;
      k[1] += 0xBB67AE85;
    }
    return std::array<uint32_t, 4>{x[0], x[1], x[2], x[3]};
  };
  std::set<std::array<uint32_t, 4>> seen;
  for (uint64_t i = 0; i < 1000; ++i) {
    const uint64_t key = i * 0x9E3779B97F4A7C15, counter = ~i * 0xD1342543DE82EF95;
    EXPECT_EQ(philox(key, counter), plain(key, counter));
    seen.insert(philox(key, counter));
  }
  EXPECT_EQ(seen.size(), 1000u);
}

TEST(Tensor, StridesWithGapsHaveTheirMemory) {
  const Tensor t = Tensor::empty_strided({2, 2}, {1000000, 1}, DType::float32);
  call("fill_", {t}, {3.0});
  EXPECT_EQ(t.data<float>()[1000001], 3);
  EXPECT_EQ(kind_of([] { Tensor::empty_strided({2, 2}, {-1, 1}, DType::float32); }),
            ErrorKind::shape);
  EXPECT_EQ(kind_of([] { Tensor::empty_strided({2, 2}, {1}, DType::float32); }), ErrorKind::shape);
  EXPECT_EQ(
      kind_of([] { Tensor::empty_strided({1 << 30, 2}, {int64_t{1} << 40, 1}, DType::float32); }),
      ErrorKind::shape);
}

}  // namespace
}  // namespace ranvier
