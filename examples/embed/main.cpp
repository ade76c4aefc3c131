// Trains exclusive-or in C++, first step by step and then as a recorded program.
#include <cstdio>

#include "ranvier/ranvier.h"

using ranvier::Op;
using ranvier::Tensor;
using ranvier::Tensors;

int main() {
  static const Op linear("linear"), mse_loss("mse_loss"), uniform("uniform"), update("sgd_update");
  const Tensor x = Tensor::from<float>({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});
  const Tensor y = Tensor::from<float>({4, 1}, {0, 1, 1, 0});
  const Tensor lr = Tensor::full({}, 2.0, ranvier::DType::float64);

  ranvier::Generator random(0);
  const auto parameter = [&](std::vector<int64_t> shape) {
    Tensor p = uniform({random.state()}, {std::move(shape), -1.0, 1.0});
    ranvier::set_requires_grad(p, true);
    return p;
  };
  const Tensors net = {parameter({8, 2}), parameter({8}), parameter({1, 8}), parameter({1})};
  const auto predict = [&](const Tensor& input) {
    const Tensor hidden = linear({input, net[0], net[1]}, {std::string("tanh")});
    return linear({hidden, net[2], net[3]}, {std::string("sigmoid")});
  };
  const auto step = [&](const Tensors& batch) -> Tensors {
    for (const Tensor& p : net) ranvier::set_grad(p, {});
    const Tensor loss = mse_loss({predict(batch[0]), batch[1]});
    ranvier::backward(loss);
    const ranvier::NoGrad off;
    for (const Tensor& p : net) update({p, ranvier::grad(p), lr});
    return {loss};
  };

  try {
    ranvier::Program program = ranvier::Program::record(step, {x, y});
    Tensor loss = program.first()[0];
    for (int i = 1; i < 2000; ++i) loss = program.replay({x, y})[0];
    std::printf("loss %.2g after 2000 steps of %zu instructions\n", loss.item(), program.size());
    const Tensor p = predict(x);
    for (int i = 0; i < 4; ++i)
      std::printf("%g xor %g = %.3f\n", double(x.data<float>()[2 * i]),
                  double(x.data<float>()[2 * i + 1]), double(p.data<float>()[i]));
  } catch (const ranvier::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
