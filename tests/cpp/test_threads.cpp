// Threads of the user: different tensors, the same read-only tensors, graphs of their own. Small as
// it all is, it is cut into pieces for several threads, which the thread sanitizer sees at work.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "ops/op.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 8;

class Threads : public testing::Test {
 protected:
  void SetUp() override {
    before_ = num_threads();
    set_num_threads(3);
    set_grain(4);
  }
  void TearDown() override {
    set_num_threads(before_);
    set_grain(0);
  }

 private:
  int before_ = 1;
};

// work(thread) in several threads that start together; what one throws is the test's failure.
void together(const std::function<void(int)>& work) {
  std::barrier start(kThreads);
  std::vector<std::thread> team;
  std::vector<std::string> errors(kThreads);
  for (int t = 0; t < kThreads; ++t)
    team.emplace_back([&, t] {
      start.arrive_and_wait();
      try {
        work(t);
      } catch (const std::exception& e) {
        errors[static_cast<size_t>(t)] = e.what();
      }
    });
  for (std::thread& t : team) t.join();
  for (const std::string& e : errors) EXPECT_EQ(e, "");
}

Tensor numbers(const Dims& shape, uint64_t seed, DType dtype = DType::float32) {
  const Generator generator(seed);
  return call(
      "uniform", {generator.state()},
      {std::vector<int64_t>(shape.begin(), shape.end()), 0.1, 0.9, static_cast<int64_t>(dtype)})[0];
}

// Bytes of the elements, for comparisons that NaN does not disturb.
std::string bytes(const Tensor& t) {
  const Tensor packed = call("contiguous", {t.detach()})[0];
  return {static_cast<const char*>(packed.raw()),
          static_cast<size_t>(packed.numel()) * size_of(packed.dtype())};
}
std::string bytes(const Tensors& tensors) {
  std::string all;
  for (const Tensor& t : tensors)
    if (t.defined()) all += bytes(t);
  return all;
}

// The first test: registry, kernel table, allocator and looked-up ops are made by whoever comes
// first, and here all come at once.
TEST_F(Threads, FirstUse) {
  std::vector<std::string> results(kThreads);
  together([&](int t) {
    const Tensor x = Tensor::from<float>({2, 2}, {1, 2, 3, 4});
    const Tensor y = call("matmul", {x, x + x})[0] * 2.0;
    results[static_cast<size_t>(t)] = bytes(call("softmax", {y})[0]) + current_isa();
  });
  for (const std::string& r : results) EXPECT_EQ(r, results[0]);
}

// Every op of one tensor that needs nothing else, on one tensor and on a view of it.
TEST_F(Threads, SameInputsForEveryOp) {
  const Tensor packed = numbers({5, 4}, 1);
  const Tensor view = call("transpose", {packed}, {int64_t{0}, int64_t{1}})[0];
  std::vector<const OpDef*> ops;
  for (const OpDef& op : registry().all()) {
    bool plain = op.inputs.size() == 1 && !op.variadic && op.mutates.empty();
    for (const AttrDef& attr : op.attrs) plain = plain && !attr.required;
    if (plain && op.gradient_of.empty()) ops.push_back(&op);
  }
  EXPECT_GT(ops.size(), 20u);
  const auto all_results = [&] {
    std::vector<std::string> results;
    for (const OpDef* op : ops)
      for (const Tensor& x : {packed, view}) {
        Attrs attrs;
        for (const AttrDef& attr : op->attrs) attrs.push_back(attr.value);
        try {
          results.push_back(bytes(run(*op, {x}, attrs)));
        } catch (const Error& e) {  // of the ops that need another dtype or shape
          results.emplace_back(e.what());
        }
      }
    return results;
  };
  const std::vector<std::string> want = all_results();
  together([&](int) { EXPECT_EQ(all_results(), want); });
}

TEST_F(Threads, ProductsSumsAndViewsOfTheSame) {
  const Tensor a = numbers({33, 17}, 2), b = numbers({17, 9}, 3), c = numbers({33, 9}, 4);
  const auto compute = [&] {
    const Tensor y = call("matmul", {a, b})[0] + c;
    const Tensor row = call("select", {y}, {int64_t{0}, int64_t{3}})[0];
    const Tensor part = call("slice", {y}, {int64_t{1}, int64_t{1}, int64_t{8}, int64_t{2}})[0];
    return bytes({y, row, part, call("sum", {part})[0], call("max", {y}, {int64_t{0}})[0],
                  call("cross_entropy", {y, call("argmax", {c}, {int64_t{1}})[0]})[0]});
  };
  const std::string want = compute();
  together([&](int) {
    for (int i = 0; i < kRounds; ++i) EXPECT_EQ(compute(), want);
  });
}

TEST_F(Threads, TensorsOfTheirOwn) {
  const auto train = [](int t) {
    const Tensor x = numbers({16, 5}, 10 + static_cast<uint64_t>(t));
    const Tensor w = numbers({3, 5}, 20 + static_cast<uint64_t>(t));
    set_requires_grad(w, true);
    for (int i = 0; i < kRounds; ++i) {
      set_grad(w, {});
      backward(call("mean", {call("linear", {x, w, {}}, {std::string("tanh")})[0]})[0]);
      const NoGrad off;
      call("sub_", {w, grad(w)});
    }
    return bytes(w);
  };
  std::vector<std::string> want, got(kThreads);
  for (int t = 0; t < kThreads; ++t) want.push_back(train(t));
  together([&](int t) { got[static_cast<size_t>(t)] = train(t); });
  EXPECT_EQ(got, want);
}

// A loss over values that all threads read.
Tensor loss_of(const Tensor& x, const Tensor& w, const Tensor& b) {
  const Tensor h = call("linear", {x, w, b}, {std::string("sigmoid")})[0];
  const Tensor flat = call("reshape", {h}, {std::vector<int64_t>{-1}})[0];
  return call("sum", {flat * flat})[0];
}

TEST_F(Threads, LeavesOfTheirOwnOverSharedValues) {
  const Tensor x = numbers({9, 6}, 30), w = numbers({4, 6}, 31), b = numbers({4}, 32);
  const auto gradient = [&] {
    const Tensor mine = w.detach(), bias = b.detach();
    set_requires_grad(mine, true);
    set_requires_grad(bias, true);
    for (int i = 0; i < kRounds; ++i) backward(loss_of(x, mine, bias));
    return bytes({grad(mine), grad(bias)});
  };
  const std::string want = gradient();
  together([&](int) { EXPECT_EQ(gradient(), want); });
}

// The leaves themselves are shared; gradients() gives its results away instead of adding them up.
TEST_F(Threads, SharedLeaves) {
  const Tensor x = numbers({9, 6}, 33), w = numbers({4, 6}, 34), b = numbers({4}, 35);
  for (const Tensor& t : {w, b}) set_requires_grad(t, true);
  const Tensor view = call("transpose", {w}, {int64_t{0}, int64_t{1}})[0];
  const auto gradient = [&] {
    const Tensor back = call("transpose", {view}, {int64_t{0}, int64_t{1}})[0];
    return bytes(
        gradients({loss_of(x, w, b) + loss_of(x, back, b)}, {w, b}, {}, {.retain_graph = true}));
  };
  const std::string want = gradient();
  together([&](int) {
    for (int i = 0; i < kRounds; ++i) EXPECT_EQ(gradient(), want);
  });
}

// Several losses over one shared part of a graph, which every walk passes.
TEST_F(Threads, SharedGraph) {
  const Tensor w = numbers({4, 6}, 36);
  set_requires_grad(w, true);
  const Tensor h = call("tanh", {w * w})[0];
  const auto gradient = [&] {
    const Tensor loss = call("sum", {h * h})[0];
    return bytes(gradients({loss}, {w}, {}, {.retain_graph = true}));
  };
  const std::string want = gradient();
  together([&](int) {
    for (int i = 0; i < kRounds; ++i) EXPECT_EQ(gradient(), want);
  });
}

TEST_F(Threads, GeneratorsOfTheirOwn) {
  const auto draw = [](int t) {
    const Generator generator(static_cast<uint64_t>(t));
    std::string all;
    for (int i = 0; i < kRounds; ++i)
      all += bytes(call("normal", {generator.state()},
                        {std::vector<int64_t>{7}, 0.0, 1.0, static_cast<int64_t>(DType::float32)}));
    return all;
  };
  std::vector<std::string> want, got(kThreads);
  for (int t = 0; t < kThreads; ++t) want.push_back(draw(t));
  together([&](int t) { got[static_cast<size_t>(t)] = draw(t); });
  EXPECT_EQ(got, want);
}

// What one thread makes another one drops, memory and graph.
TEST_F(Threads, HandedOver) {
  std::mutex mutex;
  Tensor waiting = numbers({8}, 40);
  set_requires_grad(waiting, true);
  together([&](int) {
    for (int i = 0; i < 20 * kRounds; ++i) {
      Tensor mine;
      {
        const std::lock_guard lock(mutex);
        mine = waiting;
      }
      mine = call("tanh", {mine + mine})[0];
      const std::lock_guard lock(mutex);
      waiting = mine;
    }
  });
  EXPECT_EQ(waiting.numel(), 8);
}

TEST_F(Threads, RecordingsOfTheirOwn) {
  const Tensor w = numbers({3, 4}, 41);
  const auto replayed = [&](int t) {
    const Tensor x = numbers({2, 4}, 42);
    const auto step = [&](const Tensors& in) -> Tensors {
      return {call("linear", {in[0], w, {}})[0] * 2.0};
    };
    auto program = Program::record(step, {x});
    return bytes(program.replay({numbers({2, 4}, 50 + static_cast<uint64_t>(t))}));
  };
  std::vector<std::string> want, got(kThreads);
  for (int t = 0; t < kThreads; ++t) want.push_back(replayed(t));
  together([&](int t) { got[static_cast<size_t>(t)] = replayed(t); });
  EXPECT_EQ(got, want);
}

// One program for all of them, while the number of threads that a replay has changes.
TEST_F(Threads, ReplaysOfTheSame) {
  const Tensor w = numbers({30, 40}, 41), b = numbers({30}, 42);
  Program program = Program::record(
      [&](const Tensors& in) -> Tensors {
        return {call("softmax", {call("linear", {in[0], w, b}, {std::string("relu")})[0]})[0]};
      },
      {numbers({20, 40}, 43)});
  std::vector<std::string> want;
  for (int t = 0; t < kThreads; ++t)
    want.push_back(bytes(program.replay({numbers({20, 40}, 50 + static_cast<uint64_t>(t))})[0]));
  together([&](int t) {
    const Tensor x = numbers({20, 40}, 50 + static_cast<uint64_t>(t));
    for (int i = 0; i < 4 * kRounds; ++i) {
      if (t == 0) set_num_threads(1 + i % 3);
      EXPECT_EQ(bytes(program.replay({x})[0]), want[static_cast<size_t>(t)]);
    }
  });
}

// Each trains a model of its own by a program of its own: forward, loss, backward and update.
TEST_F(Threads, TrainingsOfTheirOwn) {
  const auto trained = [](int t) {
    const Generator generator(static_cast<uint64_t>(t) + 1);
    const Tensor w = numbers({5, 20}, 60 + static_cast<uint64_t>(t));
    const Tensor rate = Tensor::full({}, 0.1, DType::float64);
    set_requires_grad(w, true);
    const auto step = [&](const Tensors& in) -> Tensors {
      set_grad(w, {});
      const Tensor h =
          call("dropout", {generator.state(), call("linear", {in[0], w})[0]}, {0.2})[0];
      const Tensor loss = call("cross_entropy", {h, in[1]})[0];
      backward(loss);
      const NoGrad off;
      call("sgd_update", {w, grad(w), rate});
      return {loss};
    };
    const Tensors batch = {numbers({12, 20}, 70), Tensor::zeros({12}, DType::int64)};
    Program program = Program::record(step, batch);
    std::string all;
    for (int i = 0; i < 2 * kRounds; ++i) all += bytes(program.replay(batch)[0]);
    return all + bytes(w) + bytes(grad(w));
  };
  std::vector<std::string> want, got(kThreads);
  for (int t = 0; t < kThreads; ++t) want.push_back(trained(t));
  together([&](int t) { got[static_cast<size_t>(t)] = trained(t); });
  EXPECT_EQ(got, want);
}

}  // namespace
}  // namespace ranvier
