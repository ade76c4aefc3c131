// Lists of instructions in Python, as values that a file can hold, and one instruction by its name.
#include "program/listing.h"

#include <vector>

#include "bindings/bindings.h"
#include "ops/op.h"
#include "program/pointer_map.h"

namespace ranvier::python {
namespace {

// The tensors of a list by number: arguments first, then in the order in which they are met.
class Numbers {
 public:
  // An argument, or what an instruction made or changed.
  size_t made(const Tensor& t) {
    storages_[t.impl()->storage.get()] = true;
    return number_of(t, true);
  }
  // What an instruction reads, or a result: from before, unless it is known.
  size_t read(const Tensor& t) {
    if (numbers_.contains(t.impl())) return numbers_[t.impl()];
    // Another handle of the same elements, such as detach() gives.
    for (size_t i = all_.size(); i-- > 0;)
      if (same_elements(all_[i], t)) return i;
    if (storages_.contains(t.impl()->storage.get()))
      fail(ErrorKind::runtime, "[list] expected every view to be made by an instruction, got one ",
           to_string(t.shape()), " that was made otherwise");
    return number_of(t, false);
  }
  // Those from before, by number.
  py::dict held() const {
    py::dict held;
    for (size_t i = 0; i < all_.size(); ++i)
      if (!made_[i]) held[py::int_(i)] = py::cast(all_[i]);
    return held;
  }

 private:
  static bool same_elements(const Tensor& a, const Tensor& b) {
    return a.impl()->storage == b.impl()->storage && a.raw() == b.raw() && a.dtype() == b.dtype() &&
           a.shape() == b.shape() && a.strides() == b.strides();
  }
  size_t number_of(const Tensor& t, bool made) {
    if (numbers_.contains(t.impl())) return numbers_[t.impl()];
    numbers_[t.impl()] = all_.size();
    all_.push_back(t);  // which keeps the address from being another's
    made_.push_back(made);
    return all_.size() - 1;
  }

  PointerMap<TensorImpl, size_t> numbers_;
  PointerMap<Storage, bool> storages_;  // of what was made
  std::vector<Tensor> all_;
  std::vector<bool> made_;
};

py::dict attributes_of(const Instruction& step) {
  py::dict attributes;
  for (size_t i = 0; i < step.op->attrs.size(); ++i)
    attributes[py::str(step.op->attrs[i].name)] = attr_object(step.op->attrs[i], step.attrs[i]);
  return attributes;
}

// (results, steps, held, reason): numbers of the results; of each step the op, its attributes, the
// numbers of what it reads (None: not given), gives and changes, and the line; by number what was
// there before.
py::tuple list_instructions(const py::object& function, const Tensors& inputs) {
  const Listing listing = record_listing(
      [&](const Tensors& given) { return function(*py::tuple(py::cast(given))).cast<Tensors>(); },
      inputs);
  Numbers numbers;
  for (const Tensor& t : inputs) numbers.made(t);
  py::list steps, results;
  for (const Instruction& step : listing.steps) {
    py::list reads, gives, changes;
    for (const Tensor& t : step.inputs)
      reads.append(t.defined() ? py::object(py::int_(numbers.read(t))) : py::none());
    step.op->for_mutated(step.inputs.size(), [&](size_t i) { changes.append(reads[i]); });
    for (const Tensor& t : step.outputs) gives.append(py::int_(numbers.made(t)));
    steps.append(py::make_tuple(step.op->name, attributes_of(step), reads, gives, changes,
                                step.where ? *step.where : std::string()));
  }
  for (const Tensor& t : listing.results) results.append(py::int_(numbers.read(t)));
  return py::make_tuple(results, steps, numbers.held(), listing.ended);
}

// Runs an op by its name, with all its attributes.
Tensors run_op(const std::string& name, const py::list& inputs, const py::dict& attributes) {
  const OpDef* const op = registry().find(name);
  if (!op) fail(ErrorKind::value, "[run_op] expected the name of an op, got '", name, "'");
  Attrs attrs;
  size_t used = 0;
  for (const AttrDef& def : op->attrs) {
    const py::str key(def.name);
    const bool given = attributes.contains(key);
    if (!given && def.required)
      fail(ErrorKind::type, "[", op->name, "] expected an attribute '", def.name, "', got none");
    used += given;
    attrs.push_back(given ? attr_from(*op, def, attributes[key].ptr()) : def.value);
  }
  if (used != attributes.size())
    fail(ErrorKind::type, "[", op->name, "] expected ", op->attrs.size(), " attributes, got ",
         attributes.size(), " with other names among them");
  const size_t least = op->inputs.size() - op->variadic;
  if (inputs.size() < least || (!op->variadic && inputs.size() != least))
    fail(ErrorKind::type, "[", op->name, "] expected ", op->inputs.size(), " inputs, got ",
         inputs.size());
  Tensors tensors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const py::handle item = inputs[i];
    if (item.is_none() && i < least && op->optional[i])
      tensors.push_back(Tensor());
    else if (is_tensor(item.ptr()))
      tensors.push_back(item.cast<Tensor>());
    else
      fail(ErrorKind::type, "[", op->name, "] expected tensors, got ",
           std::string(py::repr(item)).substr(0, 60));
  }
  return call(op->name, tensors, attrs);
}

}  // namespace

void bind_listing(py::module_& m) {
  m.def("list_instructions", &list_instructions, py::arg("function"), py::arg("inputs"));
  m.def("run_op", &run_op, py::arg("name"), py::arg("inputs"), py::arg("attributes"));
}

}  // namespace ranvier::python
