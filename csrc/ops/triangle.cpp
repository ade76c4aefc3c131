// Triangles and diagonals of matrices, and grids of coordinates.
#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/indices.h"

namespace ranvier {
namespace {

std::vector<int64_t> list(const Dims& dims) { return {dims.begin(), dims.end()}; }

// ---- tril and triu

Dims matrix_shape(const InferArgs& args) {
  if (args.in[0].shape.size() < 2) args.mismatch("a matrix, or several (two axes or more)");
  return args.in[0].shape;
}

// Zeros what lies beyond the diagonal, on one side of it.
template <bool Lower>
void triangle_change(const ForwardArgs& args, const Tensor& target) {
  const Dims& shape = target.shape();
  const int64_t rows = shape[shape.size() - 2], cols = shape.back();
  if (target.numel() == 0) return;
  // Far beyond both corners every diagonal is the same.
  const int64_t diagonal = std::clamp(args.integer(0), -rows, cols);
  visit_size(size_of(target.dtype()), [&]<class T>(Tag<T>) {
    parallel_items(target.numel() / cols, cols, kGrainCopied, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* const row = target.data<T>() + i * cols;
        // The first column of the row that is above the diagonal, or on it for triu.
        const int64_t at = std::clamp<int64_t>(i % rows + diagonal + (Lower ? 1 : 0), 0, cols);
        if (Lower)
          std::fill_n(row + at, cols - at, T(0));
        else
          std::fill_n(row, at, T(0));
      }
    });
  });
}

template <bool Lower>
void declare_triangle(Registry& r, const char* name, const char* doc, const char* latex) {
  declare_change<matrix_shape, triangle_change<Lower>>(
      r, {.name = name,
          .doc = doc,
          .inputs = {"input"},
          .attrs = {{.name = "diagonal", .kind = AttrKind::integer, .value = int64_t{0}}},
          .moves = true,
          .backward = [](const BackwardArgs& args) -> Tensors {
            return call(args.op().name, {args.grad[0]}, args.all());
          },
          .formula = {"x on one side of a diagonal, 0 elsewhere",
                      latex,
                      {{"x", "g on that side, 0 elsewhere", "g"}}},
          .example = std::string("rv.") + name + "(rv.ones(3, 3))"});
}

// ---- diagonals

// A matrix for every row along the last axis: the gradient of taking a diagonal does just that.
Tensors diag_embed_composite(const Tensors& in, const AttrReader& args) {
  const Tensor& x = in[0];
  if (x.dim() == 0) fail(ErrorKind::shape, "[diag_embed] expected one axis or more, got shape ()");
  const int64_t offset = args.integer(0);
  const int dim1 = normal_axis("diag_embed", args.integer(1), x.dim() + 1);
  const int dim2 = normal_axis("diag_embed", args.integer(2), x.dim() + 1);
  if (dim1 == dim2)
    fail(ErrorKind::value, "[diag_embed] expected two different axes, got ", args.integer(1),
         " and ", args.integer(2));
  int64_t size = x.shape().back();
  if (offset == INT64_MIN || __builtin_add_overflow(size, offset < 0 ? -offset : offset, &size))
    fail(ErrorKind::shape, "[diag_embed] expected an offset that fits into memory, got ", offset);
  Dims shape;
  for (int i = 0, at = 0; i <= x.dim(); ++i)
    shape.push_back(i == dim1 || i == dim2 ? size : x.shape()[at++]);
  return call("diagonal_backward", {x}, {list(shape), offset, int64_t{dim1}, int64_t{dim2}});
}

void declare_diagonals(Registry& r) {
  const Formula formula = {"x on a diagonal, 0 elsewhere",
                           R"(\mathrm{diag}(x))",
                           {{"x", "the diagonal of g", R"(\mathrm{diag}(g))"}}};
  r.add({.name = "diag_embed",
         .doc = "Matrices with the input's last axis on a diagonal and zeros elsewhere.",
         .inputs = {"input"},
         .attrs = {{.name = "offset", .kind = AttrKind::integer, .value = int64_t{0}},
                   {.name = "dim1", .kind = AttrKind::integer, .value = int64_t{-2}},
                   {.name = "dim2", .kind = AttrKind::integer, .value = int64_t{-1}}},
         .composite = diag_embed_composite,
         .formula = formula,
         .example = "rv.diag_embed(rv.ones(2))",
         .method = true});
  r.add({.name = "diag",
         .doc = "A matrix with a vector on a diagonal, or a copy of the diagonal of a matrix.",
         .inputs = {"input"},
         .attrs = {{.name = "diagonal", .kind = AttrKind::integer, .value = int64_t{0}}},
         .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
           static const Op diagonal("diagonal"), contiguous("contiguous");
           const int axes = in[0].dim();
           if (axes == 1) return call("diag_embed", {in[0]}, {args.integer(0)});
           if (axes != 2)
             fail(ErrorKind::shape, "[diag] expected a vector or a matrix, got shape ",
                  to_string(in[0].shape()));
           return {contiguous({diagonal({in[0]}, {args.integer(0)})})};
         },
         .formula = formula,
         .example = "rv.diag(rv.ones(2))",
         .method = true});
}

// ---- grids

Tensors meshgrid_composite(const Tensors& in, const AttrReader& args) {
  static const Op reshape("reshape"), expand("expand");
  const bool xy = args.given(0) && args.text(0) == "xy" && in.size() > 1;
  std::vector<int64_t> shape;
  for (const Tensor& t : in) shape.push_back(t.numel());
  if (xy) std::swap(shape[0], shape[1]);
  Tensors grids;
  for (size_t i = 0; i < in.size(); ++i) {
    std::vector<int64_t> line(in.size(), 1);
    line[xy && i < 2 ? 1 - i : i] = in[i].numel();
    grids.push_back(expand({reshape({in[i]}, {line})}, {shape}));
  }
  return grids;
}

Metas infer_meshgrid(const InferArgs& args) {
  if (args.in.empty()) fail(ErrorKind::value, "[meshgrid] expected at least one tensor, got none");
  if (args.given(0) && args.text(0) != "ij" && args.text(0) != "xy")
    fail(ErrorKind::value, "[meshgrid] expected 'ij' or 'xy' for 'indexing', got '", args.text(0),
         "'");
  for (size_t i = 0; i < args.in.size(); ++i) {
    if (args.in[i].shape.size() > 1)
      fail(ErrorKind::shape, "[meshgrid] expected vectors, got tensor ", i, " of shape ",
           to_string(args.in[i].shape));
    if (args.in[i].dtype != args.in[0].dtype)
      fail(ErrorKind::type, "[meshgrid] expected tensors of one dtype, got ",
           name_of(args.in[0].dtype), " and ", name_of(args.in[i].dtype));
  }
  return {};
}

void declare_grids(Registry& r) {
  const Formula formula = {"x_i along axis i of a grid",
                           "x_i",
                           {{"x_i", "sum of g over the other axes", R"(\sum g_i)"}}};
  r.add({.name = "meshgrid",
         .doc = "Views of vectors as the coordinates of a grid: the i-th varies along axis i, with "
                "indexing='xy' the first two the other way round.",
         .inputs = {"tensors*"},
         .outputs = {"results*"},
         .attrs = {{.name = "indexing",
                    .kind = AttrKind::text,
                    .value = {},
                    .optional = true,
                    .keyword = true}},
         .infer = infer_meshgrid,
         .composite = meshgrid_composite,
         .formula = formula,
         .example = "rv.meshgrid(rv.arange(2), rv.arange(3), indexing='ij')"});
  r.add({.name = "cartesian_prod",
         .doc = "All combinations of the elements of vectors, one row each.",
         .inputs = {"tensors*"},
         .infer = [](const InferArgs& args) -> Metas {
           if (args.in.empty())
             fail(ErrorKind::value, "[cartesian_prod] expected at least one tensor, got none");
           for (size_t i = 0; i < args.in.size(); ++i)
             if (args.in[i].shape.size() != 1)
               fail(ErrorKind::shape, "[cartesian_prod] expected vectors, got tensor ", i,
                    " of shape ", to_string(args.in[i].shape));
           return {};
         },
         .composite = [](const Tensors& in, const AttrReader&) -> Tensors {
           static const Op meshgrid("meshgrid"), reshape("reshape"), stack("stack");
           if (in.size() == 1) return {in[0]};
           Tensors columns;
           for (const Tensor& t : meshgrid.all(in))
             columns.push_back(reshape({t}, {std::vector<int64_t>{-1}}));
           return {stack(columns, {int64_t{1}})};
         },
         .formula = formula,
         .example = "rv.cartesian_prod(rv.arange(2), rv.arange(3))"});
}

}  // namespace

void declare_triangles(Registry& r) {
  declare_triangle<true>(r, "tril", "The lower triangle of matrices, zeros above a diagonal.",
                         R"(x_{ij} [j \le i + d])");
  declare_triangle<false>(r, "triu", "The upper triangle of matrices, zeros below a diagonal.",
                          R"(x_{ij} [j \ge i + d])");
  declare_diagonals(r);
  declare_grids(r);
}

}  // namespace ranvier
