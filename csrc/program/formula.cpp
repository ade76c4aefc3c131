// Formulas with names in them: see formula.h.
#include "program/formula.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string_view>
#include <vector>

namespace ranvier {
namespace {

bool in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// f(word, what follows it) for every word of a text; what it returns takes the word's place.
template <class F>
std::string with_words(const std::string& text, F f) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && in_word(text[end])) ++end;
    if (end == at) {
      result += text[at++];
      continue;
    }
    result += f(text.substr(at, end - at), std::string_view(text).substr(end));
    at = end;
  }
  return result;
}

// Words that stand for tensors or numbers: a function's name is followed by a bracket.
std::set<std::string> symbols_in(const std::string& text) {
  std::set<std::string> symbols;
  with_words(text, [&](const std::string& word, std::string_view rest) {
    if (!rest.starts_with('(')) symbols.insert(word);
    return word;
  });
  return symbols;
}

// Letters that formulas have for inputs of these names.
const std::map<std::string, std::vector<std::string>>& letters() {
  static const std::map<std::string, std::vector<std::string>> table = {
      {"grad", {"g"}},         {"target", {"t"}},      {"weight", {"W", "w"}}, {"bias", {"b"}},
      {"running_mean", {"m"}}, {"running_var", {"v"}}, {"mask", {"m"}},        {"condition", {"c"}},
  };
  return table;
}

// The symbol that a formula has for input `i`: its name, its letter, or x, y and w in the order of
// the inputs from 'input' on. Empty: it has none.
std::string symbol_of(const OpDef& op, size_t i, const std::set<std::string>& symbols) {
  const std::string& name = op.input_name(i);
  if (symbols.contains(name)) return name;
  if (const auto it = letters().find(name); it != letters().end())
    for (const std::string& letter : it->second)
      if (symbols.contains(letter)) return letter;
  const auto input = std::find(op.inputs.begin(), op.inputs.end(), "input");
  const auto first = static_cast<size_t>(input == op.inputs.end() ? 0 : input - op.inputs.begin());
  const char* const in_order[] = {"x", "y", "w"};
  const size_t most = op.row >= 0 ? 3 : 2;
  if (i < first || i - first >= most) return "";
  const std::string letter = in_order[i - first];
  return symbols.contains(letter) ? letter : "";
}

void take_away(std::string& text, const std::string& part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

// A formula without the term or the factor that is not given.
std::string without(std::string text, const std::string& symbol) {
  take_away(text, symbol + "[t] ");
  const std::string padded = " " + symbol;
  for (size_t at = text.find(" + " + symbol); at != std::string::npos;) {
    const size_t end = at + 3 + symbol.size();
    if (end < text.size() && in_word(text[end])) break;
    text.erase(at, end - at);
    at = text.find(" + " + symbol);
  }
  for (size_t at = 0; (at = text.find(padded, at)) != std::string::npos;) {
    const size_t end = at + padded.size();
    const bool word = end >= text.size() || !in_word(text[end]);
    const bool factor = word && at > 0 && (in_word(text[at - 1]) || text[at - 1] == ')');
    if (factor)
      text.erase(at, padded.size());
    else
      at = end;
  }
  if (text.starts_with(symbol + " ")) text.erase(0, symbol.size() + 1);
  return text;
}

// The derivative of an activation that is given by its result alone.
bool by_result(const Instruction& step) {
  const OpDef& op = *step.op;
  return op.row >= 0 && op.inputs.size() == 4 && op.inputs[3] == "result" &&
         op.name == op.gradient_of + "_backward" && !step.inputs[1].defined() &&
         step.inputs[3].defined();
}

std::string formula_of(const Instruction& step) {
  const OpDef& op = *step.op;
  Flags given;
  for (const Tensor& t : step.inputs) given.push_back(t.defined());
  if (op.formula_for) return op.formula_for(AttrReader(op, step.attrs), given);
  std::string text = op.formula.text;
  take_away(text, "for each parameter: ");
  return text;
}

std::string with_comma(std::string text, const std::string& more) {
  if (more.empty()) return text;
  return std::move(text) + ", " + more;
}

// name(inputs): where the formula is a sentence.
std::string called(const Instruction& step, const NameOf& name) {
  std::string text;
  for (const Tensor& t : step.inputs)
    text += (text.empty() ? "" : ", ") + (t.defined() ? name(t) : "None");
  return step.op->name + "(" + text + ")";
}

// The tensors of many parameters, member by member.
std::string groups_of(const Instruction& step, const NameOf& name) {
  const OpDef& op = *step.op;
  std::string text;
  for (size_t member = 0; member < op.each.size(); ++member) {
    std::string names;
    for (size_t i = op.inputs.size() - 1 + member; i < step.inputs.size(); i += op.each.size())
      if (step.inputs[i].defined()) names += (names.empty() ? "" : " ") + name(step.inputs[i]);
    if (!names.empty()) text = with_comma(text, op.each[member] + "=" + names);
    if (text.starts_with(", ")) text.erase(0, 2);
  }
  return text;
}

class Writer {
 public:
  Writer(const Instruction& step, const NameOf& name) : step_(step), name_(name) {}

  std::string text() {
    const OpDef& op = *step_.op;
    if (by_result(step_)) {
      const std::string& f = op.gradient_of;
      return with_comma(name_(step_.inputs[0]) + " " + f + "'(x)",
                        f + "(x) = " + name_(step_.inputs[3]) + settings());
    }
    std::string text = formula_of(step_);
    const std::set<std::string> symbols = symbols_in(text);
    const size_t single = op.variadic ? op.inputs.size() - 1 : step_.inputs.size();
    std::string others;
    for (size_t i = 0; i < single; ++i) {
      const std::string symbol = symbol_of(op, i, symbols);
      const Tensor& t = step_.inputs[i];
      if (!t.defined() && !symbol.empty()) {
        text = without(text, symbol);
        put_[symbol] = "None";  // where it is no term and no factor
      }
      if (!t.defined()) continue;
      if (symbol.empty() || put_.contains(symbol))
        others += ", " + op.input_name(i) + "=" + name_(t);
      else
        put_[symbol] = name_(t);
    }
    if (put_.empty() && op.each.empty()) return called(step_, name_) + settings();
    put_settings(symbols);
    text = put_in(text) + others + settings();
    return op.each.empty() ? text : with_comma(text, groups_of(step_, name_));
  }

 private:
  // Numbers that the formula names, and the only one as "a".
  void put_settings(const std::set<std::string>& symbols) {
    const OpDef& op = *step_.op;
    for (size_t i = 0; i < step_.attrs.size(); ++i) {
      const bool only = op.attrs[i].kind == AttrKind::number &&
                        (op.attrs.size() == 1 || op.row >= 0) && symbols.contains("a");
      const std::string symbol = symbols.contains(op.attrs[i].name) ? op.attrs[i].name
                                 : only                             ? "a"
                                                                    : "";
      if (symbol.empty() || put_.contains(symbol)) continue;
      put_[symbol] = to_string(step_.attrs[i]);
      shown_.insert(i);
    }
  }

  // What differs from the defaults and is not in the formula.
  std::string settings() const {
    const OpDef& op = *step_.op;
    std::string text;
    for (size_t i = 0; i < step_.attrs.size(); ++i)
      if (!shown_.contains(i) && (op.attrs[i].required || step_.attrs[i] != op.attrs[i].value) &&
          !(op.formula_for && op.attrs[i].kind == AttrKind::text))
        text += ", " + op.attrs[i].name + "=" + to_string(step_.attrs[i]);
    return text;
  }

  std::string put_in(const std::string& text) const {
    std::string result = with_words(text, [&](const std::string& word, std::string_view rest) {
      const auto it = put_.find(word);
      return it == put_.end() || rest.starts_with('(') ? word : it->second;
    });
    take_away(result, ".T.T");
    return result;
  }

  const Instruction& step_;
  const NameOf& name_;
  std::map<std::string, std::string> put_;
  std::set<size_t> shown_;  // attributes
};

}  // namespace

std::string written(const Instruction& step, const NameOf& name) {
  return Writer(step, name).text();
}

std::string label_of(const Instruction& step) {
  std::string label = step.op->name;
  for (size_t i = 0; i < step.attrs.size(); ++i)
    if (const auto* text = std::get_if<std::string>(&step.attrs[i]);
        text && step.op->attrs[i].name == "activation")
      label += "+" + *text;
  return label;
}

Cost cost_of_step(const Instruction& step) {
  const auto metas = [](const Tensors& tensors) {
    Metas list;
    for (const Tensor& t : tensors) list.push_back(t.defined() ? meta_of(t) : Meta{{0}});
    return list;
  };
  return cost_of(*step.op, metas(step.inputs), metas(step.outputs), step.attrs);
}

}  // namespace ranvier
