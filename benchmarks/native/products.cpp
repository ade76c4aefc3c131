// Matrix products: squares with their neighbours, the products of layers, thin and odd shapes.
#include "suite.h"

namespace bench {
namespace {

// C (m, n) = A (m, k) B (k, n). The layout says of each factor whether its rows (n) or its columns
// (t) are adjacent in memory.
struct Product {
  int64_t m, n, k;
  const char* layout = "nn";
  Number number = Number::f32;
};

constexpr Number kDouble = Number::f64, kBrain = Number::bf16;

constexpr int64_t kSquares[] = {32,  33,  48,  64,  65,   100,  127, 128,
                                200, 256, 300, 512, 1000, 1024, 2048};

constexpr Product kProducts[] = {
    {512, 512, 512, "nt"},
    {512, 512, 512, "tn"},
    {512, 512, 512, "tt"},
    // forward, weight's and input's gradient of a layer
    {32, 128, 784},
    {784, 128, 32, "tn"},
    {32, 784, 128, "nt"},
    {128, 1024, 1024},
    {1024, 1024, 128, "tn"},
    {128, 1024, 1024, "nt"},
    // one row, one column
    {1, 128, 784},
    {1, 1024, 1024},
    {1, 1024, 1024, "nt"},
    {1024, 1, 1024},
    // few rows, tall, wide, deep, odd
    {4, 512, 784},
    {8, 1024, 1024},
    {7, 300, 100},
    {50, 10, 100},
    {200, 1000, 784},
    {333, 777, 555},
    {3, 3, 5000},
    {3, 5000, 3},
    {5000, 3, 3},
    {4096, 64, 64},
    {64, 4096, 64},
    // float64
    {32, 32, 32, "nn", kDouble},
    {128, 128, 128, "nn", kDouble},
    {256, 256, 256, "nn", kDouble},
    {300, 300, 300, "nn", kDouble},
    {512, 512, 512, "nt", kDouble},
    {1024, 1024, 1024, "nn", kDouble},
    {1, 1024, 1024, "nn", kDouble},
    // bfloat16
    {128, 128, 128, "nn", kBrain},
    {256, 256, 256, "nn", kBrain},
    {1024, 1024, 1024, "nn", kBrain},
    {32, 128, 784, "nn", kBrain},
};

// (rows, cols), with adjacent columns where `turned`.
Tensor factor(int64_t rows, int64_t cols, bool turned, DType dtype) {
  if (!turned) return uniform({rows, cols}, dtype);
  return uniform({cols, rows}, dtype).alias({rows, cols}, {1, rows}, 0);
}

void add(Rows& rows, const Product& p) {
  rows.push_back({.name = std::string("matmul/") + name_of(p.number) + "/" + p.layout + "/" +
                          sizes({p.m, p.n, p.k}),
                  .number = p.number,
                  .prepare = [p] {
                    const DType dtype = dtype_of(p.number);
                    return forward({.op = "matmul",
                                    .inputs = {factor(p.m, p.k, p.layout[0] == 't', dtype),
                                               factor(p.k, p.n, p.layout[1] == 't', dtype)}});
                  }});
}

void add_batched(Rows& rows, int64_t batch, int64_t n, int64_t k) {
  rows.push_back(
      {.name = "matmul/f32/nn/" + std::to_string(batch) + "*" + sizes({n, n, k}), .prepare = [=] {
         return forward(
             {.op = "matmul", .inputs = {uniform({batch, n, k}), uniform({batch, k, n})}});
       }});
}

// A layer with bias and activation in one pass.
void add_linear(Rows& rows, int64_t batch, int64_t outputs, int64_t inputs) {
  const std::string size = sizes({batch, outputs, inputs});
  const auto call = [=] {
    return Call{
        .op = "linear",
        .inputs = {uniform({batch, inputs}), uniform({outputs, inputs}), uniform({outputs})},
        .attrs = {std::string("relu")}};
  };
  rows.push_back(
      {.name = "linear_relu/f32/forward/" + size, .prepare = [call] { return forward(call()); }});
  rows.push_back({.name = "linear_relu/f32/forward+backward/" + size, .prepare = [call] {
                    const Call layer = call();
                    const double flops = forward(layer).flops;
                    Work work = forward_backward(layer);
                    work.flops = 3 * flops;
                    return work;
                  }});
}

}  // namespace

void add_products(Rows& rows) {
  for (const int64_t n : kSquares) add(rows, {n, n, n});
  for (const Product& product : kProducts) add(rows, product);
  add_batched(rows, 48, 64, 32);
  add_linear(rows, 32, 128, 784);
  add_linear(rows, 128, 512, 784);
}

}  // namespace bench
