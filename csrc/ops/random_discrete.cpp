// Random integers, permutations, coin flips and choices by weight.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "ops/families.h"
#include "ops/loops.h"
#include "ops/random.h"

namespace ranvier {
namespace {

// Uniform over [0, range) from 64 random bits: the high word of a 64 x 64 product (Lemire, "Fast
// random integer generation in an interval", 2019, without the rejection: bias below range / 2^64).
uint64_t below(uint64_t range, uint64_t seed, uint64_t counter) {
  const auto words = philox(seed, counter);
  const uint64_t bits = uint64_t{words[0]} << 32 | words[1];
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>(static_cast<Wide>(bits) * range >> 64);
}

// ---- integers

// The range of whole numbers that `dtype` holds without gaps.
std::pair<int64_t, int64_t> whole_range(DType dtype) {
  const auto up_to = [](int64_t most) { return std::pair{-most, most}; };
  switch (dtype) {
    case DType::float64:
      return up_to(int64_t{1} << 53);
    case DType::float32:
      return up_to(1 << 24);
    case DType::float16:
      return up_to(1 << 11);
    case DType::bfloat16:
      return up_to(1 << 8);
    default:
      break;
  }
  return visit(dtype, []<class T>(Tag<T>) -> std::pair<int64_t, int64_t> {
    return {static_cast<int64_t>(std::numeric_limits<T>::min()),
            static_cast<int64_t>(std::numeric_limits<T>::max())};
  });
}

Metas infer_integers(const InferArgs& args) {
  check_state(args);
  const int64_t low = args.integer(1), high = args.integer(2), code = args.integer(3);
  if (low >= high)
    fail(ErrorKind::value, "[randint] expected low < high, got ", low, " and ", high);
  if (code < 0 || code >= kDTypes || is_storage_only(static_cast<DType>(code)))
    fail(ErrorKind::type, "[randint] expected a dtype that is computed with, got ",
         code < 0 || code >= kDTypes ? "none" : name_of(static_cast<DType>(code)));
  const auto dtype = static_cast<DType>(code);
  const auto [least, most] = whole_range(dtype);
  if (low < least || high - 1 > most)
    fail(ErrorKind::value, "[randint] expected numbers that ", name_of(dtype), " holds, ", least,
         " to ", most, ", got low ", low, " and high ", high);
  return {{args.dims(0), dtype}};
}

void integers_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  const int64_t low = args.integer(1), high = args.integer(2);
  const State state = take(args.in[0], out.numel());
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  visit(out.dtype(), [&]<class T>(Tag<T>) {
    T* const to = out.data<T>();
    parallel_for(out.numel(), kDrawn, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const uint64_t x = below(range, state.seed, state.position + static_cast<uint64_t>(i));
        to[i] = convert<T>(static_cast<int64_t>(static_cast<uint64_t>(low) + x));
      }
    });
  });
}

// Durstenfeld's form of the Fisher-Yates shuffle (CACM 7, algorithm 235, 1964).
void permutation_forward(const ForwardArgs& args) {
  const int64_t n = args.integer(0);
  int64_t* p = args.out[0].data<int64_t>();
  std::iota(p, p + n, int64_t{0});
  const State state = take(args.in[0], n);
  for (int64_t i = n - 1; i > 0; --i) {
    const uint64_t j = below(static_cast<uint64_t>(i + 1), state.seed,
                             state.position + static_cast<uint64_t>(n - 1 - i));
    std::swap(p[i], p[j]);
  }
}

// ---- bernoulli

void check_floating(const InferArgs& args, size_t i) {
  if (!is_floating(args.in[i].dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected a floating dtype for '",
         args.op().inputs[i], "', got ", name_of(args.in[i].dtype), "; call .float() on it");
}

void bernoulli_forward(const ForwardArgs& args) {
  const Tensor& out = args.out[0];
  visit_floating(out.dtype(), [&]<class T>(Tag<T>) {
    const Tensor probability = packed(args.in[1]);
    const T* const p = probability.data<T>();
    for (int64_t i = 0; i < out.numel(); ++i)
      if (!(p[i] >= 0 && p[i] <= 1))
        fail(ErrorKind::runtime, "[bernoulli] expected probabilities from 0 to 1, got ",
             double{p[i]});
    const State state = take(args.in[0], counters<T>(out.numel()));
    draw<T>(state, out.numel(), [&](int64_t first, int64_t n, const T* u) {
      T* const to = out.data<T>() + first;
      for (int64_t i = 0; i < n; ++i) to[i] = u[i] < p[first + i] ? T(1) : T(0);
    });
  });
}

// ---- multinomial

Metas infer_multinomial(const InferArgs& args) {
  check_state(args);
  check_floating(args, 1);
  const Dims& shape = args.in[1].shape;
  const int64_t samples = args.integer(0);
  if (shape.size() != 1 && shape.size() != 2) args.mismatch("weights (n,) or (rows, n)");
  if (samples < 1)
    fail(ErrorKind::runtime, "[multinomial] expected at least 1 sample, got ", samples);
  if (!args.flag(1) && samples > shape.back())
    fail(ErrorKind::runtime, "[multinomial] expected at most ", shape.back(),
         " samples from weights of shape ", to_string(shape), " without replacement, got ",
         samples);
  Dims out = shape;
  out[out.size() - 1] = samples;
  return {{out, DType::int64}};
}

[[noreturn]] void bad_weights(const char* expected, int64_t row, double got) {
  fail(ErrorKind::runtime, "[multinomial] expected ", expected, ", got ", got, " in row ", row);
}

// The weights as doubles, and for each row how many are above 0. Nothing is drawn before all rows
// are found to be fit.
template <class T>
std::vector<double> checked_weights(const T* w, int64_t rows, int64_t n, int64_t needed) {
  std::vector<double> weights(w, w + rows * n);
  for (int64_t r = 0; r < rows; ++r) {
    int64_t positive = 0;
    double sum = 0;
    for (int64_t i = r * n; i < (r + 1) * n; ++i) {
      if (!(weights[i] >= 0) || std::isinf(weights[i]))
        bad_weights("finite weights of at least 0", r, weights[i]);
      positive += weights[i] > 0;
      sum += weights[i];
    }
    if (!(sum > 0)) bad_weights("a sum above 0", r, sum);
    if (std::isinf(sum)) bad_weights("weights with a finite sum", r, sum);
    if (positive < needed)
      fail(ErrorKind::runtime, "[multinomial] expected at least ", needed,
           " weights above 0 for as many samples without replacement, got ", positive, " in row ",
           r);
  }
  return weights;
}

// Inverse of the running sums; weights of 0 have no share of them.
void sample_with(const double* w, int64_t n, int64_t samples, const State& state, uint64_t first,
                 int64_t* out) {
  std::vector<double> sums(static_cast<size_t>(n));
  std::partial_sum(w, w + n, sums.begin());
  int64_t last = n - 1;
  while (last > 0 && w[last] == 0) --last;
  for (int64_t s = 0; s < samples; ++s) {
    const auto words = philox(state.seed, state.position + first + static_cast<uint64_t>(s));
    const double x = unit<double>(words, 0) * sums.back();
    out[s] = std::min(std::upper_bound(sums.begin(), sums.end(), x) - sums.begin(), last);
  }
}

// Every weight starts a race of its own with an exponential arrival; the first arrivals are the
// samples in order (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006).
void sample_without(const double* w, int64_t n, int64_t samples, const State& state, uint64_t first,
                    int64_t* out) {
  std::vector<double> keys(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    keys[i] =
        unit<double>(philox(state.seed, state.position + first + static_cast<uint64_t>(i)), 0);
  exponential_from(keys.data(), n);
  const double most = *std::max_element(w, w + n);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < n; ++i) {
    if (w[i] == 0) continue;
    keys[i] /= w[i] / most;
    order.push_back(i);
  }
  const auto earlier = [&](int64_t a, int64_t b) {
    return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + samples, order.end(), earlier);
  std::copy_n(order.begin(), samples, out);
}

void multinomial_forward(const ForwardArgs& args) {
  const Tensor weights = packed(args.in[1]);
  const int64_t n = weights.shape().back(), samples = args.integer(0);
  const int64_t rows = weights.dim() == 2 ? weights.shape()[0] : 1;
  const bool replacement = args.flag(1);
  visit_floating(weights.dtype(), [&]<class T>(Tag<T>) {
    const std::vector<double> w =
        checked_weights(weights.data<T>(), rows, n, replacement ? 1 : samples);
    const int64_t used = replacement ? samples : n;  // counters of a row
    const State state = take(args.in[0], rows * used);
    parallel_items(rows, n + samples, kGrainRunning, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        (replacement ? sample_with : sample_without)(w.data() + r * n, n, samples, state,
                                                     static_cast<uint64_t>(r * used),
                                                     args.out[0].data<int64_t>() + r * samples);
    });
  });
}

void declare_drawn(Registry& r, OpDef op) {
  op.mutates = {"state"};
  op.differentiable = false;
  op.fronted = true;
  r.add(std::move(op));
}

}  // namespace

void declare_random_discrete(Registry& r) {
  declare_drawn(r, {.name = "integers",
                    .doc = "Uniform random integers in [low, high).",
                    .inputs = {"state"},
                    .attrs = {required("shape", AttrKind::integers),
                              required("low", AttrKind::integer),
                              required("high", AttrKind::integer),
                              {.name = "dtype",
                               .kind = AttrKind::dtype,
                               .value = static_cast<int64_t>(DType::int64)}},
                    .infer = infer_integers,
                    .forward = integers_forward,
                    .formula = {"low + floor((high - low) u)", R"(a + \lfloor (b-a)u \rfloor)", {}},
                    .example = "rv.randint(0, 10, (3,), generator=rv.Generator(0))"});
  declare_drawn(r, {.name = "permutation",
                    .doc = "The integers 0 to n - 1 in random order.",
                    .inputs = {"state"},
                    .attrs = {required("n", AttrKind::integer)},
                    .infer = [](const InferArgs& args) -> Metas {
                      check_state(args);
                      return {{{args.integer(0)}, DType::int64}};
                    },
                    .forward = permutation_forward,
                    .formula = {"a random order of 0 .. n-1", R"(\pi \in S_n)", {}},
                    .example = "rv.randperm(5, generator=rv.Generator(0))"});
  declare_drawn(r, {.name = "bernoulli",
                    .doc = "1 with the probability that each element gives, else 0.",
                    .inputs = {"state", "input"},
                    .infer = [](const InferArgs& args) -> Metas {
                      check_state(args);
                      check_floating(args, 1);
                      return {args.in[1]};
                    },
                    .forward = bernoulli_forward,
                    .formula = {"1 if u < p, else 0", R"([u < p])", {}},
                    .example = "rv.bernoulli(rv.tensor([0.0, 1.0]))"});
  declare_drawn(r, {.name = "multinomial",
                    .doc = "Indices drawn with the probabilities that the rows of weights give; "
                           "the weights need not add up to 1.",
                    .inputs = {"state", "input"},
                    .attrs = {required("num_samples", AttrKind::integer),
                              {.name = "replacement", .kind = AttrKind::flag, .value = false}},
                    .infer = infer_multinomial,
                    .forward = multinomial_forward,
                    .formula = {"i with probability w_i / sum(w)", R"(P(i)=w_i/\sum_j w_j)", {}},
                    .example = "rv.multinomial(rv.tensor([0.0, 1.0, 3.0]), 2)"});
}

}  // namespace ranvier
