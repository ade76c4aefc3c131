// Recording and replay from C++: the XOR training step against eager, slots, errors, dumps.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

struct Net {
  Tensor w1, b1, w2, b2, lr = Tensor::full({}, 0.5, DType::float64);
  Net() {
    Generator g(3);
    const auto draw = [&](const Dims& shape) {
      const Tensor t =
          call("normal", {g.state()}, {std::vector<int64_t>(shape.begin(), shape.end())})[0];
      set_requires_grad(t, true);
      return t;
    };
    w1 = draw({4, 2});
    b1 = draw({4});
    w2 = draw({1, 4});
    b2 = draw({1});
  }
  // One step; gradients are cleared within it, as a program needs.
  Tensors step(const Tensors& in) const {
    const Tensor h = call("linear", {in[0], w1, b1}, {std::string("sigmoid")})[0];
    const Tensor y = call("linear", {h, w2, b2}, {std::string("sigmoid")})[0];
    const Tensor loss = call("mse_loss", {y, in[1]})[0];
    backward(loss);
    const NoGrad off;
    for (const Tensor& p : {w1, b1, w2, b2}) {
      call("sgd_update", {p, grad(p), lr});
      set_grad(p, {});
    }
    return {loss};
  }
  bool equals(const Net& other) const {
    const Tensors mine = {w1, b1, w2, b2}, its = {other.w1, other.b1, other.w2, other.b2};
    for (size_t i = 0; i < mine.size(); ++i)
      if (std::memcmp(mine[i].raw(), its[i].raw(), mine[i].impl()->storage->bytes) != 0)
        return false;
    return true;
  }
};

const Tensor xor_x = Tensor::from<float>({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});
const Tensor xor_y = Tensor::from<float>({4, 1}, {0, 1, 1, 0});

TEST(Program, XorReplaysToTheBitsOfEager) {
  const int before = num_threads();
  for (const int threads : {1, 2}) {
    set_num_threads(threads);
    const Net eager, recorded;
    ASSERT_TRUE(eager.equals(recorded));
    Program program =
        Program::record([&](const Tensors& in) { return recorded.step(in); }, {xor_x, xor_y});
    float want = static_cast<float>(eager.step({xor_x, xor_y})[0].item());
    EXPECT_EQ(static_cast<float>(program.first()[0].item()), want);
    for (int i = 1; i < 1000; ++i) {
      want = static_cast<float>(eager.step({xor_x, xor_y})[0].item());
      const float got = static_cast<float>(program.replay({xor_x, xor_y})[0].item());
      ASSERT_EQ(std::memcmp(&got, &want, sizeof got), 0) << "step " << i;
    }
    EXPECT_TRUE(eager.equals(recorded));
  }
  set_num_threads(before);
}

TEST(Program, WhatChangesIsASlot) {
  const Net eager, recorded;
  Program program =
      Program::record([&](const Tensors& in) { return recorded.step(in); }, {xor_x, xor_y});
  eager.step({xor_x, xor_y});
  for (const double lr : {0.1, 0.0, 2.0}) {
    *eager.lr.data<double>() = *recorded.lr.data<double>() = lr;
    eager.step({xor_x * lr, xor_y});
    program.replay({xor_x * lr, xor_y});
    EXPECT_TRUE(eager.equals(recorded)) << "learning rate " << lr;
  }
}

TEST(Program, RandomNumbersGoOn) {
  Generator g(5), h(5);
  const Attrs three = {std::vector<int64_t>{3}};
  Program program =
      Program::record([&](const Tensors&) { return call("uniform", {g.state()}, three); }, {});
  for (int i = 0; i < 4; ++i) {
    const Tensor want = call("uniform", {h.state()}, three)[0];
    const Tensor got = i == 0 ? program.first()[0] : program.replay({})[0];
    EXPECT_EQ(std::memcmp(got.raw(), want.raw(), 12), 0) << i;
  }
}

TEST(Program, ResultsAreTheCallersOwn) {
  Program program = Program::record([](const Tensors& in) { return Tensors{in[0] + in[0], in[0]}; },
                                    {Tensor::full({2}, 1)});
  const Tensor first = program.replay({Tensor::full({2}, 2)})[0];
  const Tensor input = Tensor::full({2}, 3);
  const Tensors second = program.replay({input});
  EXPECT_EQ(first.data<float>()[0], 4) << "a later replay does not change an earlier result";
  EXPECT_EQ(second[0].data<float>()[0], 6);
  EXPECT_EQ(second[1].raw(), input.raw()) << "an input that is given back is the caller's";
  EXPECT_EQ(program.first()[0].data<float>()[0], 2);
}

TEST(Program, Errors) {
  const auto twice = [](const Tensors& in) { return Tensors{in[0] * 2.0}; };
  Program program = Program::record(twice, {Tensor::zeros({2})});
  EXPECT_THROW(program.replay({}), Error);
  EXPECT_THROW(program.replay({Tensor::zeros({3})}), Error);
  EXPECT_THROW(program.replay({Tensor::zeros({2}, DType::float64)}), Error);
  EXPECT_THROW(Program::record([](const Tensors&) -> Tensors { throw std::runtime_error("mine"); },
                               {Tensor::zeros({2})}),
               std::runtime_error);
  EXPECT_THROW(
      Program::record([&](const Tensors& in) { return Program::record(twice, in).first(); },
                      {Tensor::zeros({2})}),
      Error);
  EXPECT_THROW(
      Program::record([&](const Tensors& in) { return program.replay(in); }, {Tensor::zeros({2})}),
      Error);
  EXPECT_EQ(Program::record(twice, {Tensor::full({1}, 4)}).first()[0].item(), 8) << "still works";
}

TEST(Program, GradientsThatStayAreRefused) {
  const Tensor p = Tensor::full({2}, 1);
  set_requires_grad(p, true);
  EXPECT_THROW(Program::record(
                   [&](const Tensors& in) {
                     backward(call("sum", {p * in[0]})[0]);
                     return in;
                   },
                   {Tensor::full({2}, 1)}),
               Error);
}

// A gradient that was there before is added to, eagerly and in replay.
TEST(Program, GradientsThatWereThereGrow) {
  const Tensor p = Tensor::full({2}, 1);
  set_requires_grad(p, true);
  set_grad(p, Tensor::zeros({2}));
  Program program = Program::record(
      [&](const Tensors& in) {
        backward(call("sum", {p * in[0]})[0]);
        return in;
      },
      {Tensor::full({2}, 1)});
  program.replay({Tensor::full({2}, 10)});
  EXPECT_EQ(grad(p).data<float>()[0], 11);
}

TEST(Program, DumpNamesEverything) {
  const Net net;
  const Program program =
      Program::record([&](const Tensors& in) { return net.step(in); }, {xor_x, xor_y});
  const std::string text = program.dump();
  for (const char* part : {"linear+sigmoid", "sgd_update", "x0 (4, 2)", "h0", "t0"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
  EXPECT_EQ(program.lines().size(), program.size());
  EXPECT_EQ(program.lines()[0].second, "") << "no Python, no line";
  EXPECT_EQ(text, program.dump());
}

}  // namespace
}  // namespace ranvier
