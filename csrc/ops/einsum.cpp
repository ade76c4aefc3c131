// einsum and tensordot. A contraction is brought down to views, sums and one batched product for
// each pair of operands, all of them ops, so gradients of any order come from those.
#include <algorithm>
#include <optional>

#include "ops/families.h"
#include "ops/matmul.h"

namespace ranvier {
namespace {

// Axes go by labels: letters in the order in which an implicit result has them, then what an
// ellipsis stands for, counted from the right as in broadcasting.
constexpr int kLetters = 52, kEllipsis = kLetters, kLabels = kLetters + Dims::kMax;
using Labels = SmallVector<int, Dims::kMax>;

int label_of(char c) { return c < 'a' ? c - 'A' : c - 'a' + 26; }
char letter_of(int label) { return static_cast<char>(label < 26 ? 'A' + label : 'a' + label - 26); }

bool has(const Labels& labels, int label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

template <class... Parts>
[[noreturn]] void wrong(const std::string& equation, const Parts&... parts) {
  fail(ErrorKind::shape, "[einsum] '", equation, "': ", parts...);
}

// One side of a comma; kEllipsis stands for the dots.
struct Term {
  Labels labels;
  bool dots = false;
};

Term term_of(const std::string& equation, size_t begin, size_t end) {
  Term term;
  for (size_t i = begin; i < end; ++i) {
    const char c = equation[i];
    if (c == ' ') continue;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      term.labels.push_back(label_of(c));
    } else if (equation.compare(i, 3, "...") == 0 && i + 3 <= end) {
      if (term.dots) wrong(equation, "expected '...' once in an operand, got it twice");
      term.dots = true;
      term.labels.push_back(kEllipsis);
      i += 2;
    } else {
      wrong(equation, "expected letters, commas, '...' and '->', got ",
            c > ' ' && c < 127 ? std::string("'") + c + "'" : std::string("something else"),
            " at place ", i);
    }
  }
  return term;
}

// An equation read beside the shapes of its operands.
struct Contraction {
  std::vector<Labels> operands;
  Labels output;
  int64_t size[kLabels];

  Contraction(const std::string& equation, const Metas& in);

 private:
  void expand_dots(const std::string& equation, const Metas& in, std::vector<Term>& terms);
  void measure(const std::string& equation, const Metas& in);
  int dots_ = 0;  // axes of the longest ellipsis
};

// The axes that an ellipsis stands for, aligned at the right.
void append_dots(Labels& to, int axes) {
  for (int i = 0; i < axes; ++i) to.push_back(kEllipsis + Dims::kMax - axes + i);
}

std::string shown(int label) {
  return label < kLetters ? std::string("'") + letter_of(label) + "'" : std::string("'...'");
}

void Contraction::expand_dots(const std::string& equation, const Metas& in,
                              std::vector<Term>& terms) {
  for (size_t i = 0; i < terms.size(); ++i) {
    const int axes = in[i].shape.size();
    const int letters = static_cast<int>(terms[i].labels.size()) - (terms[i].dots ? 1 : 0);
    if (terms[i].dots ? axes < letters : axes != letters)
      wrong(equation, "expected ", terms[i].dots ? "at least " : "", letters, " axes of operand ",
            i, ", got shape ", to_string(in[i].shape));
    Labels labels;
    for (const int label : terms[i].labels) {
      if (label == kEllipsis)
        append_dots(labels, axes - letters);
      else
        labels.push_back(label);
    }
    if (terms[i].dots) dots_ = std::max(dots_, axes - letters);
    operands.push_back(std::move(labels));
  }
}

// Sizes of all labels; a size of 1 goes with any other, but not within one operand.
void Contraction::measure(const std::string& equation, const Metas& in) {
  std::fill_n(size, kLabels, -1);
  for (size_t i = 0; i < operands.size(); ++i) {
    const Dims& shape = in[i].shape;
    for (int a = 0; a < shape.size(); ++a) {
      const int label = operands[i][static_cast<size_t>(a)];
      for (int b = 0; b < a; ++b)
        if (operands[i][static_cast<size_t>(b)] == label && shape[b] != shape[a])
          wrong(equation, "expected one size for ", shown(label), " in operand ", i, ", got shape ",
                to_string(shape));
      int64_t& known = size[label];
      if (known >= 0 && known != 1 && shape[a] != 1 && shape[a] != known) {
        std::string shapes;
        for (const Meta& m : in) shapes += (shapes.empty() ? "" : ", ") + to_string(m.shape);
        wrong(equation, "expected size ", known, " for ", shown(label), " in operand ", i, ", got ",
              shape[a], "; the operands' shapes are ", shapes);
      }
      if (known < 0 || known == 1) known = shape[a];
    }
  }
}

Contraction::Contraction(const std::string& equation, const Metas& in) {
  const size_t arrow = equation.find("->");
  const size_t end = arrow == std::string::npos ? equation.size() : arrow;
  std::vector<Term> terms;
  for (size_t begin = 0; begin <= end;) {
    const size_t comma = std::min(equation.find(',', begin), end);
    terms.push_back(term_of(equation, begin, comma));
    begin = comma + 1;
  }
  if (terms.size() != in.size())
    wrong(equation, "expected ", terms.size(), " operands, got ", in.size());
  expand_dots(equation, in, terms);
  measure(equation, in);
  if (arrow == std::string::npos) {  // the dots, then what is there once, in alphabetical order
    append_dots(output, dots_);
    for (int label = 0; label < kLetters; ++label) {
      size_t times = 0;
      for (const Labels& labels : operands)
        times += static_cast<size_t>(std::count(labels.begin(), labels.end(), label));
      if (times == 1) output.push_back(label);
    }
    return;
  }
  for (const int label : term_of(equation, arrow + 2, equation.size()).labels) {
    if (label == kEllipsis) {
      append_dots(output, dots_);
      continue;
    }
    if (has(output, label)) wrong(equation, "expected ", shown(label), " once in the result");
    if (size[label] < 0)
      wrong(equation, "expected letters of the operands in the result, got ", shown(label));
    output.push_back(label);
  }
}

// ---- contracting

// A tensor with one label for each axis, no label twice.
struct Operand {
  Tensor t;
  Labels labels;

  int axis(int label) const {
    return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
  }
  double numel() const { return static_cast<double>(t.numel()); }
};

using Axes = std::vector<int64_t>;

Tensor permuted(const Operand& x, const Labels& order) {
  static const Op permute("permute");
  Axes axes;
  bool same = true;
  for (const int label : order) {
    same = same && x.axis(label) == static_cast<int>(axes.size());
    axes.push_back(x.axis(label));
  }
  return same ? x.t : permute({x.t}, {axes});
}

// Where a label stands twice only the diagonal counts.
void take_diagonals(Operand& x) {
  for (size_t a = 0; a < x.labels.size(); ++a)
    for (size_t b = a + 1; b < x.labels.size(); ++b) {
      const int label = x.labels[a];
      if (x.labels[b] != label) continue;
      x.t = diagonal_of(x.t, static_cast<int64_t>(a), static_cast<int64_t>(b));
      Labels rest;
      for (size_t i = 0; i < x.labels.size(); ++i)
        if (i != a && i != b) rest.push_back(x.labels[i]);
      rest.push_back(label);  // the diagonal is the last axis
      x.labels = rest;
      return take_diagonals(x);
    }
}

// Axes of size 1 that another operand has in full size: they broadcast, so they can go.
void drop_ones(Operand& x, const Contraction& c) {
  Labels rest;
  Dims shape;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    const int64_t size = x.t.shape()[static_cast<int>(i)];
    if (size == 1 && c.size[x.labels[i]] != 1) continue;
    rest.push_back(x.labels[i]);
    shape.push_back(size);
  }
  if (rest.size() == x.labels.size()) return;
  x.t = reshaped_to(x.t, shape);
  x.labels = rest;
}

// Sums over the labels for which keep(label) is false; integers keep their dtype on request.
template <class Keep>
void sum_out(Operand& x, bool keep_dtype, Keep keep) {
  static const Op sum("sum"), cast("cast");
  Axes axes;
  Labels rest;
  for (size_t i = 0; i < x.labels.size(); ++i) {
    if (keep(x.labels[i]))
      rest.push_back(x.labels[i]);
    else
      axes.push_back(static_cast<int64_t>(i));
  }
  if (axes.empty()) return;
  const DType dtype = x.t.dtype();
  x.t = sum({x.t}, {axes});
  if (keep_dtype && x.t.dtype() != dtype) x.t = cast({x.t}, {static_cast<int64_t>(dtype)});
  x.labels = rest;
}

// The labels of a pair: in both and wanted later, in one only, in both and not wanted later.
struct Groups {
  Labels batch, left, right, inner;
  template <class Keep>
  Groups(const Operand& a, const Operand& b, Keep keep) {
    for (const int label : a.labels) {
      if (!has(b.labels, label))
        left.push_back(label);
      else
        (keep(label) ? batch : inner).push_back(label);
    }
    for (const int label : b.labels)
      if (!has(a.labels, label)) right.push_back(label);
  }
};

Labels joined(std::initializer_list<Labels> parts) {
  Labels all;
  for (const Labels& part : parts)
    for (const int label : part) all.push_back(label);
  return all;
}

int64_t extent(const Contraction& c, const Labels& labels) {
  Dims sizes;
  for (const int label : labels) sizes.push_back(c.size[label]);
  return count(sizes);
}

Tensor product_of(const Operand& a, const Operand& b, const Groups& g, const Contraction& c) {
  static const Op matmul("matmul"), mul("mul"), sum("sum");
  const int64_t batch = extent(c, g.batch), left = extent(c, g.left), right = extent(c, g.right);
  const int64_t inner = extent(c, g.inner);
  if (g.inner.empty())
    return mul({reshaped_to(permuted(a, joined({g.batch, g.left})), {batch, left, 1}),
                reshaped_to(permuted(b, joined({g.batch, g.right})), {batch, 1, right})});
  const Tensor x = permuted(a, joined({g.batch, g.left, g.inner}));
  // Sums of products without rows or columns have no use for a matrix product's one long chain.
  const bool full = a.t.dtype() == DType::float32 || a.t.dtype() == DType::float64;
  if (g.left.empty() && g.right.empty() && full && a.t.dtype() == b.t.dtype()) {
    const Tensor y = permuted(b, joined({g.batch, g.inner}));
    const Tensor terms = mul({reshaped_to(x, {batch, inner}), reshaped_to(y, {batch, inner})});
    return sum({terms}, {Axes{1}});
  }
  const Tensor y = permuted(b, joined({g.batch, g.inner, g.right}));
  if (g.batch.empty())
    return matmul({reshaped_to(x, {left, inner}), reshaped_to(y, {inner, right})});
  return matmul({reshaped_to(x, {batch, left, inner}), reshaped_to(y, {batch, inner, right})});
}

template <class Keep>
Operand contracted(Operand a, Operand b, const Contraction& c, Keep keep) {
  sum_out(a, true, [&](int label) { return keep(label) || has(b.labels, label); });
  sum_out(b, true, [&](int label) { return keep(label) || has(a.labels, label); });
  const Groups g(a, b, keep);
  const Labels all = joined({g.batch, g.left, g.right});
  if (all.size() > static_cast<size_t>(Dims::kMax))
    fail(ErrorKind::shape, "[einsum] expected at most ", Dims::kMax,
         " axes in the product of two operands, got ", all.size());
  Dims shape;
  for (const int label : all) shape.push_back(c.size[label]);
  return {reshaped_to(product_of(a, b, g, c), shape), all};
}

// Elements that a product of the pair would have beyond those of the pair itself.
template <class Keep>
double growth(const Operand& a, const Operand& b, const Contraction& c, Keep keep) {
  double size = 1;
  for (const int label : a.labels)
    if (keep(label)) size *= static_cast<double>(c.size[label]);
  for (const int label : b.labels)
    if (keep(label) && !has(a.labels, label)) size *= static_cast<double>(c.size[label]);
  return size - a.numel() - b.numel();
}

// Always the pair whose product takes the least memory, the first one of equals: the order
// depends on the equation and on sizes alone.
Operand contract_all(std::vector<Operand> todo, const Contraction& c) {
  while (todo.size() > 1) {
    size_t best_a = 0, best_b = 1;
    const auto keep_for = [&](size_t a, size_t b) {
      return [&todo, &c, a, b](int label) {
        if (has(c.output, label)) return true;
        for (size_t i = 0; i < todo.size(); ++i)
          if (i != a && i != b && has(todo[i].labels, label)) return true;
        return false;
      };
    };
    std::optional<double> least;
    for (size_t a = 0; todo.size() > 2 && a < todo.size(); ++a)
      for (size_t b = a + 1; b < todo.size(); ++b) {
        const double size = growth(todo[a], todo[b], c, keep_for(a, b));
        if (least && size >= *least) continue;
        least = size;
        best_a = a;
        best_b = b;
      }
    Operand result = contracted(todo[best_a], todo[best_b], c, keep_for(best_a, best_b));
    todo.erase(todo.begin() + static_cast<std::ptrdiff_t>(best_b));
    todo[best_a] = std::move(result);
  }
  return std::move(todo[0]);
}

Tensors contract(const Contraction& c, const Tensors& in) {
  std::vector<Operand> operands;
  for (size_t i = 0; i < in.size(); ++i) {
    Operand& x = operands.emplace_back(Operand{in[i], c.operands[i]});
    take_diagonals(x);
    drop_ones(x, c);
  }
  const bool single = operands.size() == 1;
  Operand result = contract_all(std::move(operands), c);
  sum_out(result, !single, [&](int label) { return has(c.output, label); });
  static const Op permute("permute");
  Axes order;
  for (const int label : c.output) order.push_back(result.axis(label));
  return {permute({result.t}, {order})};
}

Metas metas_of(const Tensors& in) {
  Metas metas;
  for (const Tensor& t : in) metas.push_back(meta_of(t));
  return metas;
}

Metas result_of(const Contraction& c, const InferArgs& args) {
  Meta out;
  for (const int label : c.output) out.shape.push_back(c.size[label]);
  out.dtype = args.in[0].dtype;
  for (const Meta& m : args.in) out.dtype = promote(out.dtype, m.dtype);
  const bool sums = c.operands[0].size() != c.output.size();
  if (args.in.size() == 1 && sums && !is_floating(out.dtype)) out.dtype = DType::int64;
  return {out};
}

Metas infer_einsum(const InferArgs& args) {
  if (args.in.empty())
    fail(ErrorKind::value, "[einsum] expected an equation and at least one operand, got '",
         args.text(0), "' alone");
  return result_of(Contraction(args.text(0), args.in), args);
}

// ---- tensordot

// The letters of a contraction over pairs of axes.
std::string equation_of(const InferArgs& args) {
  const Dims &a = args.in[0].shape, &b = args.in[1].shape;
  const std::vector<int64_t>&first = args.integers(0), &second = args.integers(1);
  if (first.size() != second.size())
    fail(ErrorKind::shape, "[tensordot] expected equally many axes of both, got ",
         to_string(args.dims(0)), " and ", to_string(args.dims(1)));
  std::string left(static_cast<size_t>(a.size()), ' '), right(static_cast<size_t>(b.size()), ' ');
  char next = 'a';
  for (size_t i = 0; i < first.size(); ++i) {
    const int x = normal_axis("tensordot", first[i], a.size());
    const int y = normal_axis("tensordot", second[i], b.size());
    char &mine = left[static_cast<size_t>(x)], &theirs = right[static_cast<size_t>(y)];
    if (mine != ' ' || theirs != ' ')
      fail(ErrorKind::shape, "[tensordot] expected every axis once, got ", to_string(args.dims(0)),
           " and ", to_string(args.dims(1)));
    if (a[x] != b[y] && a[x] != 1 && b[y] != 1)
      args.mismatch("one size for axis " + std::to_string(x) + " of 'a' and axis " +
                    std::to_string(y) + " of 'b'");
    mine = theirs = next++;
  }
  std::string result;
  for (std::string* letters : {&left, &right})
    for (char& c : *letters)
      if (c == ' ') result += c = next++;
  return left + "," + right + "->" + result;
}

Metas infer_tensordot(const InferArgs& args) {
  check_factors(args);
  return result_of(Contraction(equation_of(args), args.in), args);
}

Tensors tensordot_composite(const Tensors& in, const AttrReader& args) {
  const Metas metas = metas_of(in);
  const std::string equation = equation_of(InferArgs(args.op(), args.all(), metas, {true, true}));
  return contract(Contraction(equation, metas), in);
}

}  // namespace

void declare_einsum(Registry& r) {
  r.add(
      {.name = "einsum",
       .doc = "Sums of products in Einstein's notation: equal letters are equal indices, and "
              "what the result does not name is summed over.",
       .inputs = {"operands*"},
       .attrs = {{.name = "equation", .kind = AttrKind::text, .value = {}, .required = true}},
       .arguments = {"equation", "operands"},
       .infer = infer_einsum,
       .composite = [](const Tensors& in, const AttrReader& args) -> Tensors {
         return contract(Contraction(args.text(0), metas_of(in)), in);
       },
       .formula = {"sum of products over the indices that the result lacks",
                   R"(\sum \prod_k x_k)",
                   {{"x_k", "sum of g times the other operands", R"(\sum g \prod_{l\ne k} x_l)"}}},
       .example = "rv.einsum('ij,jk->ik', rv.ones(2, 3), rv.ones(3, 4))",
       .fronted = true});
  const auto axes = [](const char* name) {
    return AttrDef{.name = name, .kind = AttrKind::integers, .value = {}, .required = true};
  };
  r.add({.name = "tensordot",
         .doc = "Sums of products over pairs of axes, one of each tensor.",
         .inputs = {"a", "b"},
         .attrs = {axes("dims_a"), axes("dims_b")},
         .infer = infer_tensordot,
         .composite = tensordot_composite,
         .formula = {"sum of x y over pairs of axes",
                     R"(\sum x\,y)",
                     {{"x", "sum of g y", R"(\sum g\,y)"}, {"y", "sum of g x", R"(\sum g\,x)"}}},
         .example = "rv.tensordot(rv.ones(2, 3), rv.ones(3, 4), dims=1)",
         .fronted = true});
}

}  // namespace ranvier
