// Products of vectors and matrices under the names that PyTorch gives them. All but `dot` are
// compositions of matmul and mul, so gradients of any order come from those.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/matmul.h"
#include "ranvier/autograd.h"

namespace ranvier {
namespace {

Tensor product(const Tensor& a, const Tensor& b) {
  static const Op matmul("matmul");
  return matmul({a, b});
}

Tensor with_axis(const Tensor& t, int64_t axis) {
  static const Op unsqueeze("unsqueeze");
  return unsqueeze({t}, {axis});
}

void check_ranks(const InferArgs& args, std::initializer_list<int> ranks) {
  static constexpr const char* kNames[] = {"a single number", "a vector", "a matrix",
                                           "a batch of matrices (3 axes)"};
  size_t i = args.in.size() - ranks.size();  // those before broadcast
  for (const int rank : ranks) {
    if (args.in[i].shape.size() != rank)
      args.mismatch(std::string(kNames[rank]) + " for '" + args.op().input_name(i) + "'");
    ++i;
  }
}

// ---- dot

Metas infer_dot(const InferArgs& args) {
  check_factors(args);
  check_ranks(args, {1, 1});
  if (args.in[0].shape[0] != args.in[1].shape[0]) args.mismatch("vectors of one length");
  return {{{}, args.in[0].dtype}};
}

// Products in blocks of kSumBlock, each summed in lanes, then a running sum over the blocks' sums
// in double: the order depends on the length alone.
template <class T>
T dot_floats(const T* a, const T* b, int64_t n) {
  const MapFn multiply =
      kernel_table().forward[registry().find("mul")->row][static_cast<int>(DTypeOf<T>::value)];
  const int64_t blocks = (n + kSumBlock - 1) / kSumBlock;
  const Scratch memory(static_cast<size_t>(std::max<int64_t>(blocks, 1)) * sizeof(double));
  double* const partial = reinterpret_cast<double*>(memory.get());
  parallel_items(blocks, kSumBlock, kGrainCopied, [&](int64_t begin, int64_t end) {
    T terms[kSumBlock];
    for (int64_t block = begin; block < end; ++block) {
      const int64_t first = block * kSumBlock, size = std::min<int64_t>(kSumBlock, n - first);
      const void* in[] = {a + first, b + first};
      multiply(size, in, terms, 0);
      partial[block] = static_cast<double>(kernels<T>().sum(size, terms));
    }
  });
  double total = 0;
  for (int64_t block = 0; block < blocks; ++block) total += partial[block];
  return static_cast<T>(total);
}

void dot_forward(const ForwardArgs& args) {
  const Tensor a = packed(args.in[0]), b = packed(args.in[1]);
  visit(a.dtype(), [&]<class T>(Tag<T>) {
    const T *x = a.data<T>(), *y = b.data<T>();
    T* const out = args.out[0].data<T>();
    if constexpr (std::is_floating_point_v<T>) {
      *out = dot_floats(x, y, a.numel());
    } else {
      uint64_t sum = 0;
      for (int64_t i = 0; i < a.numel(); ++i)
        sum += static_cast<uint64_t>(x[i]) * static_cast<uint64_t>(y[i]);
      *out = static_cast<T>(sum);
    }
  });
}

Tensors dot_backward(const BackwardArgs& args) {
  Tensors grads(2);
  if (args.needs[0]) grads[0] = args.grad[0] * args.in[1];
  if (args.needs[1]) grads[1] = args.grad[0] * args.in[0];
  return grads;
}

// ---- two factors

Metas infer_mm(const InferArgs& args) {
  check_factors(args);
  check_ranks(args, {2, 2});
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  if (a[1] != b[0]) args.mismatch("matrices (n, m) and (m, p)");
  return {{{a[0], b[1]}, args.in[0].dtype}};
}

Metas infer_bmm(const InferArgs& args) {
  check_factors(args);
  check_ranks(args, {3, 3});
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  if (a[0] != b[0] || a[2] != b[1]) args.mismatch("batches (b, n, m) and (b, m, p)");
  return {{{a[0], a[1], b[2]}, args.in[0].dtype}};
}

Metas infer_mv(const InferArgs& args) {
  check_factors(args);
  check_ranks(args, {2, 1});
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  if (a[1] != b[0]) args.mismatch("a matrix (n, m) and a vector (m,)");
  return {{{a[0]}, args.in[0].dtype}};
}

Metas infer_outer(const InferArgs& args) {
  check_ranks(args, {1, 1});
  return {
      {{args.in[0].shape[0], args.in[1].shape[0]}, promote(args.in[0].dtype, args.in[1].dtype)}};
}

Tensors outer_composite(const Tensors& in, const AttrReader&) {
  return {with_axis(in[0], 1) * in[1]};
}

Metas infer_inner(const InferArgs& args) {
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  if (a.empty() || b.empty())
    return {{a.empty() ? b : a, promote(args.in[0].dtype, args.in[1].dtype)}};
  check_factors(args);
  if (a.back() != b.back()) args.mismatch("last axes of one size");
  Dims out(a.begin(), static_cast<size_t>(a.size() - 1));
  for (int i = 0; i + 1 < b.size(); ++i) out.push_back(b[i]);
  return {{out, args.in[0].dtype}};
}

Tensors inner_composite(const Tensors& in, const AttrReader&) {
  static const Op dot("dot");
  const Dims &a = in[0].shape(), &b = in[1].shape();
  if (a.empty() || b.empty()) return {in[0] * in[1]};
  if (a.size() == 1 && b.size() == 1) return {dot(in)};
  Dims out(a.begin(), static_cast<size_t>(a.size() - 1));
  for (int i = 0; i + 1 < b.size(); ++i) out.push_back(b[i]);
  const auto rows = [](const Tensor& t) {
    const Dims& shape = t.shape();
    const Dims leading(shape.begin(), static_cast<size_t>(shape.size() - 1));
    return t.dim() == 2 ? t : reshaped_to(t, {count(leading), shape.back()});
  };
  return {reshaped_to(product(rows(in[0]), swapped(rows(in[1]))), out)};
}

// ---- beta input + alpha (product)

// `given`, of the op's attributes, as a factor of numbers of `dtype`.
double factor(const AttrReader& args, int i, DType dtype) {
  const double value = args.number(i);
  const bool fits = is_half(dtype) || visit(dtype, [&]<class T>(Tag<T>) {
                      using Limits = std::numeric_limits<T>;
                      return !Limits::is_integer ||
                             (value == std::trunc(value) && value >= double(Limits::min()) &&
                              value <= double(Limits::max()));
                    });
  if (!fits)
    fail(ErrorKind::value, "[", args.op().name, "] expected a whole number that ", name_of(dtype),
         " holds for '", args.op().attrs[static_cast<size_t>(i)].name, "', got ", value);
  return value;
}

Metas added_to(const InferArgs& args, const Dims& out) {
  check_factors(args);
  const Dims& input = args.in[0].shape;
  const int extra = out.size() - input.size();
  bool fits = extra >= 0;
  for (int i = 0; fits && i < input.size(); ++i) fits = input[i] == 1 || input[i] == out[i + extra];
  if (!fits) args.mismatch("an input that broadcasts to the product's shape " + to_string(out));
  factor(args, 0, args.in[0].dtype);
  factor(args, 1, args.in[0].dtype);
  return {{out, args.in[0].dtype}};
}

// 0 for any values of t, and with a gradient of 0.
Tensor nothing_of(const Tensor& t) {
  static const Op slice("slice"), sum("sum");
  return sum({slice({reshaped_to(t, {t.numel()})}, {int64_t{0}, int64_t{0}, int64_t{0}})});
}

// With beta = 0 the input's values do not count: NaN does not travel.
Tensor sum_of(const AttrReader& args, const Tensor& input, const Tensor& product) {
  const double beta = args.number(0), alpha = args.number(1);
  const Tensor scaled = alpha == 1 ? product : product * alpha;
  if (beta == 0) return requires_grad(input) ? scaled + nothing_of(input) : scaled;
  return (beta == 1 ? input : input * beta) + scaled;
}

Metas infer_addmm(const InferArgs& args) {
  check_ranks(args, {2, 2});
  const Dims &a = args.in[1].shape, &b = args.in[2].shape;
  if (a[1] != b[0]) args.mismatch("matrices (n, m) and (m, p)");
  return added_to(args, {a[0], b[1]});
}

Metas infer_addmv(const InferArgs& args) {
  check_ranks(args, {2, 1});
  const Dims &a = args.in[1].shape, &b = args.in[2].shape;
  if (a[1] != b[0]) args.mismatch("a matrix (n, m) and a vector (m,)");
  return added_to(args, {a[0]});
}

Metas infer_addr(const InferArgs& args) {
  check_ranks(args, {1, 1});
  return added_to(args, {args.in[1].shape[0], args.in[2].shape[0]});
}

void check_batches(const InferArgs& args) {
  check_ranks(args, {3, 3});
  const Dims &a = args.in[1].shape, &b = args.in[2].shape;
  if (a[0] != b[0] || a[2] != b[1]) args.mismatch("batches (b, n, m) and (b, m, p)");
}

Metas infer_baddbmm(const InferArgs& args) {
  check_batches(args);
  const Dims &a = args.in[1].shape, &b = args.in[2].shape;
  return added_to(args, {a[0], a[1], b[2]});
}

Metas infer_addbmm(const InferArgs& args) {
  check_batches(args);
  return added_to(args, {args.in[1].shape[1], args.in[2].shape[2]});
}

// The batch becomes part of the inner axis: one long chain for each element.
Tensors addbmm_composite(const Tensors& in, const AttrReader& args) {
  static const Op permute("permute");
  const Dims &a = in[1].shape(), &b = in[2].shape();
  const Tensor rows = permute({in[1]}, {std::vector<int64_t>{1, 0, 2}});
  const Tensor flat = reshaped_to(rows, {a[1], a[0] * a[2]});
  return {sum_of(args, in[0], product(flat, reshaped_to(in[2], {b[0] * b[1], b[2]})))};
}

// ---- chains

// Which product of the chain i..j comes last where the whole takes the fewest multiplications
// (Cormen, Leiserson, Rivest, Stein, "Introduction to Algorithms", section 15.2).
struct ChainOrder {
  size_t n;
  std::vector<size_t> cuts;
  explicit ChainOrder(const std::vector<double>& sizes) : n(sizes.size() - 1), cuts(n * n, 0) {
    std::vector<double> cost(n * n, 0);
    for (size_t length = 2; length <= n; ++length)
      for (size_t i = 0; i + length <= n; ++i) {
        const size_t j = i + length - 1;
        cost[i * n + j] = std::numeric_limits<double>::infinity();
        for (size_t k = i; k < j; ++k) {
          const double total =
              cost[i * n + k] + cost[(k + 1) * n + j] + sizes[i] * sizes[k + 1] * sizes[j + 1];
          if (total < cost[i * n + j]) {
            cost[i * n + j] = total;
            cuts[i * n + j] = k;
          }
        }
      }
  }
  Tensor multiply(const Tensors& in, size_t i, size_t j) const {
    if (i == j) return in[i];
    const size_t k = cuts[i * n + j];
    return product(multiply(in, i, k), multiply(in, k + 1, j));
  }
};

Metas infer_chain(const InferArgs& args) {
  if (args.in.size() < 1)
    fail(ErrorKind::type, "[chain_matmul] expected at least one matrix, got none");
  check_factors(args);
  for (size_t i = 0; i < args.in.size(); ++i) {
    const Dims& shape = args.in[i].shape;
    if (shape.size() != 2)
      fail(ErrorKind::shape, "[chain_matmul] expected matrices, got ", to_string(shape),
           " at place ", i);
    if (i > 0 && args.in[i - 1].shape[1] != shape[0])
      fail(ErrorKind::shape, "[chain_matmul] expected as many rows as the matrix before has ",
           "columns, got ", to_string(args.in[i - 1].shape), " and ", to_string(shape),
           " at places ", i - 1, " and ", i);
  }
  return {{{args.in[0].shape[0], args.in[args.in.size() - 1].shape[1]}, args.in[0].dtype}};
}

Tensors chain_composite(const Tensors& in, const AttrReader&) {
  std::vector<double> sizes = {static_cast<double>(in[0].shape()[0])};
  for (const Tensor& t : in) sizes.push_back(static_cast<double>(t.shape()[1]));
  return {ChainOrder(sizes).multiply(in, 0, in.size() - 1)};
}

// ---- trace, kron, cross

Metas infer_trace(const InferArgs& args) {
  check_ranks(args, {2});
  const DType dtype = args.in[0].dtype;
  return {{{}, is_floating(dtype) ? dtype : DType::int64}};
}

Tensors trace_composite(const Tensors& in, const AttrReader&) {
  static const Op sum("sum"), slice("slice");
  const int64_t n = std::min(in[0].shape()[0], in[0].shape()[1]);
  const Tensor rows = slice({in[0]}, {int64_t{0}, int64_t{0}, n});
  return {sum({diagonal_of(slice({rows}, {int64_t{1}, int64_t{0}, n}), 0, 1)})};
}

Metas infer_kron(const InferArgs& args) {
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  const int n = std::max(a.size(), b.size());
  if (2 * n > Dims::kMax) args.mismatch("at most " + std::to_string(Dims::kMax / 2) + " axes each");
  Dims out;
  for (int i = 0; i < n; ++i) {
    const int ia = i - (n - a.size()), ib = i - (n - b.size());
    out.push_back(count({ia < 0 ? 1 : a[ia], ib < 0 ? 1 : b[ib]}));
  }
  return {{out, promote(args.in[0].dtype, args.in[1].dtype)}};
}

Tensors kron_composite(const Tensors& in, const AttrReader&) {
  const Dims &a = in[0].shape(), &b = in[1].shape();
  const int n = std::max(a.size(), b.size());
  Dims left, right, out;
  for (int i = 0; i < n; ++i) {
    const int ia = i - (n - a.size()), ib = i - (n - b.size());
    const int64_t x = ia < 0 ? 1 : a[ia], y = ib < 0 ? 1 : b[ib];
    for (const auto& [to, first, second] :
         {std::tuple{&left, x, int64_t{1}}, std::tuple{&right, int64_t{1}, y}}) {
      to->push_back(first);
      to->push_back(second);
    }
    out.push_back(x * y);
  }
  return {reshaped_to(reshaped_to(in[0], left) * reshaped_to(in[1], right), out)};
}

// The axis of the vectors: the given one, or the first of size 3.
int cross_axis(const AttrReader& args, const Dims& shape) {
  if (args.given(0)) return normal_axis("cross", args.integer(0), shape.size());
  for (int i = 0; i < shape.size(); ++i)
    if (shape[i] == 3) return i;
  fail(ErrorKind::shape, "[cross] expected an axis of size 3, got ", to_string(shape));
}

Metas infer_cross(const InferArgs& args) {
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  if (a.size() != b.size()) args.mismatch("equally many axes");
  const int axis = cross_axis(args, a);
  if (a[axis] != 3 || b[axis] != 3)
    args.mismatch("size 3 on axis " + std::to_string(axis) + " of both");
  return {{broadcast(args, a, b), promote(args.in[0].dtype, args.in[1].dtype)}};
}

Tensors cross_composite(const Tensors& in, const AttrReader& args) {
  static const Op index_select("index_select");
  const int64_t axis = cross_axis(args, in[0].shape());
  const auto turned = [&](const Tensor& t, int64_t by) {
    const Tensor order = Tensor::empty({3}, DType::int64);
    for (int64_t i = 0; i < 3; ++i) order.data<int64_t>()[i] = (i + by) % 3;
    return index_select({t, order}, {axis});
  };
  return {turned(in[0], 1) * turned(in[1], 2) - turned(in[0], 2) * turned(in[1], 1)};
}

// ---- declarations

const Formula kProduct = {"x y", "x\\,y", {{"x", "g y^T", "g\\,y^T"}, {"y", "x^T g", "x^T g"}}};

void declare_two_factors(Registry& r) {
  r.add(
      {.name = "dot",
       .doc = "Sum of the products of two vectors' elements.",
       .inputs = {"input", "tensor"},
       .infer = infer_dot,
       .forward = dot_forward,
       .backward = dot_backward,
       .saves = {"input for tensor", "tensor for input"},
       .formula = {"sum(x y)", R"(\sum_i x_i y_i)", {{"x", "g y", "g\\,y"}, {"y", "g x", "g\\,x"}}},
       .example = "rv.dot(rv.tensor([1.0, 2.0]), rv.tensor([3.0, 4.0]))",
       .method = true});
  const auto add = [&](const char* name, const char* doc, std::vector<std::string> inputs,
                       Metas (*infer)(const InferArgs&),
                       Tensors (*composite)(const Tensors&, const AttrReader&), Formula formula,
                       const char* example) {
    r.add({.name = name,
           .doc = doc,
           .inputs = std::move(inputs),
           .infer = infer,
           .composite = composite,
           .formula = std::move(formula),
           .example = example,
           .method = true});
  };
  const auto plain = [](const Tensors& in, const AttrReader&) -> Tensors {
    return {product(in[0], in[1])};
  };
  const Formula sum = {
      "sum(x y)", R"(\sum_i x_i y_i)", {{"x", "g y", "g\\,y"}, {"y", "g x", "g\\,x"}}};
  const Formula pairs = {"x_i y_j",
                         "x_i y_j",
                         {{"x", "sum over j of g y_j", R"(\sum_j g_{ij} y_j)"},
                          {"y", "sum over i of g x_i", R"(\sum_i g_{ij} x_i)"}}};
  add("mm", "Product of two matrices.", {"input", "mat2"}, infer_mm, plain, kProduct,
      "rv.mm(rv.ones(2, 3), rv.ones(3, 4))");
  add("bmm", "Products of the matrices of two batches, pair by pair.", {"input", "mat2"}, infer_bmm,
      plain, kProduct, "rv.bmm(rv.ones(5, 2, 3), rv.ones(5, 3, 4))");
  add("mv", "Product of a matrix and a vector.", {"input", "vec"}, infer_mv, plain, kProduct,
      "rv.mv(rv.ones(2, 3), rv.ones(3))");
  add(
      "vdot", "Sum of the products of two vectors' elements; `dot`, as all numbers are real.",
      {"input", "other"}, infer_dot,
      [](const Tensors& in, const AttrReader&) -> Tensors { return call("dot", in); }, sum,
      "rv.vdot(rv.ones(2), rv.ones(2))");
  add("inner", "Sums of products along the last axes of both; of numbers and tensors the product.",
      {"input", "other"}, infer_inner, inner_composite, sum,
      "rv.inner(rv.ones(2, 3), rv.ones(4, 3))");
  add("outer", "All products of an element of one vector and one of the other.", {"input", "vec2"},
      infer_outer, outer_composite, pairs, "rv.outer(rv.ones(2), rv.ones(3))");
  add("ger", "`outer` under its older name.", {"input", "vec2"}, infer_outer, outer_composite,
      pairs, "rv.ger(rv.ones(2), rv.ones(3))");
  add("kron", "Kronecker product: every element of one times the whole of the other.",
      {"input", "other"}, infer_kron, kron_composite, pairs, "rv.kron(rv.eye(2), rv.ones(2, 2))");
}

void declare_added(Registry& r) {
  const auto add = [&](const char* name, const char* doc, const char* first, const char* second,
                       Metas (*infer)(const InferArgs&),
                       Tensors (*composite)(const Tensors&, const AttrReader&),
                       const char* example) {
    r.add({.name = name,
           .doc = doc,
           .inputs = {"input", first, second},
           .attrs = {{.name = "beta", .kind = AttrKind::number, .value = 1.0, .keyword = true},
                     {.name = "alpha", .kind = AttrKind::number, .value = 1.0, .keyword = true}},
           .infer = infer,
           .composite = composite,
           .formula = {"beta c + alpha x y",
                       R"(\beta c+\alpha\,x y)",
                       {{"c", "beta g", R"(\beta g)"},
                        {"x", "alpha g y^T", R"(\alpha\,g y^T)"},
                        {"y", "alpha x^T g", R"(\alpha\,x^T g)"}}},
           .example = example,
           .method = true});
  };
  const auto plain = [](const Tensors& in, const AttrReader& args) -> Tensors {
    return {sum_of(args, in[0], product(in[1], in[2]))};
  };
  add("addmm", "beta * input + alpha * (mat1 @ mat2) of matrices; the input broadcasts.", "mat1",
      "mat2", infer_addmm, plain, "rv.addmm(rv.ones(4), rv.ones(2, 3), rv.ones(3, 4))");
  add("addmv", "beta * input + alpha * (mat @ vec); the input broadcasts.", "mat", "vec",
      infer_addmv, plain, "rv.addmv(rv.ones(2), rv.ones(2, 3), rv.ones(3))");
  add(
      "addr", "beta * input + alpha * outer(vec1, vec2); the input broadcasts.", "vec1", "vec2",
      infer_addr,
      [](const Tensors& in, const AttrReader& args) -> Tensors {
        return {sum_of(args, in[0], with_axis(in[1], 1) * in[2])};
      },
      "rv.addr(rv.ones(2, 3), rv.ones(2), rv.ones(3))");
  add("baddbmm", "beta * input + alpha * (batch1 @ batch2), pair by pair; the input broadcasts.",
      "batch1", "batch2", infer_baddbmm, plain,
      "rv.baddbmm(rv.ones(4), rv.ones(5, 2, 3), rv.ones(5, 3, 4))");
  add("addbmm", "beta * input + alpha * the sum of the products of two batches' matrices.",
      "batch1", "batch2", infer_addbmm, addbmm_composite,
      "rv.addbmm(rv.ones(4), rv.ones(5, 2, 3), rv.ones(5, 3, 4))");
}

}  // namespace

void declare_matrix_products(Registry& r) {
  declare_two_factors(r);
  declare_added(r);
  r.add({.name = "chain_matmul",
         .doc = "Product of matrices in the order that takes the fewest multiplications.",
         .inputs = {"matrices*"},
         .infer = infer_chain,
         .composite = chain_composite,
         .formula = {"x_1 x_2 ... x_n",
                     R"(x_1 x_2 \cdots x_n)",
                     {{"x_i", "(x_1 ... x_{i-1})^T g (x_{i+1} ... x_n)^T",
                       R"((x_1\cdots x_{i-1})^T g\,(x_{i+1}\cdots x_n)^T)"}}},
         .example = "rv.chain_matmul(rv.ones(2, 3), rv.ones(3, 4), rv.ones(4, 1))"});
  r.add({.name = "trace",
         .doc = "Sum of a matrix' diagonal; int64 for integers.",
         .inputs = {"input"},
         .infer = infer_trace,
         .composite = trace_composite,
         .formula = {"sum of x_ii", R"(\sum_i x_{ii})", {{"x", "g on the diagonal", "g\\,I"}}},
         .example = "rv.trace(rv.eye(3))",
         .method = true});
  r.add(
      {.name = "cross",
       .doc = "Vector product along an axis of size 3, the first such axis unless told otherwise.",
       .inputs = {"input", "other"},
       .attrs = {{.name = "dim", .kind = AttrKind::integer, .value = {}, .optional = true}},
       .infer = infer_cross,
       .composite = cross_composite,
       .formula = {"x cross y",
                   R"(x\times y)",
                   {{"x", "y cross g", R"(y\times g)"}, {"y", "g cross x", R"(g\times x)"}}},
       .example = "rv.cross(rv.tensor([1.0, 0.0, 0.0]), rv.tensor([0.0, 1.0, 0.0]))",
       .method = true});
}

}  // namespace ranvier
