// Labels of the losses of classes: see loss_labels.h.
#include "ops/loss_labels.h"

#include "core/dtypes.h"
#include "core/parallel.h"
#include "ops/loops.h"
#include "ops/loss.h"
#include "ops/stream.h"

namespace ranvier {

LabelSettings settings_of(const AttrReader& args) {
  LabelSettings s;
  const std::vector<AttrDef>& attrs = args.op().attrs;
  for (int i = 0; i < static_cast<int>(attrs.size()); ++i) {
    if (attrs[i].name == "ignore_index") s.ignored = args.integer(i), s.ignores = true;
    if (attrs[i].name == "label_smoothing") s.smoothing = args.number(i);
  }
  return s;
}

Tensor checked_labels(const AttrReader& args, const Tensor& target, int64_t classes) {
  const LabelSettings settings = settings_of(args);
  const Tensor given = converted(target, DType::int64);
  const Tensor copied = Tensor::empty(target.shape(), DType::int64);
  const int64_t n = copied.numel(), *from = given.data<int64_t>();
  int64_t* labels = copied.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t label = labels[i] = from[i];
    if (settings.ignores && label == settings.ignored)
      labels[i] = -1;
    else if (label < 0 || label >= classes)
      fail(ErrorKind::index, "[",
           args.op().gradient_of.empty() ? args.op().name : args.op().gradient_of,
           "] expected labels from 0 to ", classes - 1, " for ", classes, " classes, got ", label,
           " in row ", i, "; labels start at 0",
           label == classes ? ": subtract 1 if yours start at 1" : "");
  }
  return copied;
}

namespace {

// Rows of scores that lie as the kernels read them, labels without weights and smoothing, and a
// result of one number: what the losses of most classifiers are. In a program its memory stays.
template <class T>
class LabelRows {
 public:
  static bool fit(const ForwardArgs& args, size_t at) {
    const Tensor &x = args.in[at], &target = args.in[at + 1];
    const bool plain = !is_half(x.dtype()) && target.dtype() == DType::int64 && x.is_contiguous() &&
                       target.is_contiguous() && x.dim() == 2;
    const bool one = reduction_of(args) != Reduction::none && !args.in[at + 2].defined();
    const int64_t n = target.numel();
    return plain && one && settings_of(args).smoothing == 0 && n > 0 && n <= kSumBlock &&
           !streams(static_cast<size_t>(x.numel()) * sizeof(T));
  }
  LabelRows(const ForwardArgs& args, size_t at)
      : args_(args),
        target_(args.in[at + 1]),
        n_(target_.numel()),
        classes_(args.in[at].shape()[1]),
        ignored_(settings_of(args).ignored),
        mean_(reduction_of(args) == Reduction::mean),
        scores_(args.in[at].data<T>()),
        labels_(static_cast<size_t>(n_)) {}

  // Reads the labels; returns what a sum is divided by.
  T look() {
    const int64_t* const from = target_.data<int64_t>();
    int64_t counted = 0;
    for (int64_t i = 0; i < n_; ++i) {
      const int64_t label = from[i];
      const bool ignored = label == ignored_;
      if (!ignored && (label < 0 || label >= classes_)) checked_labels(args_, target_, classes_);
      labels_[static_cast<size_t>(i)] = ignored ? -1 : label;
      counted += !ignored;
    }
    return mean_ ? static_cast<T>(counted) : T(1);
  }
  // f(rows, first row, scores, labels)
  template <class F>
  void each(F f) const {
    parallel_items(n_, classes_, kGrainRows, [&](int64_t begin, int64_t end) {
      f(end - begin, begin, scores_ + begin * classes_, labels_.data() + begin);
    });
  }
  int64_t size() const { return n_; }
  int64_t classes() const { return classes_; }

 private:
  ForwardArgs args_;  // for what is said of a wrong label
  Tensor target_;
  int64_t n_, classes_, ignored_;
  bool mean_;
  const T* scores_;
  std::vector<int64_t> labels_;
};

}  // namespace

Prepared cross_entropy_prepare(const ForwardArgs& args) {
  Prepared call;
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    if (!LabelRows<T>::fit(args, 0)) return;
    LabelRows<T> rows(args, 0);
    std::vector<T> each(static_cast<size_t>(rows.size()));
    call = [rows, each, lse = args.out[1].data<T>(), out = args.out[0].data<T>()]() mutable {
      const T divisor = rows.look();
      rows.each([&](int64_t n, int64_t at, const T* scores, const int64_t* labels) {
        kernels<T>().cross_entropy(n, rows.classes(), scores, labels, lse + 2 * at,
                                   each.data() + at);
      });
      *out = kernels<T>().sum(rows.size(), each.data()) / divisor;
    };
  });
  return call;
}

Prepared cross_entropy_backward_prepare(const ForwardArgs& args) {
  Prepared call;
  if (is_floating(args.in[2].dtype()) || !args.in[4].is_contiguous()) return call;
  visit_floating(args.in[1].dtype(), [&]<class T>(Tag<T>) {
    if (!LabelRows<T>::fit(args, 1)) return;
    LabelRows<T> rows(args, 1);
    call = [rows, g = args.in[0].data<T>(), lse = args.in[4].data<T>(),
            dx = args.out[0].data<T>()]() mutable {
      const T scale = *g / rows.look();
      rows.each([&](int64_t n, int64_t at, const T* scores, const int64_t* labels) {
        kernels<T>().cross_entropy_backward(n, rows.classes(), scores, labels, lse + 2 * at, &scale,
                                            false, dx + at * rows.classes());
      });
    };
  });
  return call;
}

Prepared nll_prepare(const ForwardArgs& args) {
  Prepared call;
  visit_floating(args.in[0].dtype(), [&]<class T>(Tag<T>) {
    if (!LabelRows<T>::fit(args, 0)) return;
    LabelRows<T> rows(args, 0);
    std::vector<T> each(static_cast<size_t>(rows.size()));
    call = [rows, each, out = args.out[0].data<T>()]() mutable {
      const T divisor = rows.look();
      rows.each([&](int64_t n, int64_t at, const T* scores, const int64_t* labels) {
        for (int64_t i = 0; i < n; ++i)
          each[static_cast<size_t>(at + i)] =
              labels[i] < 0 ? T(0) : -scores[i * rows.classes() + labels[i]];
      });
      *out = kernels<T>().sum(rows.size(), each.data()) / divisor;
    };
  });
  return call;
}

Prepared nll_backward_prepare(const ForwardArgs& args) {
  Prepared call;
  visit_floating(args.in[1].dtype(), [&]<class T>(Tag<T>) {
    if (!LabelRows<T>::fit(args, 1)) return;
    LabelRows<T> rows(args, 1);
    call = [rows, g = args.in[0].data<T>(), dx = args.out[0].data<T>()]() mutable {
      const T scale = *g / rows.look();
      std::fill_n(dx, rows.size() * rows.classes(), T(0));
      rows.each([&](int64_t n, int64_t at, const T*, const int64_t* labels) {
        for (int64_t i = 0; i < n; ++i)
          if (labels[i] >= 0) dx[(at + i) * rows.classes() + labels[i]] = -scale;
      });
    };
  });
  return call;
}

}  // namespace ranvier
