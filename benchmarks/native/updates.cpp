// Steps of optimizers: every kind that the library has, found in its registry, and the forms that
// need more state than the plain one.
#include <algorithm>
#include <map>
#include <memory>

#include "ops/op.h"
#include "suite.h"

namespace bench {
namespace {

using ranvier::OpDef;

struct Form {
  std::string name, op;
  std::vector<std::string> state = {};              // optional inputs that it is given
  std::map<std::string, ranvier::Attr> attrs = {};  // the others have their defaults
};

const Form kForms[] = {
    {"sgd_momentum", "sgd_update", {"momentum_buffer", "step"}, {{"momentum", 0.9}}},
    {"sgd_nesterov",
     "sgd_update",
     {"momentum_buffer", "step"},
     {{"momentum", 0.9}, {"nesterov", true}}},
    {"adamw", "adam_update", {}, {{"weight_decay", 0.01}, {"decoupled", true}}},
    {"amsgrad", "adam_update", {"max_exp_avg_sq"}},
    {"rmsprop_momentum", "rmsprop_update", {"momentum_buffer"}, {{"momentum", 0.9}}},
    {"rmsprop_centered", "rmsprop_update", {"grad_avg"}},
};
constexpr int64_t kSizes[] = {10000, 1000000, 20000000};
constexpr int64_t kNeighbours[] = {1000, 123457};

// Single numbers among the inputs, with values in the middle of a training.
const std::map<std::string, double> kNumbers = {
    {"lr", 1e-3}, {"step", 10}, {"eta", 1e-3}, {"mu", 1}, {"mu_product", 0.5}};

constexpr std::string_view kSuffix = "_update";

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A call that updates `many` parameters of n numbers each, and what it reads and writes.
struct Step {
  std::shared_ptr<ranvier::Op> op;
  Tensors inputs;
  Attrs attrs;
  Traffic traffic;

  Step(const Form& form, int64_t n, int64_t many = 1)
      : op(std::make_shared<ranvier::Op>(form.op.c_str())) {
    const OpDef& def = op->def();  // looked up here, while the name is there
    const size_t groups = def.each.size() * static_cast<size_t>(many);
    const size_t count = def.inputs.size() - (def.each.empty() ? 0 : 1) + groups;
    while (inputs.size() < count) add_input(form, def, n);
    for (const ranvier::AttrDef& attr : def.attrs) {
      const auto given = form.attrs.find(attr.name);
      attrs.push_back(given == form.attrs.end() ? attr.value : given->second);
    }
  }

  void operator()() const { op->all(inputs, attrs); }

 private:
  // The next one.
  void add_input(const Form& form, const OpDef& def, int64_t n) {
    const std::string& name = def.input_name(inputs.size());
    if (def.is_optional(inputs.size()) && !has(form.state, name)) {
      inputs.push_back({});
      return;
    }
    const auto number = kNumbers.find(name);
    if (number != kNumbers.end()) {
      inputs.push_back(Tensor::full({}, number->second, DType::float64));
      return;
    }
    const bool changed = has(def.mutates, name);
    const bool state = name != "param" && name != "grad";
    inputs.push_back(state ? Tensor::zeros({n}) : uniform({n}));
    const double bytes = bytes_of(inputs.back());
    (changed ? traffic.updated : traffic.read) += bytes;
    traffic.footprint += bytes;
  }
};

void add(Rows& rows, const Form& form, int64_t n) {
  rows.push_back({.name = form.name + "/f32/update/" + std::to_string(n), .prepare = [=] {
                    const Step step(form, n);
                    return Work{.run = step, .traffic = step.traffic};
                  }});
}

// All parameters of a network in one call.
void add_many(Rows& rows, int64_t many, int64_t n) {
  const std::string size = std::to_string(many) + "*" + std::to_string(n);
  rows.push_back({.name = "adam/f32/update_many/" + size, .prepare = [=] {
                    const Step step({"adam", "adam_updates"}, n, many);
                    return Work{.run = step, .traffic = step.traffic};
                  }});
}

// Gradients of zero let means shrink for ever, to numbers so small that processors take many times
// as long over them: an update after 10,000 such steps against a fresh one.
void add_worn(Rows& rows, int64_t n) {
  const Form adam{"adam", "adam_update"};
  rows.push_back(
      {.name = "adam/f32/update_after_10000_zero_gradients/" + std::to_string(n), .prepare = [=] {
         const Step worn(adam, n), fresh(adam, n);
         worn();
         const Tensor& grad = worn.inputs[1];
         std::fill_n(grad.data<float>(), n, 0.0f);
         for (int i = 0; i < 10000; ++i) worn();
         return Work{.run = worn, .traffic = worn.traffic, .reference = fresh};
       }});
}

}  // namespace

void add_updates(Rows& rows) {
  for (const OpDef& def : ranvier::registry().all()) {
    if (!def.name.ends_with(kSuffix) || def.variadic) continue;
    std::vector<Form> forms = {{def.name.substr(0, def.name.size() - kSuffix.size()), def.name}};
    std::copy_if(std::begin(kForms), std::end(kForms), std::back_inserter(forms),
                 [&](const Form& form) { return form.op == def.name; });
    for (const Form& form : forms)
      for (const int64_t n : kSizes) add(rows, form, n);
  }
  for (const int64_t n : kNeighbours) add(rows, {"adam", "adam_update"}, n);
  add_many(rows, 4, 100);
  add_many(rows, 50, 1000);
  add_many(rows, 50, 20000);
  add_worn(rows, 10000);
}

}  // namespace bench
