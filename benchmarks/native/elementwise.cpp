// Elementwise functions and activations with their derivatives.
#include "suite.h"

namespace bench {
namespace {

struct Function {
  const char* op;
  int inputs = 1;
  double low = -4, high = 4;   // of the numbers that it is called with
  bool in_double = false;      // has rows in float64 too
  bool computes_slope = true;  // no: its gradient is the one that came
};

constexpr Function kFunctions[] = {
    {"add", 2, -4, 4, true, false},
    {"mul", 2},
    {"div", 2, 1, 2},
    {"sqrt", 1, 0, 10},
    {"exp", 1, -4, 4, true},
    {"log", 1, 0.01, 10, true},
    {"tanh", 1, -4, 4, true},
    {"sigmoid", 1, -4, 4, true},
    {"erf"},
    {"relu"},
    {"gelu", 1, -4, 4, true},
    {"gelu_tanh"},
    {"silu"},
    {"mish"},
    {"elu"},
    {"softsign"},
};
constexpr int64_t kSizes[] = {1000, 10000, 123457, 1000000, 10000000};
constexpr int64_t kBackwardSizes[] = {10000, 1000000, 10000000};
constexpr int64_t kDoubleSizes[] = {10000, 1000000};

Call call(const Function& f, int64_t n, Number number) {
  Call made{.op = f.op, .inputs = {}};
  for (int i = 0; i < f.inputs; ++i)
    made.inputs.push_back(uniform({n}, dtype_of(number), f.low, f.high));
  return made;
}

using Maker = Work (*)(Call);

void add(Rows& rows, const char* what, Maker make, const Function& f, int64_t n,
         Number number = Number::f32) {
  const std::string name = std::string(f.op) + "/" + name_of(number) + "/" + what + "/";
  rows.push_back({.name = name + std::to_string(n), .number = number, .prepare = [=] {
                    return make(call(f, n, number));
                  }});
}

}  // namespace

void add_elementwise(Rows& rows) {
  for (const Function& f : kFunctions) {
    for (const int64_t n : kSizes) add(rows, "forward", forward, f, n);
    if (f.in_double)
      for (const int64_t n : kDoubleSizes) add(rows, "forward", forward, f, n, Number::f64);
    if (!f.computes_slope) continue;
    for (const int64_t n : kBackwardSizes) add(rows, "backward", backward, f, n);
    if (f.in_double)
      for (const int64_t n : kDoubleSizes) add(rows, "backward", backward, f, n, Number::f64);
  }
}

}  // namespace bench
