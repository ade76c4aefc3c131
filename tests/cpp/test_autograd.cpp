// Reverse-mode differentiation from C++: numbers worked out by hand, sharing, errors, lifetimes.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <thread>
#include <vector>

#include "ops/op.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

Tensor leaf(const Dims& shape, std::initializer_list<double> numbers) {
  const Tensor t = Tensor::from<double>(shape, numbers);
  set_requires_grad(t, true);
  return t;
}

std::vector<double> values(const Tensor& t) {
  const Tensor packed = call("contiguous", {t.detach()})[0];
  return {packed.data<double>(), packed.data<double>() + packed.numel()};
}

// Two neurons, two inputs, relu, mean squared error.
//   z = x W^T + b = (1*1 + 2*0.5 + 0.5, 1*-1 + 2*-1 + 0) = (2.5, -3); h = (2.5, 0)
//   loss = ((2.5 - 1)^2 + (0 - 1)^2) / 2 = 1.625; dL/dh = (1.5, -1); dL/dz = (1.5, 0)
TEST(Autograd, LinearReluMse) {
  const Tensor x = leaf({1, 2}, {1, 2}), w = leaf({2, 2}, {1, 0.5, -1, -1}),
               b = leaf({2}, {0.5, 0});
  const Tensor target = Tensor::from<double>({1, 2}, {1, 1});
  for (const bool fused : {true, false}) {
    for (const Tensor& t : {x, w, b}) set_grad(t, {});
    const Tensor h = fused ? call("linear", {x, w, b}, {std::string("relu")})[0]
                           : call("relu", {call("linear", {x, w, b})[0]})[0];
    const Tensor loss = call("mse_loss", {h, target})[0];
    EXPECT_DOUBLE_EQ(loss.item(), 1.625);
    backward(loss);
    EXPECT_EQ(values(grad(x)), (std::vector<double>{1.5, 0.75}));
    EXPECT_EQ(values(grad(w)), (std::vector<double>{1.5, 3, 0, 0}));
    EXPECT_EQ(values(grad(b)), (std::vector<double>{1.5, 0}));
  }
}

// The textbook's neuron: half-squared error, sigmoid, w 0.5, a 0.8, b 0.1, y 1.
TEST(Autograd, TextbookNeuron) {
  const Tensor w = leaf({1, 1}, {0.5}), b = leaf({1}, {0.1});
  const Tensor a = Tensor::from<double>({1, 1}, {0.8});
  const Tensor y = call("linear", {a, w, b}, {std::string("sigmoid")})[0];
  backward(call("half_squared_error", {y, Tensor::from<double>({1, 1}, {1})})[0]);
  EXPECT_NEAR(grad(b).item(), -0.0887, 5e-5);
  EXPECT_NEAR(grad(w).item(), -0.0710, 5e-5);
  const double s = 1 / (1 + std::exp(-0.5));
  EXPECT_NEAR(grad(b).item(), (s - 1) * s * (1 - s), 1e-15);
}

TEST(Autograd, GradientsAddUp) {
  const Tensor x = leaf({2}, {3, 4});
  const Tensor y = call("sum", {x * x})[0];
  backward(y, {}, true);
  EXPECT_EQ(values(grad(x)), (std::vector<double>{6, 8}));
  const Tensor held = grad(x);
  backward(y);
  EXPECT_TRUE(grad(x).same(held)) << "added in place";
  EXPECT_EQ(values(held), (std::vector<double>{12, 16}));
  EXPECT_THROW(backward(y), Error);
  set_grad(x, {});
  EXPECT_FALSE(grad(x).defined());
}

TEST(Autograd, SeedIsNotKept) {
  const Tensor x = leaf({2}, {3, 4}), seed = Tensor::from<double>({2}, {1, 2});
  backward(x + x * 0.0, seed);
  EXPECT_NE(grad(x).raw(), seed.raw());
  const Tensor z = leaf({2}, {0, 0});
  backward(z, seed);
  EXPECT_NE(grad(z).raw(), seed.raw());
}

TEST(Autograd, Errors) {
  const Tensor x = leaf({2}, {1, 2});
  EXPECT_THROW(backward(Tensor::zeros({1})), Error);
  EXPECT_THROW(backward(x * 2.0), Error);
  EXPECT_THROW(backward(x * 2.0, Tensor::zeros({2})), Error) << "float32 for float64";
  EXPECT_THROW(set_requires_grad(Tensor::zeros({2}, DType::int64), true), Error);
  EXPECT_THROW(set_requires_grad(x * 2.0, false), Error);
  EXPECT_THROW(set_grad(x, Tensor::zeros({3}, DType::float64)), Error);
  EXPECT_THROW(x += x, Error);
  EXPECT_FALSE(grad(x).defined());
}

TEST(Autograd, NoGradIsAScopeOfItsThread) {
  const Tensor x = leaf({1}, {2});
  {
    const NoGrad off;
    EXPECT_FALSE(requires_grad(x * 2.0));
    bool elsewhere = false;
    std::thread([&] { elsewhere = requires_grad(x * 2.0); }).join();
    EXPECT_TRUE(elsewhere);
    try {
      const NoGrad again;
      fail(ErrorKind::value, "[test]");
    } catch (const Error&) {
    }
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE(grad_enabled());
}

TEST(Autograd, AnErrorInBackwardLeavesTheModeAlone) {
  const Tensor x = leaf({2}, {1, 2});
  const Tensor y = call("square", {x})[0];
  {
    const NoGrad off;
    x += Tensor::full({2}, 1, DType::float64);
  }
  EXPECT_THROW(backward(y, Tensor::full({2}, 1, DType::float64)), Error);
  EXPECT_TRUE(grad_enabled());
  EXPECT_FALSE(grad(x).defined());
}

// 2000 paths of a ladder: nodes are visited once each, in time linear in their number.
TEST(Autograd, SharedNodesAreVisitedOnce) {
  const Tensor x = leaf({1}, {1});
  Tensor y = x;
  for (int i = 0; i < 1000; ++i) y = (y + y) * 0.5;
  backward(y);
  EXPECT_EQ(grad(x).item(), 1);
}

TEST(Autograd, DeepGraphsNeedNoStack) {
  for (const bool run : {true, false}) {
    const Tensor x = leaf({1}, {0.5});
    Tensor y = x;
    for (int i = 0; i < 100000; ++i) y = call("tanh", {y})[0];
    if (run) {
      backward(y);
      EXPECT_TRUE(std::isfinite(grad(x).item()));
    }
  }
}

// The handle to an early result, freed last, must not free the rest recursively either.
TEST(Autograd, ResultsMayDieInAnyOrder) {
  const Tensor x = leaf({1}, {0.5});
  Tensors kept = {x};
  for (int i = 0; i < 30000; ++i) kept.push_back(call("sigmoid", {kept.back()})[0]);
  const Tensor last = kept.back();
  kept = {};
  backward(last);
  EXPECT_TRUE(grad(x).defined());
}

TEST(Autograd, GraphsOfManyThreads) {
  const Tensor w = leaf({8, 8}, {1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6,
                                 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4,
                                 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8});
  std::vector<std::thread> team;
  for (int i = 0; i < 4; ++i)
    team.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const Tensor x = clone(w.detach());
        set_requires_grad(x, true);
        backward(call("sum", {call("matmul", {x, w.detach()})[0]})[0]);
        ASSERT_EQ(grad(x).data<double>()[0], 36);
      }
    });
  for (std::thread& thread : team) thread.join();
}

// An op with a kernel and no backward of its own: x (x + 1), differentiated by its composite.
Registry with_composite() {
  Registry r;
  r.add({.name = "twice_plus",
         .inputs = {"input"},
         .infer = [](const InferArgs& args) -> Metas { return {args.in[0]}; },
         .forward =
             [](const ForwardArgs& args) {
               const float* x = args.in[0].data<float>();
               for (int64_t i = 0; i < args.in[0].numel(); ++i)
                 args.out[0].data<float>()[i] = x[i] * (x[i] + 1);
             },
         .composite = [](const Tensors& in, const AttrReader&) -> Tensors {
           return {in[0] * in[0] + in[0]};
         },
         .saves = {"input"}});
  return r;
}

TEST(Autograd, AnOpWithoutBackwardGoesThroughItsComposite) {
  const Registry r = with_composite();
  const OpDef& op = *r.find("twice_plus");
  const Op sum("sum");
  const Tensor x = Tensor::from<float>({3}, {1, 2, 3});
  set_requires_grad(x, true);
  const auto step = [&](const Tensors&) -> Tensors {
    set_grad(x, {});
    backward(sum({run(op, {x}, {})[0]}));
    return {};
  };
  step({});
  const float expected[] = {3, 5, 7};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(grad(x).data<float>()[i], expected[i]);
  EXPECT_EQ(r.find("twice_plus")->name, "twice_plus");
  Program program = Program::record(step, {});
  program.replay({});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(grad(x).data<float>()[i], expected[i]);
}

TEST(Autograd, UndefinedTensorsAreErrors) {
  EXPECT_THROW(backward(Tensor()), Error);
  EXPECT_THROW(grad(Tensor()), Error);
  EXPECT_THROW(requires_grad(Tensor()), Error);
  EXPECT_THROW(set_requires_grad(Tensor(), true), Error);
  EXPECT_THROW(set_grad(Tensor(), Tensor()), Error);
  Program program = Program::record([](const Tensors& in) -> Tensors { return {in[0] * 2.0}; },
                                    {Tensor::zeros({2})});
  EXPECT_THROW(program.replay({Tensor()}), Error);
}

TEST(Autograd, TooManyInputsAreAnError) {
  const Tensor x = Tensor::zeros({2, 2});
  EXPECT_THROW(Op("matmul")({x, x, Tensor::zeros({2}, DType::int64)}), Error);
}

}  // namespace
}  // namespace ranvier
