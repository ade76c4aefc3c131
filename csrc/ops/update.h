// How the steps of optimizers run: over one parameter, or over many in one pass.
#pragma once

#include "kernels/kernels.h"
#include "ops/op.h"
#include "ranvier/small_vector.h"

namespace ranvier {

// What a step is made of. Reads the learning rate and the numbers that are one for the whole
// parameter, and moves those on (step counts); never looks at other tensors.
using PrepareFn = UpdateArgs (*)(const ForwardArgs&);

// Inputs that are one float64 for the whole parameter.
bool is_single(const std::string& name);

// What an op of many parameters is made of, looked up once.
struct UpdateForm {
  explicit UpdateForm(const OpDef& many);
  const OpDef* one;                // the op of one parameter
  size_t first, size;              // place of the first parameter; tensors for each
  int scale, finite;               // places
  SmallVector<bool, 8> single;     // of each tensor of a parameter: one number
  SmallVector<size_t, 4> singles;  // those that are
  SmallVector<int, 8> from;        // of each input of `one`: member m as m, input i as -1 - i
};

Metas infer_updates(const UpdateForm& form, const InferArgs& args);
Tensors one_update_after_the_other(const UpdateForm& form, const Tensors& in,
                                   const AttrReader& args);
void update_one(Update which, PrepareFn prepare, const ForwardArgs& args);
void update_many(Update which, PrepareFn prepare, const UpdateForm& form, const ForwardArgs& args);
Prepared prepare_updates(Update which, PrepareFn prepare, const UpdateForm& form,
                         const ForwardArgs& args);

struct UpdateFunctions {
  void (*one)(const ForwardArgs&);
  void (*many)(const ForwardArgs&);
  Prepared (*prepare_many)(const ForwardArgs&);
  Metas (*infer_many)(const InferArgs&);
  Tensors (*composite)(const Tensors&, const AttrReader&);
};
void add_update(Registry& r, OpDef op, const UpdateFunctions& functions);

// Adds the op of one parameter, "adam_update", and the one of many, "adam_updates", whose
// composite is the first one, parameter by parameter.
template <Update which, PrepareFn prepare>
void add_update(Registry& r, OpDef op) {
  static const auto form_of = [](const OpDef& many) -> const UpdateForm& {
    static const UpdateForm form(many);
    return form;
  };
  add_update(
      r, std::move(op),
      {[](const ForwardArgs& args) { update_one(which, prepare, args); },
       [](const ForwardArgs& args) { update_many(which, prepare, form_of(args.op()), args); },
       [](const ForwardArgs& args) {
         return prepare_updates(which, prepare, form_of(args.op()), args);
       },
       [](const InferArgs& args) { return infer_updates(form_of(args.op()), args); },
       [](const Tensors& in, const AttrReader& args) {
         return one_update_after_the_other(form_of(args.op()), in, args);
       }});
}

}  // namespace ranvier
