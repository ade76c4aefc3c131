// Optimizer steps. What changes from step to step (learning rate, step count) is a tensor, so that
// a recorded step stays true.
#include <algorithm>
#include <cmath>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/families.h"
#include "ops/loops.h"
#include "ops/op.h"

namespace ranvier {
namespace {

constexpr int64_t kPiece = 1 << 14;

Metas infer_update(const InferArgs& args) {
  for (size_t i = 1; i < args.in.size(); ++i) {
    if (!args.given_inputs[i]) continue;
    const std::string& name = args.op().inputs[i];
    if (name == "lr" || name == "step") {
      if (!args.in[i].shape.empty() || args.in[i].dtype != DType::float64)
        args.mismatch("'" + name + "' as one float64");
      continue;
    }
    if (args.in[i].dtype != args.in[0].dtype)
      fail(ErrorKind::type, "[", args.op().name, "] expected ", name_of(args.in[0].dtype), " for '",
           name, "', got ", name_of(args.in[i].dtype));
    if (!(args.in[i].shape == args.in[0].shape))
      args.mismatch("'" + name + "' of the parameter's shape");
  }
  if (!is_floating(args.in[0].dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected a floating parameter, got ",
         name_of(args.in[0].dtype));
  return {};
}

double number_in(const Tensor& t) { return *t.data<double>(); }

// Multiplications alone: the same result with every C library.
double power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, x *= x)
    if (n % 2) result *= x;
  return result;
}

// Parameters, gradients and state as flat arrays. A parameter with gaps is worked on in a copy.
class Flat {
 public:
  Flat(const Tensor& param, std::initializer_list<Tensor> others) : param_(param) {
    tensors_.push_back(param.is_dense() ? param : converted(param, param.dtype()));
    for (const Tensor& t : others)
      tensors_.push_back(t.defined() ? in_layout_of(t, tensors_[0]) : t);
    given_ = others;
  }
  template <class T>
  T* data(int i) const {
    return tensors_[i].defined() ? tensors_[i].data<T>() : nullptr;
  }
  // Copies what was changed back to where it came from.
  void write_back(std::initializer_list<int> changed) const {
    if (!tensors_[0].same(param_)) copy(param_, tensors_[0]);
    for (const int i : changed) {
      const Tensor& original = given_[static_cast<size_t>(i - 1)];
      if (original.defined() && !tensors_[i].same(original)) copy(original, tensors_[i]);
    }
  }

 private:
  Tensor param_;
  Tensors tensors_, given_;
};

// Inputs: param, grad, lr, momentum_buffer?, step?
void sgd_forward(const ForwardArgs& args) {
  const Tensor& param = args.in[0];
  SgdArgs sgd{number_in(args.in[2]), args.number(0), args.number(1), args.number(2),
              args.flag(3),          args.flag(4),   false};
  if (args.in[4].defined()) {
    double& step = *args.in[4].data<double>();
    sgd.first = step == 0;
    step += 1;
  }
  const Flat flat(param, {args.in[1], args.in[3]});
  visit_floating(param.dtype(), [&]<class T>(Tag<T>) {
    parallel_items(param.numel(), 1, kPiece, [&](int64_t begin, int64_t end) {
      T* buffer = flat.data<T>(2);
      kernels<T>().sgd(end - begin, flat.data<T>(0) + begin, flat.data<T>(1) + begin,
                       buffer ? buffer + begin : nullptr, sgd);
    });
  });
  flat.write_back({2});
}

// Inputs: param, grad, lr, exp_avg, exp_avg_sq, step
void adam_forward(const ForwardArgs& args) {
  const Tensor& param = args.in[0];
  double& step = *args.in[5].data<double>();
  step += 1;
  const auto n = static_cast<int64_t>(step);
  const double beta1 = args.number(0), beta2 = args.number(1);
  const AdamArgs adam{number_in(args.in[2]), beta1,          beta2,
                      args.number(2),        args.number(3), 1 - power(beta1, n),
                      1 - power(beta2, n),   args.flag(4),   args.flag(5)};
  const Flat flat(param, {args.in[1], args.in[3], args.in[4]});
  visit_floating(param.dtype(), [&]<class T>(Tag<T>) {
    parallel_items(param.numel(), 1, kPiece, [&](int64_t begin, int64_t end) {
      kernels<T>().adam(end - begin, flat.data<T>(0) + begin, flat.data<T>(1) + begin,
                        flat.data<T>(2) + begin, flat.data<T>(3) + begin, adam);
    });
  });
  flat.write_back({2, 3});
}

AttrDef number(const char* name, double value) {
  return {.name = name, .kind = AttrKind::number, .value = value};
}
AttrDef flag(const char* name) { return {.name = name, .kind = AttrKind::flag, .value = false}; }

}  // namespace

void declare_updates(Registry& r) {
  const std::string inputs = "rv.zeros(3), rv.ones(3), rv.tensor(0.1, dtype=rv.float64)";
  r.add({.name = "sgd_update",
         .doc = "One step of gradient descent with momentum, in place (Sutskever et al., 2013).",
         .inputs = {"param", "grad", "lr", "momentum_buffer?", "step?"},
         .attrs = {number("momentum", 0), number("dampening", 0), number("weight_decay", 0),
                   flag("nesterov"), flag("maximize")},
         .infer = infer_update,
         .forward = sgd_forward,
         .mutates = {"param", "momentum_buffer", "step"},
         .differentiable = false,
         .formula = {"b = mu b + (1 - d) (g + l p); p = p - lr b",
                     R"(b \leftarrow \mu b + (1-d)(g+\lambda p),\; p \leftarrow p - \eta b)",
                     {}},
         .example = "rv.sgd_update(" + inputs + ")"});
  r.add({.name = "adam_update",
         .doc = "One step of Adam, in place (Kingma and Ba, 2015, algorithm 1); with `decoupled`, "
                "AdamW (Loshchilov and Hutter, 2019).",
         .inputs = {"param", "grad", "lr", "exp_avg", "exp_avg_sq", "step"},
         .attrs = {number("beta1", 0.9), number("beta2", 0.999), number("eps", 1e-8),
                   number("weight_decay", 0), flag("decoupled"), flag("maximize")},
         .infer = infer_update,
         .forward = adam_forward,
         .mutates = {"param", "exp_avg", "exp_avg_sq", "step"},
         .differentiable = false,
         .formula = {"m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; "
                     "p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)",
                     R"(p \leftarrow p - \eta\,\frac{\hat m}{\sqrt{\hat v}+\epsilon})",
                     {}},
         .example = "rv.adam_update(" + inputs +
                    ", rv.zeros(3), rv.zeros(3), rv.tensor(0.0, dtype=rv.float64))"});
}

}  // namespace ranvier
