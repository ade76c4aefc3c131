// Steps whose next rows are brought while the present ones are at work.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "program/ahead.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

constexpr int64_t kRows = 64, kColumns = 300, kBatch = 16;

// A linear layer over rows that a step picks by their numbers; it keeps the sum of their loss.
struct Training {
  Generator g{5};
  Tensor rows = call("normal", {g.state()}, {std::vector<int64_t>{kRows, kColumns}})[0];
  Tensor weight = call("normal", {g.state()}, {std::vector<int64_t>{7, kColumns}})[0] * 0.01;
  Training() { set_requires_grad(weight, true); }

  Tensors step(const Tensors& in) {
    set_grad(weight, {});
    const Tensor x = call("index_select", {rows, in[0]}, {int64_t{0}})[0];
    const Tensor loss =
        call("sum", {call("square", {call("linear", {x, weight, Tensor()})[0]})[0]})[0];
    backward(loss);
    const NoGrad off;
    call("add_", {weight, grad(weight) * -1e-3});
    return {loss};
  }
  Program record() {
    return Program::record([&](const Tensors& in) { return step(in); }, {numbers(0)});
  }
  static Tensor numbers(int64_t first) {
    const Tensor t = Tensor::empty({kBatch}, DType::int64);
    for (int64_t i = 0; i < kBatch; ++i) t.data<int64_t>()[i] = (first * 5 + i * 11) % kRows;
    return t;
  }
};

float bits_of(const Program::Plan& plan) { return *plan.results[0].tensor.data<float>(); }

TEST(Ahead, GivesTheSameBits) {
  const int before = num_threads();
  for (const int threads : {1, 2, 5}) {
    set_num_threads(threads);
    Training one, other;
    Program plain = one.record(), quick = other.record();
    Program::Plan& plan = quick.plan();
    plan.look_ahead();
    ASSERT_TRUE(plan.ahead);
    Tensors lists;
    for (int64_t i = 0; i <= 100; ++i) lists.push_back(Training::numbers(i));
    for (size_t i = 0; i < 100; ++i) {
      const Argument now = argument_of(lists[i]), next = argument_of(lists[i + 1]);
      plain.plan().compute({&now, 1});
      // Now and then a step is the last one of its kind, or what was brought is not wanted.
      plan.ahead->compute(plan, {&now, 1}, {&next, i % 7 == 6 ? size_t{0} : size_t{1}});
      if (i % 10 == 9) plan.ahead->drop();
      ASSERT_EQ(bits_of(plain.plan()), bits_of(plan)) << i;
    }
    EXPECT_EQ(std::memcmp(one.weight.raw(), other.weight.raw(), 7 * kColumns * sizeof(float)), 0);
  }
  set_num_threads(before);
}

TEST(Ahead, LeavesWhatStepsChange) {
  Training training;
  // Rows that the step itself writes to cannot be read before it.
  Program program = Program::record(
      [&](const Tensors& in) {
        Tensors results = training.step(in);
        const NoGrad off;
        call("add_", {training.rows, Tensor::full({}, 1)});
        return results;
      },
      {Training::numbers(0)});
  program.plan().look_ahead();
  EXPECT_FALSE(program.plan().ahead);
}

TEST(Ahead, IsNotWorthItForALittle) {
  const Tensor rows = Tensor::full({100, 4}, 1);
  Program program = Program::record(
      [&](const Tensors& in) {
        return call("sum", {call("index_select", {rows, in[0]}, {int64_t{0}})[0]});
      },
      {Training::numbers(0)});
  program.plan().look_ahead();
  EXPECT_FALSE(program.plan().ahead);
}

}  // namespace
}  // namespace ranvier
