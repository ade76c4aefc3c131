// Ops called from C++: by name and by handle, with everything that a caller can get wrong, and
// the registry's own checks. Values of every op are tested from Python, over the case table.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "ops/op.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

ErrorKind kind_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()).front(), '[') << e.what();
    return e.kind();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorKind::runtime;
}

std::vector<float> values(const Tensor& t) {
  EXPECT_TRUE(t.is_contiguous());
  return {t.data<float>(), t.data<float>() + t.numel()};
}

const Tensor a = Tensor::from<float>({2, 3}, {1, -2, 3, -4, 5, -6});
const Tensor b = Tensor::from<float>({3}, {10, 20, 30});

TEST(Ops, ByNameAndByHandle) {
  EXPECT_EQ(values(call("add", {a, b})[0]), (std::vector<float>{11, 18, 33, 6, 25, 24}));
  const Op relu("relu");
  EXPECT_EQ(values(relu({a})), (std::vector<float>{1, 0, 3, 0, 5, 0}));
  EXPECT_EQ(relu.def().name, "relu");
  EXPECT_EQ(values(-(a * 2.0) / 4.0), values(a * Tensor::full({}, -0.5)));
  EXPECT_EQ(call("sum", {a})[0].item(), -3);
  EXPECT_EQ(call("sum", {a}, {std::vector<int64_t>{1}, true})[0].shape(), (Dims{2, 1}));
}

TEST(Ops, WrongCalls) {
  EXPECT_EQ(kind_of([] { call("no_such_op", {}); }), ErrorKind::key);
  EXPECT_EQ(kind_of([] { Op("no_such_op")({a}); }), ErrorKind::key);
  EXPECT_EQ(kind_of([] { call("relu", {a, a}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("relu", {}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("add", {a, Tensor()}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("relu", {a}, {true}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("transpose", {a}, {int64_t{0}}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("transpose", {a}, {0.0, 1.0}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("softmax", {a}, {std::string("one")}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("softmax", {a}, {Attr{}}); }), ErrorKind::type);
  EXPECT_EQ(kind_of([] { call("cast", {a}, {int64_t{99}}); }), ErrorKind::value);
  EXPECT_EQ(kind_of([] { call("cast", {a}, {int64_t{-1}}); }), ErrorKind::value);
  EXPECT_EQ(kind_of([] { call("add", {a, Tensor::zeros({4})}); }), ErrorKind::shape);
  EXPECT_EQ(kind_of([] { call("matmul", {a, a}); }), ErrorKind::shape);
  EXPECT_EQ(kind_of([] { call("matmul", {a, Tensor::zeros({3, 1}, DType::float64)}); }),
            ErrorKind::type);
}

TEST(Ops, NumbersTakeTheTypeOfTheAttribute) {
  EXPECT_EQ(values(call("leaky_relu", {a}, {int64_t{2}})[0]),
            (std::vector<float>{1, -4, 3, -8, 5, -12}));
}

TEST(Ops, EveryGradientKernelRefusesNonsense) {
  const Tensors pool = {Tensor(),
                        Tensor::zeros({2}),
                        Tensor::zeros({50000}),
                        Tensor::zeros({2}, DType::int64),
                        Tensor::zeros({2, 3}, DType::float64),
                        Tensor::full({50000}, 1e6, DType::int64),
                        Tensor::zeros({0})};
  const auto attr = [](const AttrDef& def, size_t n) -> Attr {
    switch (def.kind) {
      case AttrKind::flag:
        return n % 2 == 0;
      case AttrKind::integer:
        return int64_t(n % 3) - 1;
      case AttrKind::number:
        return 0.5;
      case AttrKind::text:
        return std::string(n % 2 ? "mean" : "none");
      case AttrKind::integers:
        return std::vector<int64_t>{3};
      case AttrKind::dtype:
        return int64_t{0};
    }
    return {};
  };
  size_t n = 1;
  for (const OpDef& op : registry().all()) {
    if (op.gradient_of.empty()) continue;
    for (int round = 0; round < 300; ++round) {
      Tensors in;
      Attrs attrs;
      for (size_t i = 0; i < op.inputs.size(); ++i)
        in.push_back(pool[(n = n * 6364136223846793005u + 1442695040888963407u) / 7 % pool.size()]);
      for (const AttrDef& def : op.attrs) attrs.push_back(attr(def, n / 11));
      try {
        call(op.name, in, attrs);
      } catch (const Error&) {
      }
    }
  }
}

TEST(Ops, ResultsDoNotShareMemoryUnlessTheyAreViews) {
  const Tensor x = Tensor::from<float>({3}, {1, 2, 3});
  for (const char* name : {"relu", "clone", "contiguous", "abs", "exp"})
    EXPECT_NE(call(name, {x})[0].raw(), x.raw()) << name;
  EXPECT_NE(call("pow", {x, Tensor::from<float>({}, {1})})[0].raw(), x.raw());
  EXPECT_NE(call("cast", {x}, {int64_t{0}})[0].raw(), x.raw());
  EXPECT_EQ(call("reshape", {x}, {std::vector<int64_t>{3, 1}})[0].raw(), x.raw());
}

TEST(Ops, DenseLayoutsAreKept) {
  const Tensor turned = call("transpose", {a}, {int64_t{0}, int64_t{1}})[0];
  EXPECT_EQ(call("exp", {turned})[0].strides(), turned.strides());
  EXPECT_EQ(clone(turned).strides(), turned.strides());
  EXPECT_TRUE(call("contiguous", {turned})[0].is_contiguous());
  EXPECT_TRUE((turned + Tensor::zeros({3, 2})).is_contiguous());
}

TEST(Ops, ConstantMemoryIsNotWrittenTo) {
  const Tensor x = Tensor::zeros({3});
  x.impl()->storage->read_only = true;
  EXPECT_EQ(kind_of([&] { call("fill_", {x}, {1.0}); }), ErrorKind::runtime);
  EXPECT_EQ(kind_of([&] { x += x; }), ErrorKind::runtime);
  EXPECT_EQ(x.data<float>()[0], 0);
}

TEST(Ops, FirstUseByManyThreads) {
  const Op shared("tanh");
  std::vector<float> results(8);
  std::vector<std::thread> team;
  for (float& r : results)
    team.emplace_back([&] { r = static_cast<float>(shared({Tensor::full({1}, 0.5)}).item()); });
  for (std::thread& thread : team) thread.join();
  for (const float r : results) EXPECT_NEAR(r, std::tanh(0.5), 1e-7);
}

OpDef minimal(std::string name) {
  return {.name = std::move(name),
          .doc = "",
          .inputs = {"input"},
          .infer = same_as_first,
          .forward = [](const ForwardArgs&) {}};
}

TEST(Registry, MistakesInDeclarationsAreFound) {
  Registry r;
  r.add(minimal("one"));
  EXPECT_NE(r.find("one"), nullptr);
  EXPECT_EQ(r.find("two"), nullptr);
  EXPECT_THROW(r.add(minimal("one")), std::logic_error);
  OpDef saves = minimal("saves");
  saves.saves = {"nothing"};
  EXPECT_THROW(r.add(saves), std::logic_error);
  OpDef mutates = minimal("mutates");
  mutates.mutates = {"nothing"};
  EXPECT_THROW(r.add(mutates), std::logic_error);
  OpDef no_infer = minimal("no_infer");
  no_infer.infer = nullptr;
  EXPECT_THROW(r.add(no_infer), std::logic_error);
  OpDef empty = minimal("empty");
  empty.forward = nullptr;
  EXPECT_THROW(r.add(empty), std::logic_error);
  OpDef odd = minimal("odd");
  odd.arguments = {"input", "more"};
  EXPECT_THROW(r.add(odd), std::logic_error);
}

TEST(Registry, OptionalInputsAreMarked) {
  const OpDef& linear = *registry().find("linear");
  EXPECT_EQ(linear.inputs.back(), "bias");
  EXPECT_TRUE(linear.optional.back());
  EXPECT_FALSE(linear.optional.front());
}

TEST(Random, GeneratorsAreStreams) {
  Generator g(7);
  EXPECT_EQ(g.seed(), 7u);
  const Attrs two = {std::vector<int64_t>{2}}, four = {std::vector<int64_t>{4}};
  const Tensor first = call("uniform", {g.state()}, four)[0];
  g.manual_seed(7);
  EXPECT_EQ(values(call("uniform", {g.state()}, four)[0]), values(first));
  g.manual_seed(UINT64_MAX);
  EXPECT_EQ(g.seed(), UINT64_MAX);
  call("uniform", {g.state()}, two);
  EXPECT_EQ(g.state().data<int64_t>()[1], 1) << "one counter gives four numbers";
  EXPECT_EQ(default_generator().state().shape(), Dims{2});
}

}  // namespace
}  // namespace ranvier
