// A program as text: see ranvier/program.h.
#include <map>

#include "program/plan.h"

namespace ranvier {

std::string Program::dump() const {
  std::map<const TensorImpl*, std::string> names;
  const auto name = [&](const Tensor& t, char kind) {
    const auto [it, fresh] = names.try_emplace(t.impl());
    if (fresh) it->second = kind + std::to_string(names.size() - 1);
    return it->second + to_string(t.shape());
  };
  for (const Tensor& t : plan_->inputs) name(t, 'i');
  std::string text;
  for (const Instruction& step : plan_->instructions) {
    std::string arguments;
    for (const Tensor& t : step.inputs)
      arguments += (arguments.empty() ? "" : ", ") + (t.defined() ? name(t, 'h') : "None");
    for (size_t i = 0; i < step.attrs.size(); ++i)
      arguments += ", " + step.op->attrs[i].name + "=" + to_string(step.attrs[i]);
    std::string results;
    for (const Tensor& t : step.outputs) results += (results.empty() ? "" : ", ") + name(t, 't');
    text += results + (results.empty() ? "" : " = ") + step.op->name + "(" + arguments + ")\n";
  }
  return text;
}

}  // namespace ranvier
