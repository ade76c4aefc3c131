// The registry of ops and the small helpers that declarations share.
#include <algorithm>
#include <charconv>
#include <stdexcept>

#include "core/dtypes.h"
#include "ops/families.h"
#include "ops/op.h"

namespace ranvier {
namespace {

int index_of(const std::vector<std::string>& names, const std::string& name) {
  const auto it = std::find(names.begin(), names.end(), name);
  return it == names.end() ? -1 : static_cast<int>(it - names.begin());
}

// "weight for input, bias" as "weight" and {"input", "bias"}.
std::pair<std::string, std::vector<std::string>> name_and_served(const std::string& save) {
  static const std::string word = " for ";
  const size_t at = save.find(word);
  std::vector<std::string> served;
  for (size_t from = at; from != std::string::npos;) {
    from += from == at ? word.size() : 2;  // ", "
    const size_t end = save.find(", ", from);
    served.push_back(save.substr(from, end - from));
    from = end;
  }
  return {save.substr(0, at), served};
}

}  // namespace

const OpDef& Registry::add(OpDef def) {
  const auto broken = [&](const std::string& why) {
    throw std::logic_error("op '" + def.name + "': " + why);
  };
  for (std::string& input : def.inputs) {
    if (def.variadic) broken("has inputs after '" + def.inputs[def.optional.size() - 1] + "'");
    def.optional.push_back(input.ends_with('?'));
    def.variadic = input.ends_with('*');
    if (def.optional.back() || def.variadic) input.pop_back();
  }
  for (std::string& name : def.each) {
    def.each_optional.push_back(name.ends_with('?'));
    if (def.each_optional.back()) name.pop_back();
  }
  if (!def.each.empty() && !def.variadic) broken("has groups and no 'tensors*'");
  if (!def.outputs.empty() && def.outputs.back().ends_with('*')) {
    def.many_results = true;
    def.outputs.back().pop_back();
  }
  for (size_t i = 0; i < def.attrs.size(); ++i)
    if (def.casts && def.attrs[i].name == "dtype") def.dtype_attr = static_cast<int>(i);
  if (def.casts && def.dtype_attr < 0) broken("casts, and has no attribute 'dtype'");
  if (def.view) def.moves = true;
  for (const std::string& save : def.saves) {
    const auto [name, served] = name_and_served(save);
    const int in = index_of(def.inputs, name), out = index_of(def.outputs, name);
    if (in < 0 && out < 0) broken("saves unknown '" + name + "'");
    SavedValue value{in >= 0 ? in : out};
    if (!served.empty()) {
      if (!def.backward) broken("has no backward that could do without '" + name + "'");
      value.serves = 0;
    }
    for (const std::string& input : served) {
      const int place = index_of(def.inputs, input);
      if (place < 0) broken("saves '" + name + "' for unknown '" + input + "'");
      value.serves |= input_bit(static_cast<size_t>(place));
    }
    (in >= 0 ? def.saved_in : def.saved_out).push_back(value);
  }
  for (const std::string& name : def.mutates) {
    const bool grouped = !def.each.empty();
    const int place = index_of(grouped ? def.each : def.inputs, name);
    if (place < 0) broken("mutates unknown '" + name + "'");
    def.mutated.push_back(place + (grouped ? static_cast<int>(def.inputs.size()) - 1 : 0));
  }
  if (def.arguments.empty()) {
    def.arguments = def.inputs;
    for (const AttrDef& attr : def.attrs) def.arguments.push_back(attr.name);
  }
  if (def.arguments.size() != def.inputs.size() + def.attrs.size()) broken("has odd arguments");
  for (const std::string& name : def.arguments) {
    int place = index_of(def.inputs, name);
    for (size_t i = 0; place < 0 && i < def.attrs.size(); ++i)
      if (def.attrs[i].name == name) {
        place = -1 - static_cast<int>(i);
        break;
      }
    if (place == -1 && def.attrs.empty()) broken("has an unknown argument '" + name + "'");
    def.places.push_back(place);
  }
  def.positional = def.arguments.size();
  for (const AttrDef& attr : def.attrs)
    if (attr.keyword)
      def.positional =
          std::min(def.positional, static_cast<size_t>(index_of(def.arguments, attr.name)));
  if (!def.forward && !def.composite && !def.view) broken("has neither forward nor composite");
  if (def.forward && !def.infer && !def.infer_by_value) broken("has no infer");
  if (by_name_.contains(def.name)) broken("is declared twice");
  const OpDef& added = ops_.emplace_back(std::move(def));
  by_name_.emplace(added.name, &added);
  return added;
}

const OpDef* Registry::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

const Registry& registry() {
  static const Registry instance = [] {
    Registry r;
    declare_elementwise(r);
    declare_comparisons(r);
    declare_reductions(r);
    declare_matmul(r);
    declare_linear(r);
    declare_sparse(r);
    declare_matrix_products(r);
    declare_einsum(r);
    declare_erfinv(r);
    declare_softmax(r);
    declare_activations(r);
    declare_losses(r);
    declare_class_losses(r);
    declare_views(r);
    declare_parts(r);
    declare_data(r);
    declare_indexing(r);
    declare_advanced_indexing(r);
    declare_joins(r);
    declare_scatters(r);
    declare_fills(r);
    declare_sorts(r);
    declare_rearrangements(r);
    declare_triangles(r);
    declare_pads(r);
    declare_random(r);
    declare_dropouts(r);
    declare_row_norms(r);
    declare_batch_norm(r);
    declare_updates(r);
    declare_perceptron(r);
    declare_regions(r);
    return r;
  }();
  return instance;
}

std::string to_string(const Attr& attr) {
  if (const auto* flag = std::get_if<bool>(&attr)) return *flag ? "True" : "False";
  if (const auto* n = std::get_if<int64_t>(&attr)) return std::to_string(*n);
  if (const auto* text = std::get_if<std::string>(&attr)) return "'" + *text + "'";
  if (const auto* list = std::get_if<std::vector<int64_t>>(&attr)) {
    std::string shown;
    for (const int64_t n : *list) shown += (shown.empty() ? "" : ", ") + std::to_string(n);
    return "(" + shown + (list->size() == 1 ? ",)" : ")");
  }
  if (const auto* x = std::get_if<double>(&attr)) {
    char text[32];  // the shortest that reads back as the same number
    const std::string shown(text, std::to_chars(text, text + sizeof text, *x).ptr);
    return shown.find_first_of(".en") == std::string::npos ? shown + ".0" : shown;
  }
  return "None";
}

void InferArgs::mismatch(const std::string& expected) const {
  std::string got;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!given_inputs[i]) continue;
    got += (got.empty() ? "" : ", ") + op().input_name(i) + " " + to_string(in[i].shape);
  }
  fail(ErrorKind::shape, "[", op().name, "] expected ", expected, ", got ", got);
}

Dims broadcast(const InferArgs& args, const Dims& a, const Dims& b) {
  const int n = std::max(a.size(), b.size());
  Dims out;
  for (int i = 0; i < n; ++i) {
    const int ia = i - (n - a.size()), ib = i - (n - b.size());
    const int64_t sa = ia < 0 ? 1 : a[ia], sb = ib < 0 ? 1 : b[ib];
    if (sa != sb && sa != 1 && sb != 1)
      args.mismatch("shapes that are equal or 1 from the last axis on");
    out.push_back(sa == 1 ? sb : sa);
  }
  return out;
}

Metas same_as_first(const InferArgs& args) { return {args.in[0]}; }

Metas infer_view(const InferArgs& args) {
  Layout out;
  const Dims& shape = args.in[0].shape;
  args.op().view(args, {shape, contiguous_strides(shape)}, &out);
  return {{out.shape, args.in[0].dtype}};
}

Tensor scalar(double value, DType dtype) { return Tensor::full({}, value, dtype); }

namespace {

// Whether sums down axis 0 of g, which counts the rows of a batch, are chains: of two axes or more,
// as one number from each row of a column is no batch of rows but a sum.
bool sums_rows(const Tensor& g, const std::vector<int64_t>& axes) {
  return g.dim() > 1 && !axes.empty() && axes[0] == 0 && is_floating(g.dtype()) &&
         !is_half(g.dtype());
}

// The sum of the rows of g, one after another, onto what is there.
Tensor rows_onto(const Tensor& sum, const Tensor& g) {
  static const Op bias_grad("bias_grad"), onto("matmul_onto_"), reshape("reshape");
  if (!sum.defined() || sum.dtype() != g.dtype()) return bias_grad({g});
  const int64_t rows = g.shape()[0];
  const Tensor flat = reshape({sum}, {std::vector<int64_t>{1, g.shape()[1]}});
  if (flat.impl()->storage != sum.impl()->storage) return sum + bias_grad({g});
  onto({flat, Tensor::full({1, rows}, 1, g.dtype()), g});  // 1 x + sum has the bits of x + sum
  return sum;
}

}  // namespace

Tensor reduce_to(const Tensor& g, const Dims& shape, const Tensor& held) {
  if (g.shape() == shape) return g;
  static const Op sum("sum"), reshape("reshape");
  const int extra = g.dim() - shape.size();
  std::vector<int64_t> axes;
  for (int i = 0; i < g.dim(); ++i)
    if (i < extra || (shape[i - extra] == 1 && g.shape()[i] != 1)) axes.push_back(i);
  const std::vector<int64_t> wanted(shape.begin(), shape.end());
  if (!sums_rows(g, axes)) return reshape({axes.empty() ? g : sum({g}, {axes, true})}, {wanted});
  axes.erase(axes.begin());
  const Tensor each = axes.empty() ? g : sum({g}, {axes, true});
  const int64_t rows = g.shape()[0];
  const Tensor total = rows_onto(held, reshape({each}, {std::vector<int64_t>{rows, count(shape)}}));
  return total.same(held) ? held : reshape({total}, {wanted});
}

Tensor cast_to(const Tensor& g, DType dtype) {
  static const Op cast("cast");
  return g.dtype() == dtype ? g : cast({g}, {static_cast<int64_t>(dtype)});
}

Cost cost_of(const OpDef& op, const Metas& in, const Metas& out, const Attrs& attrs) {
  if (op.cost) return op.cost(in, out, AttrReader(op, attrs));
  Cost cost;
  for (const Meta& m : in) cost.bytes += double(count(m.shape)) * double(size_of(m.dtype));
  for (const Meta& m : out) {
    cost.bytes += double(count(m.shape)) * double(size_of(m.dtype));
    cost.flops += double(count(m.shape));
  }
  op.for_mutated(in.size(), [&](size_t i) {
    cost.bytes += double(count(in[i].shape)) * double(size_of(in[i].dtype));
    if (out.empty()) cost.flops += double(count(in[i].shape));
  });
  if (op.view) cost = {};
  return cost;
}

}  // namespace ranvier
