// A step over parameters that lie anywhere: see update.h. Adjacent ones are merged, and the pieces
// that threads share are cut from all of them together, so that many small parameters cost what
// one of their size does. Updates know no neighbours: where they are cut changes no bit.
#include "ops/update.h"

#include <algorithm>
#include <string_view>

#include "core/dtypes.h"
#include "core/parallel.h"
#include "core/recording.h"
#include "ops/loops.h"

namespace ranvier {

bool is_single(const std::string& name) {
  static const char* const names[] = {"lr", "step", "momentum_now", "mu_product", "eta", "mu"};
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

namespace {

constexpr int kMostArrays = 6;
constexpr size_t kParam = 0, kGrad = 1, kRate = 2;  // places among the inputs of one update

// ---- the pass

template <class T>
struct Segment {
  int64_t begin, n;  // elements before it, and its own
  T* x[kMostArrays];
  UpdateArgs args;
};

template <class T>
class Pass {
 public:
  void add(int64_t n, T* const* x, const UpdateArgs& args) {
    if (n == 0) return;
    if (!segments_.empty() && goes_on(segments_.back(), x) && segments_.back().args == args) {
      segments_.back().n += n;
    } else {
      Segment<T> segment{total_, n, {}, args};
      std::copy_n(x, kMostArrays, segment.x);
      segments_.push_back(segment);
    }
    total_ += n;
  }
  // Never merged, as the arguments come later.
  void add_alone(int64_t n, T* const* x) {
    Segment<T> segment{total_, n, {}, {}};
    std::copy_n(x, kMostArrays, segment.x);
    segments_.push_back(segment);
    total_ += n;
  }
  // Of the parameters that were added, in that order.
  void set_args(size_t i, const UpdateArgs& args) { segments_[i].args = args; }
  void run(Update which) const {
    run(which, [](const Segment<T>& s) -> const UpdateArgs& { return s.args; });
  }
  // All by the same arguments.
  void run_all(Update which, const UpdateArgs& args) const {
    run(which, [&](const Segment<T>&) -> const UpdateArgs& { return args; });
  }

 private:
  template <class F>
  void run(Update which, F args_of) const {
    const UpdateFn<T> update = kernels<T>().update[static_cast<int>(which)];
    if (items_a_piece(total_, 1, kGrainUpdated) >=
        total_) {  // one piece: no search for where it begins
      for (const Segment<T>& s : segments_) update(s.n, s.x, args_of(s));
      return;
    }
    parallel_items(total_, 1, kGrainUpdated, [&](int64_t begin, int64_t end) {
      const Segment<T>* s = std::upper_bound(
          segments_.begin(), segments_.end(), begin,
          [](int64_t at, const Segment<T>& segment) { return at < segment.begin; });
      for (--s; begin < end; ++s) {
        const int64_t offset = begin - s->begin, n = std::min(end - begin, s->n - offset);
        T* x[kMostArrays];
        for (int i = 0; i < kMostArrays; ++i) x[i] = s->x[i] ? s->x[i] + offset : nullptr;
        update(n, x, args_of(*s));
        begin += n;
      }
    });
  }
  static bool goes_on(const Segment<T>& s, T* const* x) {
    for (int i = 0; i < kMostArrays; ++i)
      if (s.x[i] ? x[i] != s.x[i] + s.n : x[i] != nullptr) return false;
    return true;
  }
  SmallVector<Segment<T>, 8> segments_;
  int64_t total_ = 0;
};

// Passes over float and double parameters, and copies of those that have gaps or whose gradient
// and state lie in another order.
class Step {
 public:
  // `tensors`: the parameter, its gradient, its state.
  void add(const Tensors& tensors, const UpdateArgs& args) {
    const Tensor& param = tensors[0];
    const bool as_it_lies =
        param.is_dense() && std::all_of(tensors.begin(), tensors.end(), [&](const Tensor& t) {
          return !t.defined() || same_layout(t, param);
        });
    if (as_it_lies) return add_arrays(tensors, args);
    Tensors flat{param.is_dense() ? param : converted(param, param.dtype())};
    for (size_t i = 1; i < tensors.size(); ++i)
      flat.push_back(tensors[i].defined() ? in_layout_of(tensors[i], flat[0]) : tensors[i]);
    add_arrays(flat, args);
    copies_.emplace_back(tensors, flat);
  }
  void run(Update which) {
    floats_.run(which);
    doubles_.run(which);
    for (const auto& [given, flat] : copies_)
      for (size_t i = 0; i < given.size(); ++i)
        if (i != kGrad && given[i].defined() && !flat[i].same(given[i])) copy(given[i], flat[i]);
  }

 private:
  void add_arrays(const Tensors& tensors, const UpdateArgs& args) {
    visit_floating(tensors[0].dtype(), [&]<class T>(Tag<T>) {
      T* x[kMostArrays] = {};
      for (size_t i = 0; i < tensors.size(); ++i)
        x[i] = tensors[i].defined() ? tensors[i].data<T>() : nullptr;
      if constexpr (sizeof(T) == sizeof(float))
        floats_.add(tensors[0].numel(), x, args);
      else
        doubles_.add(tensors[0].numel(), x, args);
    });
  }
  Pass<float> floats_;
  Pass<double> doubles_;
  std::vector<std::pair<Tensors, Tensors>> copies_;
};

// ---- shapes and types

// That tensor `i` of a call fits to the parameter at place `param`.
void check_member(const InferArgs& args, size_t i, size_t param, bool single) {
  if (!args.given_inputs[i]) return;
  const std::string& name = args.op().input_name(i);
  if (single) {
    if (!args.in[i].shape.empty() || args.in[i].dtype != DType::float64)
      args.mismatch("'" + name + "' as one float64");
    return;
  }
  if (args.in[i].dtype != args.in[param].dtype)
    fail(ErrorKind::type, "[", args.op().name, "] expected ", name_of(args.in[param].dtype),
         " for '", name, "', got ", name_of(args.in[i].dtype));
  if (!(args.in[i].shape == args.in[param].shape))
    args.mismatch("'" + name + "' of the parameter's shape");
}

void check_parameter(const InferArgs& args, size_t i) {
  if (!is_floating(args.in[i].dtype))
    fail(ErrorKind::type, "[", args.op().name, "] expected a floating parameter, got ",
         name_of(args.in[i].dtype));
}

Metas infer_one(const InferArgs& args) {
  for (size_t i = 1; i < args.in.size(); ++i)
    check_member(args, i, kParam, is_single(args.op().inputs[i]));
  check_parameter(args, kParam);
  return {};
}

// ---- many parameters

double number_of(const Tensor& t) {
  if (t.dtype() == DType::float64) return *t.data<double>();
  return static_cast<double>(*converted(t, DType::float32).data<float>());
}

Tensor given(const Tensors& in, int place) {
  return place < 0 ? Tensor() : in[static_cast<size_t>(place)];
}

// The inputs of one update out of those of many, for the parameter at place `param`.
Tensors inputs_of_one(const UpdateForm& form, const Tensors& in, size_t param) {
  Tensors inputs;
  for (const int place : form.from)
    inputs.push_back(
        in[place < 0 ? static_cast<size_t>(-1 - place) : param + static_cast<size_t>(place)]);
  return inputs;
}

// Parameters whose counts agree take the same step: what it is made of is computed once.
class Preparation {
 public:
  Preparation(const UpdateForm& form, const ForwardArgs& args, PrepareFn prepare)
      : form_(form), args_(args), prepare_(prepare) {}
  const UpdateArgs& operator()(size_t param) {
    Numbers now;
    for (const size_t i : form_.singles) {
      const Tensor& t = args_.in[param + i];
      now.push_back(t.defined() ? *t.data<double>() : -1);
    }
    const bool again = known_ && std::equal(now.begin(), now.end(), before_.begin());
    if (!again) {
      const Tensors none{}, inputs = inputs_of_one(form_, args_.in, param);
      update_ = prepare_(ForwardArgs(*form_.one, args_.all(), inputs, none));
      after_.clear();
    }
    for (size_t i = 0; i < form_.singles.size(); ++i) {
      const Tensor& t = args_.in[param + form_.singles[i]];
      if (again && t.defined()) *t.data<double>() = after_[i];
      if (!again) after_.push_back(t.defined() ? *t.data<double>() : -1);
    }
    before_ = now;
    known_ = true;
    return update_;
  }

 private:
  using Numbers = SmallVector<double, 4>;
  const UpdateForm& form_;
  const ForwardArgs& args_;
  PrepareFn prepare_;
  Numbers before_, after_;
  UpdateArgs update_;
  bool known_ = false;
};

}  // namespace

UpdateForm::UpdateForm(const OpDef& many)
    : one(registry().find(std::string_view(many.name).substr(0, many.name.size() - 1))),
      first(many.inputs.size() - 1),
      size(many.each.size()) {
  const auto place_of = [&](const std::vector<std::string>& names, const std::string& name) {
    const auto it = std::find(names.begin(), names.end(), name);
    return it == names.end() ? -1 : static_cast<int>(it - names.begin());
  };
  scale = place_of(many.inputs, "scale");
  finite = place_of(many.inputs, "finite");
  for (const std::string& name : one->inputs) {
    const int member = place_of(many.each, name);
    from.push_back(member >= 0 ? member : -1 - place_of(many.inputs, name));
  }
  for (size_t i = 0; i < size; ++i) {
    single.push_back(is_single(many.each[i]));
    if (single[i]) singles.push_back(i);
  }
}

Metas infer_updates(const UpdateForm& form, const InferArgs& args) {
  const OpDef& op = args.op();
  if ((args.in.size() - form.first) % form.size != 0)
    fail(ErrorKind::value, "[", op.name, "] expected ", form.size, " tensors for each parameter, ",
         "got ", args.in.size() - form.first, " in all");
  const auto has = [&](int i) { return args.given_inputs[static_cast<size_t>(i)]; };
  const auto meta = [&](int i) { return args.in[static_cast<size_t>(i)]; };
  for (int i = 0; i < form.scale; ++i) check_member(args, static_cast<size_t>(i), 0, true);
  if (has(form.scale) && (!meta(form.scale).shape.empty() || !is_floating(meta(form.scale).dtype)))
    args.mismatch("'scale' as one floating number");
  if (has(form.finite) &&
      (!meta(form.finite).shape.empty() || meta(form.finite).dtype != DType::bool_))
    args.mismatch("'finite' as one bool");
  for (size_t param = form.first; param < args.in.size(); param += form.size) {
    for (size_t i = 1; i < form.size; ++i) check_member(args, param + i, param, form.single[i]);
    check_parameter(args, param);
  }
  return {};
}

Tensors one_update_after_the_other(const UpdateForm& form, const Tensors& in,
                                   const AttrReader& args) {
  const Tensor finite = given(in, form.finite), scale = given(in, form.scale);
  if (finite.defined()) {
    forbid_while_recording((args.op().name + " by its composite").c_str());
    if (!*finite.data<bool>()) return {};
  }
  for (size_t param = form.first; param < in.size(); param += form.size) {
    Tensors inputs = inputs_of_one(form, in, param);
    if (scale.defined()) inputs[kGrad] = inputs[kGrad] * scale;
    run(*form.one, inputs, args.all());
  }
  return {};
}

void update_one(Update which, PrepareFn prepare, const ForwardArgs& args) {
  Tensors tensors{args.in[kParam], args.in[kGrad]};
  for (size_t i = kRate + 1; i < args.in.size(); ++i)
    if (!is_single(args.op().inputs[i])) tensors.push_back(args.in[i]);
  Step step;
  step.add(tensors, prepare(args));
  step.run(which);
}

void update_many(Update which, PrepareFn prepare, const UpdateForm& form, const ForwardArgs& args) {
  const Tensor finite = given(args.in, form.finite), factor = given(args.in, form.scale);
  if (finite.defined() && !*finite.data<bool>()) return;
  const double scale = factor.defined() ? number_of(factor) : 1;
  Preparation prepared(form, args, prepare);
  Step step;
  for (size_t param = form.first; param < args.in.size(); param += form.size) {
    Tensors tensors;
    for (size_t i = 0; i < form.size; ++i)
      if (!form.single[i]) tensors.push_back(args.in[param + i]);
    UpdateArgs u = prepared(param);
    u.scale = scale;
    step.add(tensors, u);
  }
  step.run(which);
}

namespace {

// A step of parameters that stand still, of one dtype and as they lie.
template <class T>
class StandingStep {
 public:
  StandingStep(Update which, PrepareFn prepare, const UpdateForm& form, const ForwardArgs& args)
      : which_(which), prepare_(prepare), attrs_(args.all()), one_(*form.one) {
    const Tensor finite = given(args.in, form.finite), factor = given(args.in, form.scale);
    if (finite.defined()) finite_ = finite.data<bool>();
    factor_ = factor;
    for (size_t param = form.first; param < args.in.size(); param += form.size) {
      T* x[kMostArrays] = {};
      for (size_t i = 0, at = 0; i < form.size; ++i)
        if (const Tensor& t = args.in[param + i]; !form.single[i])
          x[at++] = t.defined() ? t.data<T>() : nullptr;
      inputs_.push_back(inputs_of_one(form, args.in, param));
      together_.add(args.in[param].numel(), x, {});
      apart_.add_alone(args.in[param].numel(), x);
      for (const size_t i : form.singles)
        if (const Tensor& t = args.in[param + i]; t.defined()) counts_.push_back(t.data<double>());
    }
    each_ = counts_.size() / inputs_.size();
    const auto counts_of = [&](const Tensors& in) {
      return std::count_if(form.singles.begin(), form.singles.end(), [&](size_t i) {
        const auto at = std::find(form.from.begin(), form.from.end(), static_cast<int>(i));
        return in[static_cast<size_t>(at - form.from.begin())].defined();
      });
    };
    alike_ = std::all_of(inputs_.begin(), inputs_.end(), [&](const Tensors& in) {
      return static_cast<size_t>(counts_of(in)) == each_;
    });
  }
  StandingStep(const StandingStep&) = delete;
  void operator()() {
    if (finite_ && !*finite_) return;
    const double scale = factor_.defined() ? number_of(factor_) : 1;
    if (agree()) {
      UpdateArgs u = update_of(0);
      u.scale = scale;
      for (size_t i = each_; i < counts_.size(); ++i) *counts_[i] = *counts_[i % each_];
      return together_.run_all(which_, u);
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      UpdateArgs u = update_of(i);
      u.scale = scale;
      apart_.set_args(i, u);
    }
    apart_.run(which_);
  }

 private:
  // Parameters whose counts agree take the same step: what it is made of is computed once.
  bool agree() const {
    if (!alike_) return false;
    for (size_t i = each_; i < counts_.size(); ++i)
      if (*counts_[i] != *counts_[i % each_]) return false;
    return true;
  }
  UpdateArgs update_of(size_t i) const {
    return prepare_(ForwardArgs(one_, attrs_, inputs_[i], none_));
  }

  Update which_;
  PrepareFn prepare_;
  const Attrs attrs_;
  const OpDef& one_;
  const Tensors none_{};
  Tensor factor_;
  const bool* finite_ = nullptr;
  std::vector<Tensors> inputs_;  // of the update of each parameter
  std::vector<double*> counts_;  // `each_` of every parameter
  size_t each_ = 0;
  bool alike_ = false;        // all have the same counts
  Pass<T> together_, apart_;  // adjacent parameters merged, and not
};

}  // namespace

Prepared prepare_updates(Update which, PrepareFn prepare, const UpdateForm& form,
                         const ForwardArgs& args) {
  if (args.in.size() == form.first) return {};
  const DType dtype = args.in[form.first].dtype();
  if (is_half(dtype)) return {};
  for (size_t param = form.first; param < args.in.size(); param += form.size)
    for (size_t i = 0; i < form.size; ++i) {
      const Tensor &p = args.in[param], &t = args.in[param + i];
      if (!t.defined() || form.single[i]) continue;
      if (!p.is_dense() || p.numel() == 0 || t.dtype() != dtype || !same_layout(t, p)) return {};
    }
  Prepared call;
  visit_floating(dtype, [&]<class T>(Tag<T>) {
    call = [step = std::make_shared<StandingStep<T>>(which, prepare, form, args)] { (*step)(); };
  });
  return call;
}

void add_update(Registry& r, OpDef op, const UpdateFunctions& functions) {
  op.differentiable = false;
  OpDef all = op;
  all.name += "s";
  all.doc = "A step of many parameters at once, each as '" + op.name +
            "' takes it. `scale` multiplies the gradients first; where `finite` is False nothing "
            "changes.";
  all.inputs = {"lr", "scale?", "finite?"};
  for (const std::string& name : op.inputs) {
    const std::string bare = name.back() == '?' ? name.substr(0, name.size() - 1) : name;
    if (bare == "momentum_now") {
      all.inputs.insert(all.inputs.begin() + 1, name);
      continue;
    }
    if (bare == "lr") continue;
    all.each.push_back(name);
    if (bare != "grad") op.mutates.push_back(bare);
  }
  all.arguments = {"lr", "tensors"};
  for (size_t i = 1; i < all.inputs.size(); ++i)
    all.arguments.push_back(all.inputs[i].substr(0, all.inputs[i].size() - 1));
  for (const AttrDef& attr : all.attrs) all.arguments.push_back(attr.name);
  all.inputs.push_back("tensors*");
  all.mutates = op.mutates;
  all.infer = functions.infer_many;
  all.forward = functions.many;
  all.prepare = functions.prepare_many;
  all.composite = functions.composite;
  all.formula.text = "for each parameter: " + op.formula.text;
  all.example = "rv." + all.name + "(rv.tensor(0.1, dtype=rv.float64), [])";
  op.infer = infer_one;
  op.forward = functions.one;
  r.add(std::move(op));
  r.add(std::move(all));
}

}  // namespace ranvier
