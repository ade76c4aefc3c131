// The derivatives of elementwise.def once more, as expressions over tensors: what backward needs
// to be differentiated itself. Every name that a derivative calls stands for an op of the registry.
#include <algorithm>
#include <cmath>

#include "ops/elementwise.h"

namespace ranvier {
namespace {

// A tensor, or a number until it meets one.
struct Graph {
  Tensor t;
  double c = 0;
};
struct Truth {
  Tensor t;
  DType dtype;  // of what was compared
};

Tensor beside(const Graph& g, const Graph& other) {
  return g.t.defined() ? g.t : scalar(g.c, other.t.dtype());
}
Graph apply(const Op& op, const Graph& x) { return {op({x.t})}; }
Graph apply(const Op& op, const Graph& x, const Graph& y) {
  return {op({beside(x, y), beside(y, x)})};
}
Truth compare(const char* name, const Graph& x, const Graph& y) {
  return {call(name, {beside(x, y), beside(y, x)})[0], (x.t.defined() ? x : y).t.dtype()};
}

#define RV_GRAPH_1(function, op)   \
  Graph function(const Graph& x) { \
    static const Op f(op);         \
    return apply(f, x);            \
  }
// Two numbers stay a number.
#define RV_GRAPH_2(function, op, folded)                            \
  Graph function(const Graph& x, const Graph& y) {                  \
    static const Op f(op);                                          \
    if (!x.t.defined() && !y.t.defined()) return Graph{{}, folded}; \
    return apply(f, x, y);                                          \
  }
RV_GRAPH_1(operator-, "neg")
RV_GRAPH_1(abs, "abs")
RV_GRAPH_1(sqrt, "sqrt")
RV_GRAPH_1(exp, "exp")
RV_GRAPH_1(exp2, "exp2")
RV_GRAPH_1(log, "log")
RV_GRAPH_1(log1p, "log1p")
RV_GRAPH_1(tanh, "tanh")
RV_GRAPH_1(sin, "sin")
RV_GRAPH_1(cos, "cos")
RV_GRAPH_1(sinh, "sinh")
RV_GRAPH_1(cosh, "cosh")
RV_GRAPH_1(sigmoid, "sigmoid")
RV_GRAPH_1(floor_, "floor")
RV_GRAPH_1(trunc_, "trunc")
RV_GRAPH_1(erfc, "erfc")
RV_GRAPH_2(operator+, "add", x.c + y.c)
RV_GRAPH_2(operator-, "sub", x.c - y.c)
RV_GRAPH_2(operator*, "mul", x.c* y.c)
RV_GRAPH_2(operator/, "div", x.c / y.c)
RV_GRAPH_2(pow, "pow", std::pow(x.c, y.c))
RV_GRAPH_2(max_, "maximum", std::max(x.c, y.c))
#undef RV_GRAPH_1
#undef RV_GRAPH_2

Graph fma(const Graph& x, const Graph& y, const Graph& z) { return x * y + z; }
Graph normcdf(const Graph& x) { return Graph{{}, 0.5} * erfc(x * Graph{{}, -0.7071067811865476}); }
Truth lt(const Graph& x, const Graph& y) { return compare("lt", x, y); }
Truth le(const Graph& x, const Graph& y) { return compare("le", x, y); }
Truth eq(const Graph& x, const Graph& y) { return compare("eq", x, y); }
Graph select(const Truth& m, const Graph& x, const Graph& y) {
  static const Op where("where");
  const auto tensor = [&](const Graph& g) { return g.t.defined() ? g.t : scalar(g.c, m.dtype); };
  return {where({m.t, tensor(x), tensor(y)})};
}

// In the shape of the gradient that came in.
Tensor like(const Graph& value, const Tensor& g) {
  if (value.t.defined()) return value.t;
  static const Op expand("expand");
  return expand({scalar(value.c, g.dtype())},
                {std::vector<int64_t>(g.shape().begin(), g.shape().end())});
}

#define K(c) \
  Graph { {}, c }

// Inputs are grad, input, other and result, as the kernel's.
template <Row row, bool First>
Tensors slope(const Tensors& in, const AttrReader& args) {
  const Graph g{in[0]};
  [[maybe_unused]] const Graph x{in[1]}, y{in[2]}, z{in[3]}, a{{}, attribute_of(args)};
#define RV_UNARY(name, doc, types, attr, f, text, latex, uses, dx, ...) \
  if constexpr (row == Row::name) return {like(dx, in[0])};
#define RV_BINARY(name, doc, types, f, text, latex, ux, dx, dxt, dxl, uy, dy, dyt, dyl) \
  if constexpr (row == Row::name) return {First ? like(dx, in[0]) : like(dy, in[0])};
#define RV_LOSS(name, doc, attr, f, text, latex, dx, dxt, dxl, dy, dyt, dyl) \
  if constexpr (row == Row::name) return {First ? like(dx, in[0]) : like(dy, in[0])};
#include "ops/elementwise.def"
}

// The loss of each element.
template <Row row>
Tensor loss_of(const Tensors& in, const AttrReader& args) {
  const Graph x{in[0]}, y{in[1]};
  [[maybe_unused]] const Graph a{{}, attribute_of(args)};
#define RV_LOSS(name, doc, attr, f, ...) \
  if constexpr (row == Row::name) return (f).t;
#include "ops/elementwise.def"
}

template <Row row>
Tensors gradients(const BackwardArgs& args) {
  const Graph g{args.grad[0]}, x{args.in[0]}, a{{}, attribute_of(args)};
  constexpr Defaults not_given = defaults_of(row);
  const Graph y{args.in[1], not_given.second}, w{args.in[2], not_given.third};
  Tensors grads(3);
  const auto put = [&](size_t i, const auto& slope_of) {
    if (args.needs[i])
      grads[i] = reduce_to(like(slope_of(), g.t), args.in_meta[i].shape, args.held_by(i));
  };
#define RV_TERNARY(name, doc, types, attr, second, third, f, text, latex, ux, dx, dxt, dxl, uy, \
                   dy, dyt, dyl, uw, dw, dwt, dwl)                                              \
  if constexpr (row == Row::name) {                                                             \
    put(0, [&] { return dx; });                                                                 \
    put(1, [&] { return dy; });                                                                 \
    put(2, [&] { return dw; });                                                                 \
  }
#include "ops/elementwise.def"
  return grads;
}

}  // namespace
#undef K

Composite slope_composite(Row row, bool first) {
  switch (row) {
#define RV_UNARY(name, ...) \
  case Row::name:           \
    return slope<Row::name, true>;
#define RV_BINARY(name, ...) \
  case Row::name:            \
    return first ? slope<Row::name, true> : slope<Row::name, false>;
#define RV_LOSS(name, ...) \
  case Row::name:          \
    return first ? slope<Row::name, true> : slope<Row::name, false>;
#include "ops/elementwise.def"
    default:
      return nullptr;
  }
}

Tensor loss_graph(Row row, const Tensors& in, const AttrReader& args) {
  switch (row) {
#define RV_LOSS(name, ...) \
  case Row::name:          \
    return loss_of<Row::name>(in, args);
#include "ops/elementwise.def"
    default:
      return {};
  }
}

Backward ternary_backward(Row row) {
  switch (row) {
#define RV_TERNARY(name, ...) \
  case Row::name:             \
    return gradients<Row::name>;
#include "ops/elementwise.def"
    default:
      return nullptr;
  }
}

}  // namespace ranvier
