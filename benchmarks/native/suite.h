// The rows of the suite: what is run, how much arithmetic and memory it takes, and how that becomes
// a line of Google Benchmark's table. A family of rows is a file that adds to `Rows`.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <string>
#include <vector>

#include "peak.h"
#include "ranvier/ranvier.h"

namespace bench {

using ranvier::Attrs;
using ranvier::Dims;
using ranvier::DType;
using ranvier::Tensor;
using ranvier::Tensors;

// Bytes that a call must move at least once. What is updated is read and written.
struct Traffic {
  double read = 0, written = 0, updated = 0;
  double footprint = 0;  // of all tensors that take part
  double bytes() const { return read + written + 2 * updated; }
};

struct Work {
  std::function<void()> run;
  double flops = 0;  // 0: none are counted
  Traffic traffic;
  // Timed in turns with `run`; the ratio of the medians, run / reference, is a column.
  std::function<void()> reference = nullptr;
};

struct Row {
  std::string name;  // "matmul/f32/nn/64x64x64"
  Number number = Number::f32;
  std::function<Work()> prepare;
};
using Rows = std::vector<Row>;

void add_products(Rows& rows);     // products.cpp
void add_elementwise(Rows& rows);  // elementwise.cpp
void add_row_ops(Rows& rows);      // row_ops.cpp: reductions, softmax, losses, norms
void add_updates(Rows& rows);      // updates.cpp

// ---- what rows are made of

struct Call {
  const char* op;
  Tensors inputs;
  Attrs attrs = {};
};
Work forward(Call call);
// The gradients of all floating inputs, from a graph that stays.
Work backward(Call call);
// The op and its gradients, as a training step has them.
Work forward_backward(Call call);

DType dtype_of(Number number);
Tensor uniform(const Dims& shape, DType dtype = DType::float32, double low = -1, double high = 1);
double bytes_of(const Tensor& t);
std::string sizes(std::initializer_list<int64_t> values);  // "32x784"

// ---- timing

// Seconds that the traffic takes at the bandwidths of the setting.
double least_seconds(const Setting& setting, const Traffic& traffic);

// One run of Google Benchmark's. The tensors of a row are kept until another row runs.
void run_row(const Row& row, const Setting& setting, benchmark::State& state);

}  // namespace bench
