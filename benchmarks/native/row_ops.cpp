// Reductions, softmax, losses and norms: what reads rows or columns as a whole.
#include "suite.h"

namespace bench {
namespace {

using Shape = std::pair<int64_t, int64_t>;  // rows, columns
using Axes = std::vector<int64_t>;

std::string name(const char* op, const char* what, Shape shape) {
  return std::string(op) + "/f32/" + what + "/" + sizes({shape.first, shape.second});
}

Tensor matrix(Shape shape) { return uniform({shape.first, shape.second}); }

// ---- reductions

constexpr Shape kReduced[] = {{100, 100}, {1000, 1000}, {10000, 1000}};

void add_reductions(Rows& rows) {
  for (const char* op : {"sum", "mean", "amax", "var", "norm", "all"})
    for (const Shape& shape : kReduced) {
      const auto add = [&](const char* what, Attrs attrs) {
        rows.push_back({.name = name(op, what, shape), .prepare = [=] {
                          return forward({.op = op, .inputs = {matrix(shape)}, .attrs = attrs});
                        }});
      };
      // The axes are the first attribute, but for norm's, which has the order before them.
      const bool second = std::string(op) == "norm";
      const auto along = [&](Axes axes) { return second ? Attrs{2.0, axes} : Attrs{axes}; };
      add("everything", {});
      add("rows", along({1}));
      add("columns", along({0}));
    }
}

// ---- softmax and losses

constexpr Shape kClasses[] = {{32, 10},   {128, 10},    {768, 65},
                              {500, 333}, {4096, 1000}, {1024, 50257}};

Tensor labels(Shape shape) {
  const Tensor target = Tensor::empty({shape.first}, DType::int64);
  for (int64_t row = 0; row < shape.first; ++row)
    target.data<int64_t>()[row] = row * 7919 % shape.second;
  return target;
}

void add_softmax(Rows& rows) {
  for (const char* op : {"softmax", "log_softmax"})
    for (const Shape& shape : kClasses) {
      const auto call = [=] { return Call{.op = op, .inputs = {matrix(shape)}}; };
      rows.push_back(
          {.name = name(op, "forward", shape), .prepare = [=] { return forward(call()); }});
      rows.push_back(
          {.name = name(op, "backward", shape), .prepare = [=] { return backward(call()); }});
    }
}

void add_cross_entropy(Rows& rows) {
  for (const Shape& shape : kClasses) {
    const auto call = [=] {
      return Call{.op = "cross_entropy", .inputs = {matrix(shape), labels(shape)}};
    };
    rows.push_back({.name = name("cross_entropy", "forward", shape),
                    .prepare = [=] { return forward(call()); }});
    rows.push_back({.name = name("cross_entropy", "forward+backward", shape),
                    .prepare = [=] { return forward_backward(call()); }});
  }
}

// ---- norms

constexpr Shape kNormed[] = {{128, 64}, {768, 128}, {1000, 300}, {4096, 1024}};

Call norm(const std::string& op, Shape shape) {
  const Tensor x = matrix(shape), weight = uniform({shape.second}), bias = uniform({shape.second});
  if (op == "batch_norm")
    return {.op = "batch_norm", .inputs = {x, Tensor(), Tensor(), weight, bias, Tensor()}};
  if (op == "rms_norm")
    return {.op = "rms_norm", .inputs = {x, weight}, .attrs = {Axes{shape.second}}};
  return {.op = "layer_norm", .inputs = {x, weight, bias}, .attrs = {Axes{shape.second}}};
}

void add_norms(Rows& rows) {
  for (const char* op : {"layer_norm", "rms_norm", "batch_norm"})
    for (const Shape& shape : kNormed) {
      rows.push_back({.name = name(op, "forward", shape),
                      .prepare = [=] { return forward(norm(op, shape)); }});
      rows.push_back({.name = name(op, "forward+backward", shape),
                      .prepare = [=] { return forward_backward(norm(op, shape)); }});
    }
}

}  // namespace

void add_row_ops(Rows& rows) {
  add_reductions(rows);
  add_softmax(rows);
  add_cross_entropy(rows);
  add_norms(rows);
}

}  // namespace bench
