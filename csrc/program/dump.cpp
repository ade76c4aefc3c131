// A program as text: see ranvier/program.h.
#include <algorithm>
#include <cstdio>
#include <map>

#include "program/formula.h"
#include "program/plan.h"

namespace ranvier {
namespace {

constexpr size_t kWidth = 100;

// Names of tensors, in the order in which they are met: no address decides one. Views of one
// memory are named after what was met first.
class Names {
 public:
  explicit Names(std::function<char(const Tensor&)> kind) : kind_(std::move(kind)) {}

  std::string meet(const Tensor& t) {
    const TensorImpl& impl = *t.impl();
    const auto place = std::make_pair(impl.storage.get(), impl.offset);
    const char kind = kind_(t);
    if (kind == 'h' && impl.base && !first_.contains({impl.base->storage.get(), impl.base->offset}))
      meet(Tensor(impl.base));
    const auto it = first_.find(place);
    if (it != first_.end()) return it->second.name + look(it->second.tensor, t);
    const auto whole = first_.find({impl.storage.get(), 0});
    // Of held memory, which may be that of many parameters, each is a tensor of its own.
    if (kind == 't' && whole != first_.end())
      return whole->second.name + "[+" + std::to_string(impl.offset) + "]" + to_string(t.shape());
    std::vector<Known>& of_kind = known_[kind];
    of_kind.push_back({kind + std::to_string(of_kind.size()), t});
    first_[place] = of_kind.back();
    return of_kind.back().name;
  }

  struct Known {
    std::string name;
    Tensor tensor;
  };
  const std::vector<Known>& all(char kind) { return known_[kind]; }

 private:
  // How the same memory is looked at.
  static std::string look(const Tensor& known, const Tensor& t) {
    if (known.shape() == t.shape() && same(known.strides(), t)) return "";
    const bool turned = t.dim() == 2 && known.dim() == 2 && t.shape()[0] == known.shape()[1] &&
                        t.shape()[1] == known.shape()[0] && t.strides()[0] == known.strides()[1];
    return turned ? ".T" : to_string(t.shape());
  }
  static bool same(const Dims& strides, const Tensor& t) {
    for (int i = 0; i < t.dim(); ++i)
      if (t.shape()[i] > 1 && strides[i] != t.strides()[i]) return false;
    return true;
  }

  std::function<char(const Tensor&)> kind_;
  std::map<std::pair<Storage*, int64_t>, Known> first_;
  std::map<char, std::vector<Known>> known_;
};

std::string number(double value) {
  char text[32];
  const char* const units[] = {"", "k", "M", "G", "T"};
  size_t unit = 0;
  for (; value >= 10000 && unit < 4; value /= 1000) ++unit;
  std::snprintf(text, sizeof text, "%.4g %s", value, units[unit]);
  return text;
}

// Broken between words, so that no line is longer than `first`, the later ones than `later`.
std::vector<std::string> wrapped(const std::string& text, size_t first, size_t later) {
  std::vector<std::string> lines{""};
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find(' ', at);
    if (end == std::string::npos) end = text.size();
    const std::string word = text.substr(at, end - at);
    const size_t room = lines.size() == 1 ? first : later;
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > room) lines.emplace_back();
    lines.back() += (lines.back().empty() ? "" : " ") + word;
    at = end + 1;
  }
  return lines;
}

void append(std::string& list, const std::string& item) {
  list += (list.empty() ? "" : ", ") + item;
}

// Nothing where there is nothing to say.
std::string paragraph(const std::string& title, const std::string& text) {
  std::string result;
  if (text.empty()) return result;
  for (const std::string& line : wrapped(title + text, kWidth, kWidth - 4))
    result += (result.empty() ? "" : "    ") + line + "\n";
  return result;
}

void pad(std::string& text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
}

std::string described(const std::string& name, const Tensor& t) {
  const bool usual = t.dtype() == DType::float32;
  return name + " " + to_string(t.shape()) + (usual ? "" : std::string(" ") + name_of(t.dtype()));
}

std::string legend(const std::string& title, const std::vector<Names::Known>& names) {
  std::string text;
  for (const auto& [name, t] : names) append(text, described(name, t));
  return paragraph(title, text);
}

// Of a long name of a file the end, with the line.
std::string shortened(const std::string& where) {
  constexpr size_t most = 24;
  return where.size() <= most ? where : "..." + where.substr(where.size() - most + 3);
}

struct Line {
  std::string text, op, where;
  std::string mark = {};  // of lines that run together
};

size_t widest(const std::vector<Line>& lines, std::string Line::* column) {
  size_t width = 0;
  for (const Line& line : lines) width = std::max(width, (line.*column).size());
  return width;
}

// The formulas at the left, which go on below as far as they need, the rest in columns.
std::string table(const std::vector<Line>& lines) {
  const size_t op = widest(lines, &Line::op), where = widest(lines, &Line::where);
  const size_t others = op + 2 + (where ? where + 2 : 0);
  const size_t left = std::max<size_t>(others < kWidth ? kWidth - others : 0, 20);
  std::string text;
  for (const Line& line : lines) {
    const std::vector<std::string> parts =
        wrapped(line.text, left - line.mark.size(), kWidth - 4 - line.mark.size());
    std::string first = line.mark + parts[0];
    pad(first, left);
    first += "  " + line.op;
    pad(first, left + 2 + op);
    if (where) first += "  " + line.where;
    text += first.substr(0, first.find_last_not_of(' ') + 1) + "\n";
    for (size_t i = 1; i < parts.size(); ++i) text += line.mark + "    " + parts[i] + "\n";
  }
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> Program::lines() const {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Instruction& step : plan_->instructions)
    lines.emplace_back(label_of(step), step.where ? *step.where : "");
  return lines;
}

std::string Program::dump() const {
  const Plan& plan = *plan_;
  const Tensors results_of = plan.shown_results();
  const auto among = [](const Tensors& list, const Tensor& t) {
    return std::any_of(list.begin(), list.end(), [&](const Tensor& u) {
      return u.defined() && u.impl()->storage == t.impl()->storage;
    });
  };
  std::map<Storage*, bool> made;
  Names names([&](const Tensor& t) {
    if (among(plan.inputs, t)) return 'x';
    if (plan.is_temporary(*t.impl()->storage)) return 't';
    return among(results_of, t) && made[t.impl()->storage.get()] ? 'y' : 'h';
  });
  const auto name = [&](const Tensor& t) { return names.meet(t); };
  for (const Tensor& t : plan.inputs) name(t);
  double flops = 0;
  std::vector<Line> lines;
  for (size_t i = 0; i < plan.instructions.size(); ++i) {
    const Instruction& step = plan.instructions[i];
    Line line{written(step, name), label_of(step), step.where ? shortened(*step.where) : ""};
    for (const Tensor& t : step.outputs) made.try_emplace(t.impl()->storage.get(), true);
    std::string left;
    for (const Tensor& t : step.outputs) append(left, described(name(t), t));
    if (!left.empty()) line.text = left + " = " + line.text;
    if (const Chain* const chain = plan.chains.at(i))
      line.mark = i == chain->first ? "/ " : i + 1 == chain->last ? "\\ " : "| ";
    lines.push_back(line);
    flops += cost_of_step(step).flops;
  }
  std::string results, memory, blocks;
  for (const Tensor& t : results_of) append(results, name(t));
  for (const auto& [text, t] : names.all('t')) {
    const Storage& storage = *t.impl()->storage;
    if (plan.chains.inside(storage))
      append(blocks, text);
    else
      append(memory, text + " " + std::to_string(plan.arena.offset_of(storage)) + "+" +
                         std::to_string(storage.bytes));
  }
  const std::string head = std::to_string(lines.size()) + " instructions, " + number(flops) +
                           "flop, " + std::to_string(arena_bytes()) + " bytes of arena\n";
  return head + legend("inputs: ", names.all('x')) + table(lines) + paragraph("returns ", results) +
         legend("held: ", names.all('h')) + paragraph("block by block: ", blocks) +
         paragraph("arena, first byte+bytes: ", memory);
}

}  // namespace ranvier
