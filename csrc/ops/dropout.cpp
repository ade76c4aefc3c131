// Dropout: elements are set to 0 (or to what SELU gives for -inf) at random. Which ones depends on
// the generator's state and on the place in the row alone; every row begins with numbers of its
// own, so that the rows of a batch may come in parts.
#include <cmath>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/random.h"

namespace ranvier {
namespace {

constexpr int64_t kPer = 4;  // float numbers that one counter of the generator gives

// A row is all of an element of axis 0; a tensor with one axis or none is one row.
struct Rows {
  int64_t count = 1, size = 1;
  explicit Rows(const Dims& shape) {
    for (int i = 0; i < shape.size(); ++i) (shape.size() > 1 && i == 0 ? count : size) *= shape[i];
  }
  int64_t counters() const { return (size + kPer - 1) / kPer; }  // of one row
};

// What becomes of an element: x scale + shift where it is kept, `dropped` + 0 x where not.
struct Rule {
  double scale, shift, dropped;
};

// Srivastava et al., "Dropout" (2014), section 10: what is kept grows by 1 / (1 - p).
Rule plain_rule(double p) { return {p < 1 ? 1 / (1 - p) : 0.0, 0, 0}; }

// Klambauer et al., "Self-normalizing neural networks" (2017), eq. 18 and the text around it: mean
// and variance stay those of the input.
Rule alpha_rule(double p) {
  constexpr double alpha = 1.7580993408473766;
  if (p >= 1) return {0, 0, 0};
  const double a = 1 / std::sqrt((alpha * alpha * p + 1) * (1 - p));
  return {a, alpha * a * p, alpha * a * (p - 1)};
}

// What a call does to memory that is known: a program keeps one.
template <class T>
class Drop {
 public:
  Drop(const ForwardArgs& args, const Tensor& x, const Rule& rule)
      : state_(args.in[0]),
        rows_(x.shape()),
        // A draw k / 2^24 is at least p where k is at least this.
        least_(
            static_cast<uint32_t>(std::ceil(double{static_cast<float>(args.number(0))} * 0x1p24))),
        scale_{T(0), static_cast<T>(rule.scale)},
        shift_{static_cast<T>(rule.dropped), static_cast<T>(rule.shift)},
        x_(x.data<T>()),
        y_(args.out[0].data<T>()),
        mask_(args.out[1].data<bool>()) {}
  void operator()() const {
    const int64_t each = rows_.counters();
    const State state = take(state_, rows_.count * each);
    parallel_for(rows_.count * each, kDrawn / kPer, [&](int64_t begin, int64_t end) {
      alignas(64) uint32_t words[kDrawn];
      kernel_table().philox(state.seed, state.position + static_cast<uint64_t>(begin),
                            (end - begin + kPhiloxBlock - 1) / kPhiloxBlock, words);
      for (int64_t c = begin; c < end;) {  // as many counters as are of one row
        const int64_t at = c % each, n = std::min(each - at, end - c);
        const int64_t first = c / each * rows_.size + at * kPer;
        kernels<T>().dropout(std::min(n * kPer, rows_.size - at * kPer), words + (c - begin) * kPer,
                             least_, scale_, shift_, x_ + first, y_ + first, mask_ + first);
        c += n;
      }
    });
  }

 private:
  Tensor state_;
  Rows rows_;
  uint32_t least_;
  T scale_[2], shift_[2];
  const T* x_;
  T* y_;
  bool* mask_;
};

template <Rule (*rule_of)(double)>
void dropout_forward(const ForwardArgs& args) {
  const Tensor x = packed(args.in[1]);
  visit_floating(x.dtype(), [&]<class T>(Tag<T>) { Drop<T>(args, x, rule_of(args.number(0)))(); });
}

template <Rule (*rule_of)(double)>
Prepared dropout_prepare(const ForwardArgs& args) {
  const Tensor& x = args.in[1];
  Prepared call;
  if (is_half(x.dtype()) || !x.is_contiguous()) return call;
  visit_floating(x.dtype(),
                 [&]<class T>(Tag<T>) { call = Drop<T>(args, x, rule_of(args.number(0))); });
  return call;
}

Metas infer_dropout(const InferArgs& args) {
  check_state(args);
  const Meta& x = args.in[1];
  if (!is_floating(x.dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected a floating dtype, got ",
         name_of(x.dtype), " for 'input'; call .float() or .double() on it");
  const double p = args.number(0);
  if (!(p >= 0 && p <= 1))
    fail(ErrorKind::value, "[", args.op().name, "] p: expected a probability from 0 to 1, got ", p);
  return {x, {x.shape, DType::bool_}};
}

Tensors dropout_backward(const BackwardArgs& args) {
  Tensors grads(2);
  const Rule rule =
      args.op().name == "dropout" ? plain_rule(args.number(0)) : alpha_rule(args.number(0));
  grads[1] = call("dropout_backward", {args.grad[0], args.out[1]}, {rule.scale})[0];
  return grads;
}

// The same numbers by the op that draws uniform ones, a row and its unused rest at a time.
template <Rule (*rule_of)(double)>
Tensors dropout_composite(const Tensors& in, const AttrReader& args) {
  static const Op uniform("uniform"), slice("slice"), reshape("reshape"), ge("ge"), cast("cast");
  const Tensor& x = in[1];
  const Rows rows(x.shape());
  const Rule rule = rule_of(args.number(0));
  const Tensor drawn = uniform({in[0]}, {std::vector<int64_t>{rows.count, rows.counters() * kPer}});
  const Tensor mine = reshape({slice({drawn}, {int64_t{1}, int64_t{0}, rows.size})},
                              {std::vector<int64_t>(x.shape().begin(), x.shape().end())});
  const Tensor kept =
      cast({ge({mine, scalar(args.number(0), DType::float32)})}, {static_cast<int64_t>(x.dtype())});
  const Tensor y = x * (kept * rule.scale);
  if (rule.dropped == 0) return {y};
  return {y + kept * (rule.shift - rule.dropped) + scalar(rule.dropped, x.dtype())};
}

template <class T>
void drop_gradient(int64_t n, T scale, const T* g, const bool* mask, T* dx) {
  parallel_items(n, 1, kGrainUpdated, [&](int64_t begin, int64_t end) {
    kernels<T>().dropout_backward(end - begin, scale, g + begin, mask + begin, dx + begin);
  });
}

// Inputs: grad, mask.
void dropout_backward_forward(const ForwardArgs& args) {
  const Tensor g = packed(args.in[0]), mask = packed(args.in[1]);
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    drop_gradient(g.numel(), static_cast<T>(args.number(0)), g.data<T>(), mask.data<bool>(),
                  args.out[0].data<T>());
  });
}

Sweep dropout_backward_sweep(const ForwardArgs& args) {
  const Tensor &g = args.in[0], &mask = args.in[1], &out = args.out[0];
  if (is_half(g.dtype()) || !g.is_contiguous() || !mask.is_contiguous() || !out.is_contiguous())
    return {};
  Sweep sweep{.operands = {out, g, mask}, .steps = {1, 1, 1}, .work = kGrainCopied / kGrainUpdated};
  visit_floating(g.dtype(), [&]<class T>(Tag<T>) {
    sweep.rows = [scale = static_cast<T>(args.number(0))](int64_t n, void* const* at) {
      kernels<T>().dropout_backward(n, scale, static_cast<const T*>(at[1]),
                                    static_cast<const bool*>(at[2]), static_cast<T*>(at[0]));
    };
  });
  return sweep;
}

template <Rule (*rule_of)(double)>
void declare_one(Registry& r, OpDef op) {
  op.inputs = {"state", "input"};
  op.outputs = {"result", "_mask"};
  op.attrs = {{.name = "p", .kind = AttrKind::number, .value = 0.5}};
  op.infer = infer_dropout;
  op.forward = dropout_forward<rule_of>;
  op.prepare = dropout_prepare<rule_of>;
  op.backward = dropout_backward;
  op.composite = dropout_composite<rule_of>;
  op.saves = {"_mask"};
  op.mutates = {"state"};
  op.fronted = true;
  r.add(std::move(op));
}

void declare_gradient(Registry& r) {
  r.add({.name = "dropout_backward",
         .doc = "Gradient of dropout: that of the elements that were kept, scaled.",
         .inputs = {"grad", "mask"},
         .attrs = {{.name = "scale", .kind = AttrKind::number, .value = 1.0}},
         .infer = [](const InferArgs& args) -> Metas {
           const bool floating = is_floating(args.in[0].dtype);
           if (!floating || args.in[1].dtype != DType::bool_ ||
               !(args.in[0].shape == args.in[1].shape))
             args.mismatch("a floating 'grad' and a boolean 'mask' of its shape");
           return {args.in[0]};
         },
         .forward = dropout_backward_forward,
         .sweep = dropout_backward_sweep,
         .backward = [](const BackwardArgs& args) -> Tensors {
           return {call("dropout_backward", {args.grad[0], args.in[1]}, args.all())[0], {}};
         },
         .saves = {"mask"},
         .formula = {"g m scale", "g\\,m\\,s", {}},
         .gradient_of = "dropout"});
}

// ---- a state for each call within a step: seed, step and first row of the batch in, seed and
// position out

void stream_forward(const ForwardArgs& args) {
  const Tensor run = packed(args.in[0]);
  const int64_t* from = run.data<int64_t>();
  const auto step = philox(static_cast<uint64_t>(from[0]), static_cast<uint64_t>(from[1]));
  const uint64_t key = uint64_t{step[0]} << 32 | step[1];
  const auto words = philox(key, static_cast<uint64_t>(args.integer(0)));
  int64_t* to = args.out[0].data<int64_t>();
  to[0] = static_cast<int64_t>(uint64_t{words[0]} << 32 | words[1]);
  to[1] = static_cast<int64_t>(static_cast<uint64_t>(from[2]) *
                               static_cast<uint64_t>(Rows({2, args.integer(1)}).counters()));
}

void declare_stream(Registry& r) {
  r.add({.name = "row_state",
         .doc = "A generator's state for one call within a training step: the same rows of the "
                "whole batch get the same numbers, however the batch is cut. `run` is (seed, step, "
                "first row).",
         .inputs = {"run"},
         .attrs = {required("call", AttrKind::integer), required("row_size", AttrKind::integer)},
         .infer = [](const InferArgs& args) -> Metas {
           if (!(args.in[0].shape == Dims{3}) || args.in[0].dtype != DType::int64)
             args.mismatch("seed, step and first row, int64 (3,)");
           if (args.integer(1) < 0 || args.integer(1) > int64_t{1} << 62)
             fail(ErrorKind::value, "[row_state] row_size: expected 0 to 2^62, got ",
                  args.integer(1));
           return {{{2}, DType::int64}};
         },
         .forward = stream_forward,
         .differentiable = false,
         .formula = {"philox(philox(seed, step), call), row ceil(row_size / 4)",
                     R"(\operatorname{philox}(\operatorname{philox}(s,t),c),\;r\lceil n/4\rceil)",
                     {}},
         .example = "rv._C.ops.row_state(rv.tensor([0, 1, 32]), 0, 10)",
         .fronted = true});
}

}  // namespace

void declare_dropouts(Registry& r) {
  declare_one<plain_rule>(
      r, {.name = "dropout",
          .doc = "Sets elements to 0 with probability p and scales the others by 1 / (1 - p).",
          .formula = {"x m / (1 - p), m = [u >= p]",
                      R"(\frac{x\,m}{1-p},\;m=[u\ge p])",
                      {{"x", "m / (1 - p)", R"(\frac{m}{1-p})"}}},
          .example = "rv.nn.functional.dropout(rv.ones(3), 0.5)"});
  declare_one<alpha_rule>(
      r, {.name = "alpha_dropout",
          .doc = "Dropout for SELU networks: keeps mean and variance.",
          .formula = {"a (x m + alpha' (m - 1)) + a alpha' p, m = [u >= p]",
                      R"(a(xm-\alpha'(1-m))+a\alpha'p)",
                      {{"x", "a m", "a\\,m"}}},
          .example = "rv.nn.functional.alpha_dropout(rv.ones(3), 0.5, training=True)"});
  declare_gradient(r);
  declare_stream(r);
}

}  // namespace ranvier
