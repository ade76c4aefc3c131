// Optimizer steps: what each is made of. What changes from step to step (learning rate, momentum,
// step count) is a tensor, so that a recorded step stays true.
#include <algorithm>
#include <cmath>

#include "ops/families.h"
#include "ops/update.h"

namespace ranvier {
namespace {

// ---- inputs and attributes

double& number_in(const ForwardArgs& args, size_t i) { return *args.in[i].data<double>(); }

// Where the value of an attribute goes.
struct Field {
  double UpdateArgs::* number = nullptr;
  bool UpdateArgs::* flag = nullptr;
  Field(double UpdateArgs::* to) : number(to) {}
  Field(bool UpdateArgs::* to) : flag(to) {}
};
using U = UpdateArgs;

// The learning rate, and the first attributes of an op in the fields that are named.
UpdateArgs settings(const ForwardArgs& args, std::initializer_list<Field> fields) {
  UpdateArgs u;
  u.lr = number_in(args, 2);
  int i = 0;
  for (const Field& field : fields) {
    if (field.number)
      u.*field.number = args.number(i++);
    else
      u.*field.flag = args.flag(i++);
  }
  return u;
}

// A momentum that is scheduled comes as a tensor, the last input.
void follow_schedule(const ForwardArgs& args, double* momentum) {
  if (args.in.back().defined()) *momentum = *args.in.back().data<double>();
}

// Counts this step in an input: 1 at the first.
int64_t count_step(const ForwardArgs& args, size_t i) {
  double& step = number_in(args, i);
  step += 1;
  return step > 1 ? static_cast<int64_t>(std::min(step, 1e15)) : 1;
}

// Multiplications alone: the same result with every C library.
double power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, x *= x)
    if (n % 2) result *= x;
  return result;
}
// Any exponent, by the kernel of the op pow.
double power(double x, double y) {
  const void* in[] = {&x, &y};
  double result;
  kernel_table().forward[static_cast<int>(Row::pow)][1](1, in, &result, 0);
  return result;
}

AttrDef number(const char* name, double value) {
  return {.name = name, .kind = AttrKind::number, .value = value};
}
AttrDef flag(const char* name) { return {.name = name, .kind = AttrKind::flag, .value = false}; }
AttrDef decay() { return number("weight_decay", 0); }
AttrDef decoupled() { return flag("decoupled"); }
AttrDef maximize() { return flag("maximize"); }
AttrDef eps_inside() { return flag("eps_inside"); }

// An example with so many tensors of state and then so many counts.
std::string example(const std::string& op, int states, int counts) {
  std::string text = "rv." + op + "(rv.zeros(3), rv.ones(3), rv.tensor(0.1, dtype=rv.float64)";
  for (int i = 0; i < states; ++i) text += ", rv.zeros(3)";
  for (int i = 0; i < counts; ++i) text += ", rv.tensor(0.0, dtype=rv.float64)";
  return text + ")";
}

// ---- the ops

UpdateArgs sgd_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::momentum, &U::dampening, &U::weight_decay, &U::nesterov,
                                 &U::maximize, &U::decoupled, &U::lr_in_momentum});
  follow_schedule(args, &u.momentum);
  if (args.in[4].defined()) u.first = count_step(args, 4) == 1;
  return u;
}
void declare_sgd(Registry& r) {
  add_update<Update::sgd, sgd_step>(
      r, {.name = "sgd_update",
          .doc = "One step of gradient descent with momentum, in place (Sutskever et al., 2013); "
                 "with `lr_in_momentum` the buffer holds changes, in place of gradients.",
          .inputs = {"param", "grad", "lr", "momentum_buffer?", "step?", "momentum_now?"},
          .attrs = {number("momentum", 0), number("dampening", 0), decay(), flag("nesterov"),
                    maximize(), decoupled(), flag("lr_in_momentum")},
          .formula = {"b = mu b + (1 - d) (g + l p); p = p - lr b",
                      R"(b \leftarrow \mu b + (1-d)(g+\lambda p),\; p \leftarrow p - \eta b)",
                      {}},
          .example = example("sgd_update", 0, 0)});
}

UpdateArgs adam_step(const ForwardArgs& args) {
  UpdateArgs u = settings(
      args, {&U::beta1, &U::beta2, &U::eps, &U::weight_decay, &U::decoupled, &U::maximize});
  follow_schedule(args, &u.beta1);
  const int64_t n = count_step(args, 5);
  const bool hat = args.flag(6), raw = args.flag(7);
  const double correction1 = raw ? 1 : 1 - power(u.beta1, n);
  const double correction2 = raw ? 1 : 1 - power(u.beta2, n);
  u.rate = u.lr / correction1 * (hat ? std::sqrt(correction2) : 1);
  u.correction2 = hat ? 1 : correction2;
  return u;
}
void declare_adam(Registry& r) {
  add_update<Update::adam, adam_step>(
      r, {.name = "adam_update",
          .doc = "One step of Adam, in place (Kingma and Ba, 2015, algorithm 1); with `decoupled`, "
                 "AdamW (Loshchilov and Hutter, 2019); with `max_exp_avg_sq`, AMSGrad (Reddi et "
                 "al., 2018); with `eps_hat`, the order of the end of Kingma and Ba's section 2.",
          .inputs = {"param", "grad", "lr", "exp_avg", "exp_avg_sq", "step", "max_exp_avg_sq?",
                     "momentum_now?"},
          .attrs = {number("beta1", 0.9), number("beta2", 0.999), number("eps", 1e-8), decay(),
                    decoupled(), maximize(), flag("eps_hat"), flag("uncorrected")},
          .formula = {"m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; "
                      "p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)",
                      R"(p \leftarrow p - \eta\,\frac{\hat m}{\sqrt{\hat v}+\epsilon})",
                      {}},
          .example = example("adam_update", 2, 1)});
}

UpdateArgs rmsprop_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::beta2, &U::eps, &U::weight_decay, &U::momentum, &U::maximize,
                                 &U::decoupled, &U::eps_inside, &U::lr_in_momentum});
  follow_schedule(args, &u.momentum);
  return u;
}
void declare_rmsprop(Registry& r) {
  add_update<Update::rmsprop, rmsprop_step>(
      r, {.name = "rmsprop_update",
          .doc = "One step of RMSprop, in place (Hinton, 2012); with `grad_avg`, centered (Graves, "
                 "2013); with `eps_inside`, eps stands under the root.",
          .inputs = {"param", "grad", "lr", "square_avg", "grad_avg?", "momentum_buffer?",
                     "momentum_now?"},
          .attrs = {number("alpha", 0.99), number("eps", 1e-8), decay(), number("momentum", 0),
                    maximize(), decoupled(), eps_inside(), flag("lr_in_momentum")},
          .formula = {"v = a v + (1 - a) g^2; m = a m + (1 - a) g; "
                      "b = mu b + g / (sqrt(v - m^2) + eps); p = p - lr b",
                      R"(p \leftarrow p - \eta\,\frac{g}{\sqrt{v}+\epsilon})",
                      {}},
          .example = example("rmsprop_update", 1, 0)});
}

UpdateArgs adagrad_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::second_rate, &U::eps, &U::weight_decay, &U::low, &U::maximize,
                                 &U::decoupled, &U::eps_inside});
  const int64_t n = count_step(args, 4);
  u.first = n == 1;
  u.rate = u.lr / (1 + static_cast<double>(n - 1) * u.second_rate);
  return u;
}
void declare_adagrad(Registry& r) {
  add_update<Update::adagrad, adagrad_step>(
      r, {.name = "adagrad_update",
          .doc = "One step of Adagrad, in place (Duchi et al., 2011). At step 0 `initial` is added "
                 "to the sum; with `eps_inside`, eps stands under the root.",
          .inputs = {"param", "grad", "lr", "sum", "step"},
          .attrs = {number("lr_decay", 0), number("eps", 1e-10), decay(), number("initial", 0),
                    maximize(), decoupled(), eps_inside()},
          .formula = {"s = s + g^2; p = p - lr / (1 + (t - 1) k) g / (sqrt(s) + eps)",
                      R"(p \leftarrow p - \frac{\eta}{1+(t-1)\kappa}\,\frac{g}{\sqrt{s}+\epsilon})",
                      {}},
          .example = example("adagrad_update", 1, 1)});
}

UpdateArgs adadelta_step(const ForwardArgs& args) {
  const UpdateArgs u =
      settings(args, {&U::beta2, &U::eps, &U::weight_decay, &U::maximize, &U::decoupled});
  return u;
}
void declare_adadelta(Registry& r) {
  add_update<Update::adadelta, adadelta_step>(
      r, {.name = "adadelta_update",
          .doc = "One step of Adadelta, in place (Zeiler, 2012, algorithm 1).",
          .inputs = {"param", "grad", "lr", "square_avg", "acc_delta"},
          .attrs = {number("rho", 0.9), number("eps", 1e-6), decay(), maximize(), decoupled()},
          .formula = {"v = r v + (1 - r) g^2; d = sqrt((u + eps) / (v + eps)) g; "
                      "u = r u + (1 - r) d^2; p = p - lr d",
                      R"(p \leftarrow p - \eta\,\sqrt{\frac{u+\epsilon}{v+\epsilon}}\,g)",
                      {}},
          .example = example("adadelta_update", 2, 0)});
}

UpdateArgs adamax_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::beta1, &U::beta2, &U::eps, &U::weight_decay, &U::maximize,
                                 &U::decoupled, &U::eps_inside});
  follow_schedule(args, &u.beta1);
  u.rate = u.lr / (1 - power(u.beta1, count_step(args, 5)));
  return u;
}
void declare_adamax(Registry& r) {
  add_update<Update::adamax, adamax_step>(
      r, {.name = "adamax_update",
          .doc = "One step of AdaMax, in place (Kingma and Ba, 2015, algorithm 2); with "
                 "`eps_inside`, eps is added to the divisor and not to the gradient's size.",
          .inputs = {"param", "grad", "lr", "exp_avg", "exp_inf", "step", "momentum_now?"},
          .attrs = {number("beta1", 0.9), number("beta2", 0.999), number("eps", 1e-8), decay(),
                    maximize(), decoupled(), eps_inside()},
          .formula = {"m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps); "
                      "p = p - lr / (1 - b1^t) m / u",
                      R"(p \leftarrow p - \frac{\eta}{1-\beta_1^t}\,\frac{m}{u})",
                      {}},
          .example = example("adamax_update", 2, 1)});
}

UpdateArgs nadam_step(const ForwardArgs& args) {
  UpdateArgs u = settings(
      args, {&U::beta1, &U::beta2, &U::eps, &U::weight_decay, &U::decoupled, &U::maximize});
  follow_schedule(args, &u.beta1);
  const int64_t n = count_step(args, 6);
  const auto momentum = [&](int64_t t) {
    return u.beta1 * (1 - 0.5 * power(0.96, static_cast<double>(t) * args.number(6)));
  };
  const double now = momentum(n), next = momentum(n + 1);
  double& product = number_in(args, 5);
  product = n == 1 ? now : product * now;
  u.rate = u.lr * (1 - now) / (1 - product);
  u.second_rate = u.lr * next / (1 - product * next);
  u.correction2 = 1 - power(u.beta2, n);
  return u;
}
void declare_nadam(Registry& r) {
  add_update<Update::nadam, nadam_step>(
      r, {.name = "nadam_update",
          .doc = "One step of NAdam, in place (Dozat, 2016, algorithm 8), with the momentum "
                 "b1 (1 - 0.96^(t momentum_decay) / 2) at step t.",
          .inputs = {"param", "grad", "lr", "exp_avg", "exp_avg_sq", "mu_product", "step",
                     "momentum_now?"},
          .attrs = {number("beta1", 0.9), number("beta2", 0.999), number("eps", 1e-8), decay(),
                    decoupled(), maximize(), number("momentum_decay", 4e-3)},
          .formula = {"M = M mu_t; p = p - lr ((1 - mu_t) / (1 - M) g + mu_(t+1) / "
                      "(1 - M mu_(t+1)) m) / (sqrt(v / (1 - b2^t)) + eps)",
                      R"(p \leftarrow p - \frac{\eta}{\sqrt{\hat v}+\epsilon}\left()"
                      R"(\frac{(1-\mu_t)\,g}{1-\prod_{i=1}^{t}\mu_i} + )"
                      R"(\frac{\mu_{t+1}\,m}{1-\prod_{i=1}^{t+1}\mu_i}\right))",
                      {}},
          .example = example("nadam_update", 2, 2)});
}

UpdateArgs radam_step(const ForwardArgs& args) {
  UpdateArgs u = settings(
      args, {&U::beta1, &U::beta2, &U::eps, &U::weight_decay, &U::decoupled, &U::maximize});
  follow_schedule(args, &u.beta1);
  const int64_t n = count_step(args, 5);
  const double forgotten = power(u.beta2, n), longest = 2 / (1 - u.beta2) - 1;
  const double length = longest - 2 * static_cast<double>(n) * forgotten / (1 - forgotten);
  u.first = !(length > 5);
  u.rate = u.lr / (1 - power(u.beta1, n));
  if (!u.first)
    u.rate *= std::sqrt(1 - forgotten) * std::sqrt((length - 4) * (length - 2) * longest /
                                                   ((longest - 4) * (longest - 2) * length));
  return u;
}
void declare_radam(Registry& r) {
  add_update<Update::radam, radam_step>(
      r, {.name = "radam_update",
          .doc = "One step of RAdam, in place (Liu et al., 2020, algorithm 2).",
          .inputs = {"param", "grad", "lr", "exp_avg", "exp_avg_sq", "step", "momentum_now?"},
          .attrs = {number("beta1", 0.9), number("beta2", 0.999), number("eps", 1e-8), decay(),
                    decoupled(), maximize()},
          .formula = {"p = p - lr r sqrt(1 - b2^t) m / (1 - b1^t) / (sqrt(v) + eps), where r is "
                      "known; else p = p - lr m / (1 - b1^t)",
                      R"(p \leftarrow p - \eta\,r_t\,\frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t}\,)"
                      R"(\frac{m}{\sqrt{v}+\epsilon})",
                      {}},
          .example = example("radam_update", 2, 1)});
}

UpdateArgs lion_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::beta1, &U::beta2, &U::weight_decay, &U::maximize});
  follow_schedule(args, &u.beta1);
  u.decoupled = true;
  return u;
}
void declare_lion(Registry& r) {
  add_update<Update::lion, lion_step>(
      r, {.name = "lion_update",
          .doc = "One step of Lion, in place (Chen et al., 2023, algorithm 2); weight decay "
                 "shrinks the parameter.",
          .inputs = {"param", "grad", "lr", "exp_avg", "momentum_now?"},
          .attrs = {number("beta1", 0.9), number("beta2", 0.99), decay(), maximize()},
          .formula = {"p = p - lr (sign(b1 m + (1 - b1) g) + l p); m = b2 m + (1 - b2) g",
                      R"(p \leftarrow p - \eta\,(\operatorname{sign}(\beta_1 m+(1-\beta_1)g))"
                      R"(+\lambda p))",
                      {}},
          .example = example("lion_update", 1, 0)});
}

UpdateArgs rprop_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::beta1, &U::beta2, &U::low, &U::high, &U::maximize});
  u.first = count_step(args, 5) == 1;
  return u;
}
void declare_rprop(Registry& r) {
  add_update<Update::rprop, rprop_step>(
      r, {.name = "rprop_update",
          .doc = "One step of Rprop, in place (Riedmiller and Braun, 1993), without going back. "
                 "The learning rate is the first step size.",
          .inputs = {"param", "grad", "lr", "prev", "step_size", "step"},
          .attrs = {number("eta_minus", 0.5), number("eta_plus", 1.2), number("step_min", 1e-6),
                    number("step_max", 50), maximize()},
          .formula = {"s = clamp(s f), f = eta_plus where the sign of g stays, eta_minus where it "
                      "changes; p = p - s sign(g)",
                      R"(p \leftarrow p - s\,\operatorname{sign}(g))",
                      {}},
          .example = example("rprop_update", 2, 1)});
}

UpdateArgs asgd_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::l2, &U::power, &U::low, &U::weight_decay, &U::maximize});
  double &eta = number_in(args, 4), &mu = number_in(args, 5);
  const int64_t n = count_step(args, 6);
  if (n == 1) eta = u.lr, mu = 1;
  u.rate = eta;
  u.second_rate = mu;
  const auto steps = static_cast<double>(n);
  eta = u.lr / power(1 + u.l2 * u.lr * steps, u.power);
  mu = 1 / std::max(1.0, steps - u.low);
  return u;
}
void declare_asgd(Registry& r) {
  add_update<Update::asgd, asgd_step>(
      r, {.name = "asgd_update",
          .doc = "One step of averaged gradient descent, in place (Polyak and Juditsky, 1992).",
          .inputs = {"param", "grad", "lr", "ax", "eta", "mu", "step"},
          .attrs = {number("lambd", 1e-4), number("alpha", 0.75), number("t0", 1e6), decay(),
                    maximize()},
          .formula = {"p = p - eta (g + l p); a = a + mu (p - a); eta = lr / (1 + l lr t)^alpha; "
                      "mu = 1 / max(1, t - t0)",
                      R"(p \leftarrow p - \eta_t\,(g+\lambda p),\; a \leftarrow a + \mu_t(p-a))",
                      {}},
          .example = example("asgd_update", 1, 3)});
}

UpdateArgs ftrl_step(const ForwardArgs& args) {
  UpdateArgs u = settings(args, {&U::power, &U::low, &U::l1, &U::l2, &U::shrinkage, &U::second_rate,
                                 &U::weight_decay, &U::maximize, &U::decoupled});
  if (!(u.lr > 0))
    fail(ErrorKind::value, "[ftrl_update] expected 'lr' above 0, by which it divides, got ", u.lr,
         "; begin a schedule with a small rate");
  u.power = -u.power;
  u.l2 += u.second_rate / (2 * u.lr);
  u.first = count_step(args, 5) == 1;
  return u;
}
void declare_ftrl(Registry& r) {
  add_update<Update::ftrl, ftrl_step>(
      r,
      {.name = "ftrl_update",
       .doc = "One step of follow-the-regularized-leader, in place (McMahan et al., 2013, "
              "algorithm 1). At step 0 `initial` is added to the accumulator.",
       .inputs = {"param", "grad", "lr", "accumulator", "linear", "step"},
       .attrs = {number("lr_power", -0.5), number("initial", 0.1), number("l1", 0), number("l2", 0),
                 number("l2_shrinkage", 0), number("beta", 0), decay(), maximize(), decoupled()},
       .formula = {"z = z + g - (sqrt(n + g^2) - sqrt(n)) / lr p; n = n + g^2; "
                   "p = (clamp(z, -l1, l1) - z) / (sqrt(n) / lr + 2 l2)",
                   R"(p \leftarrow \frac{\operatorname{clamp}(z,-\lambda_1,\lambda_1)-z})"
                   R"({\sqrt{n}/\eta+2\lambda_2})",
                   {}},
       .example = example("ftrl_update", 2, 1)});
}

}  // namespace

void declare_updates(Registry& r) {
  declare_sgd(r);
  declare_adam(r);
  declare_rmsprop(r);
  declare_adagrad(r);
  declare_adadelta(r);
  declare_adamax(r);
  declare_nadam(r);
  declare_radam(r);
  declare_lion(r);
  declare_rprop(r);
  declare_asgd(r);
  declare_ftrl(r);
}

}  // namespace ranvier
