// tensor[index] and tensor[index] = value, iteration and length. An index expression is sorted into
// views, which are taken one after another, and into tensors of integers, which one op takes
// together; a mask counts as the integers of its true elements. The ops do the work.
#include <algorithm>
#include <optional>

#include "bindings/bindings.h"
#include "core/recording.h"
#include "ops/loops.h"

namespace ranvier::python {

namespace {

// One part of an index expression.
struct Part {
  enum Kind { none, ellipsis, integer, slice, flag, mask, places } kind;
  int64_t value = 0;  // of an integer, a flag
  Py_ssize_t start = 0, stop = 0, step = 1;
  Tensor tensor = {};  // of a mask, places

  int axes() const {  // of the tensor that it stands for
    return kind == mask ? tensor.dim() : kind == integer || kind == slice || kind == places;
  }
};
using Parts = SmallVector<Part, 4>;

[[noreturn]] void refuse(PyObject* part) {
  fail(ErrorKind::index,
       "[index] expected integers, slices, None, '...', masks or lists of integers, got ",
       std::string(py::repr(part)));
}

Part integer_part(PyObject* part) {
  const Py_ssize_t value = PyNumber_AsSsize_t(part, PyExc_OverflowError);
  if (value == -1 && PyErr_Occurred()) {
    if (!PyErr_ExceptionMatches(PyExc_OverflowError)) throw py::error_already_set();
    PyErr_Clear();
    fail(ErrorKind::index, "[index] expected an integer of 64 bits, got ",
         std::string(py::repr(part)));
  }
  return {.kind = Part::integer, .value = value};
}

Part slice_part(PyObject* part) {
  Part result{.kind = Part::slice};
  if (PySlice_Unpack(part, &result.start, &result.stop, &result.step) < 0)
    throw py::error_already_set();
  if (result.step < 1)
    fail(ErrorKind::value, "[index] expected a step of at least 1, got ", result.step,
         "; use flip()");
  return result;
}

Part tensor_part(const Tensor& t, PyObject* given) {
  if (t.dtype() == DType::bool_) {
    if (t.dim() > 0) return {.kind = Part::mask, .tensor = t};
    forbid_while_recording("a mask as an index");
    return {.kind = Part::flag, .value = t.item_int()};
  }
  if (is_floating(t.dtype())) {
    // The list without elements knows no dtype.
    const bool empty = t.numel() == 0 && (PyList_Check(given) || PyTuple_Check(given));
    if (!empty)
      fail(ErrorKind::index, "[index] expected integers or a mask, got ", name_of(t.dtype()),
           " of shape ", to_string(t.shape()), "; call .long() on it");
    return {.kind = Part::places, .tensor = Tensor::empty(t.shape(), DType::int64)};
  }
  // A program takes the value from the tensor each time it runs.
  if (t.dim() == 0 && !recording) return {.kind = Part::integer, .value = t.item_int()};
  static const Op cast("cast");
  const bool plain = !is_storage_only(t.dtype());
  return {.kind = Part::places,
          .tensor = plain ? t : cast({t}, {static_cast<int64_t>(DType::int64)})};
}

Part part_of(PyObject* part) {
  if (PyLong_CheckExact(part)) return integer_part(part);
  if (PySlice_Check(part)) return slice_part(part);
  if (part == Py_None) return {.kind = Part::none};
  if (part == Py_Ellipsis) return {.kind = Part::ellipsis};
  if (PyBool_Check(part)) return {.kind = Part::flag, .value = part == Py_True};
  if (is_tensor(part)) return tensor_part(py::handle(part).cast<Tensor>(), part);
  const bool row = PyList_Check(part) || PyTuple_Check(part) || PyRange_Check(part);
  const bool array = row || PyObject_HasAttrString(part, "__array__") ||
                     PyObject_HasAttrString(part, "__array_interface__");
  if (!array && PyIndex_Check(part)) return integer_part(part);
  if (!array) refuse(part);
  return tensor_part(tensor_from(part), part);
}

Parts parts_of(PyObject* index) {
  Parts parts;
  if (PyTuple_Check(index))
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(index); ++i)
      parts.push_back(part_of(PyTuple_GET_ITEM(index, i)));
  else
    parts.push_back(part_of(index));
  return parts;
}

// Without axes of size 1 in front beyond `dim`.
Tensor trimmed(Tensor value, int dim) {
  static const Op select("select");
  while (value.dim() > dim && value.shape()[0] == 1)
    value = select({value}, {int64_t{0}, int64_t{0}});
  return value;
}

// The part of a tensor that an index expression names: a view, and what tensors pick from it.
class Indexed {
 public:
  Indexed(const Tensor& self, const Parts& parts)
      : self_(self),
        view_(self),
        layout_(layout_of(self)),
        silent_(!recording && !(grad_enabled() && requires_grad(self))) {
    int taken = 0, several = 0;
    for (const Part& part : parts) {
      taken += part.axes();
      several += part.kind == Part::ellipsis;
    }
    if (several > 1) fail(ErrorKind::index, "[index] expected one '...', got ", several);
    if (taken > self.dim())
      fail(ErrorKind::index, "[index] expected at most ", self.dim(), " indices for shape ",
           to_string(self.shape()), ", got ", taken);
    for (const Part& part : parts) {
      if (part.kind == Part::ellipsis) axis_ += self.dim() - taken;
      one(part);
    }
    // t[...] and t[:] are new tensors, too.
    if (axes_.empty() && !mask_.defined() && !seen_) see_all();
    if (silent_ && seen_) view_ = view_of(self, layout_);
  }

  const Tensor& view() const { return view_; }
  bool is_view() const { return axes_.empty() && !masked(); }
  // Whether one mask is all there is beside views.
  bool masked() const { return mask_.defined() && axes_.empty(); }

  Tensor read() {
    static const Op index("index");
    settle();
    if (axes_.empty()) return view_;
    Tensors in = {view_};
    for (const Tensor& t : places_) in.push_back(t);
    return index(in, {axes_});
  }

  void write(const Tensor& values) {
    static const Op index_put("index_put_");
    settle();
    int picked = 0;
    for (const Tensor& t : places_) picked = std::max(picked, t.dim());
    const int left = view_.dim() - static_cast<int>(axes_.size());
    Tensors in = {view_, trimmed(values, left + picked)};
    for (const Tensor& t : places_) in.push_back(t);
    index_put.all(in, {false, axes_});
  }

  // The mask with the axes of the view.
  Tensor spread_mask() const {
    static const Op reshape("reshape");
    std::vector<int64_t> sizes(mask_.shape().begin(), mask_.shape().end());
    for (int i = mask_axis_ + mask_.dim(); i < view_.dim(); ++i) sizes.push_back(1);
    return reshape({mask_}, {sizes});
  }

 private:
  // Views without gradient or program need no steps in between: only the last layout counts.
  void see(const Op& op, const Attrs& attrs) {
    seen_ = true;
    if (silent_) {
      const Layout from = layout_;
      op.def().view(AttrReader(op.def(), attrs), from, &layout_);
    } else {
      view_ = op({view_}, attrs);
      layout_ = layout_of(view_);
    }
  }

  void see_all() {
    static const Op permute("permute");
    seen_ = true;
    if (silent_) return;
    std::vector<int64_t> order;
    for (int i = 0; i < self_.dim(); ++i) order.push_back(i);
    view_ = permute({self_}, {order});
  }

  void one(const Part& part) {
    static const Op select("select"), slice("slice"), unsqueeze("unsqueeze");
    const int64_t axis = axis_;
    switch (part.kind) {
      case Part::ellipsis:
        break;
      case Part::none:
        see(unsqueeze, {axis});
        ++axis_;
        --added_;
        break;
      case Part::integer:
        check_integer(part.value);
        see(select, {axis, part.value});
        ++added_;
        break;
      case Part::slice:
        if (part.start != 0 || part.stop < layout_.shape[axis_] || part.step != 1)
          see(slice, {axis, int64_t{part.start}, int64_t{part.stop}, int64_t{part.step}});
        ++axis_;
        break;
      case Part::flag:  // a new axis, of which everything or nothing is picked
        see(unsqueeze, {axis});
        --added_;
        settle();
        pick(Tensor::zeros({part.value ? 1 : 0}, DType::int64));
        break;
      case Part::places:
        settle();
        pick(part.tensor);
        break;
      case Part::mask:
        take_mask(part.tensor);
        break;
    }
  }

  void pick(const Tensor& places) {
    places_.push_back(places);
    axes_.push_back(axis_++);
  }

  void check_integer(int64_t value) const {
    const int64_t size = layout_.shape[axis_];
    if (value < -size || value >= size)
      fail(ErrorKind::index, "[index] expected an index in [", -size, ", ", size - 1, "] for axis ",
           axis_ + added_, " of size ", size, ", got ", value, " for shape ",
           to_string(self_.shape()));
  }

  // A lone mask waits: to fill what it names, its values need not be looked at here.
  void take_mask(const Tensor& mask) {
    for (int i = 0; i < mask.dim(); ++i)
      if (mask.shape()[i] != layout_.shape[axis_ + i])
        fail(ErrorKind::index, "[index] expected a mask of the shape of the axes from ",
             axis_ + added_, " on of ", to_string(self_.shape()), ", got ",
             to_string(mask.shape()));
    settle();
    mask_ = mask;
    mask_axis_ = axis_;
    axis_ += mask.dim();
    if (!axes_.empty()) settle();
  }

  void settle() {
    if (!mask_.defined()) return;
    forbid_while_recording("a mask as an index");
    int axis = mask_axis_;
    for (const Tensor& t : true_places(mask_)) {
      places_.push_back(t);
      axes_.push_back(axis++);
    }
    mask_ = Tensor();
  }

  const Tensor& self_;
  Tensor view_;
  Layout layout_;      // of the view
  const bool silent_;  // no gradient, no program: nobody asks for the steps
  bool seen_ = false;
  int axis_ = 0;   // of the view, the next one
  int added_ = 0;  // what brings it to the axis of the tensor itself
  Tensors places_;
  std::vector<int64_t> axes_;
  Tensor mask_;
  int mask_axis_ = 0;
};

// ---- assignment

// Python numbers that a double holds exactly, and that are no index of NumPy's.
std::optional<double> plain_number(PyObject* value) {
  if (PyFloat_CheckExact(value)) return PyFloat_AS_DOUBLE(value);
  if (!PyLong_CheckExact(value) && !PyBool_Check(value)) return std::nullopt;
  int overflow = 0;
  const int64_t whole = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow || whole < -(int64_t{1} << 53) || whole > int64_t{1} << 53) return std::nullopt;
  return static_cast<double>(whole);
}

// What is assigned: tensors and arrays as they are, anything else in the dtype of the target.
Tensor value_for(const Tensor& target, PyObject* value) {
  if (is_tensor(value)) return py::handle(value).cast<Tensor>();
  if (py::isinstance<py::array>(value)) return tensor_from(value);
  return tensor_from(value, target.dtype());
}

void expect_fitting(const Tensor& target, const Tensor& value) {
  const int extra = target.dim() - value.dim();
  bool fits = extra >= 0;
  for (int i = 0; fits && i < value.dim(); ++i)
    fits = value.shape()[i] == 1 || value.shape()[i] == target.shape()[i + extra];
  if (!fits)
    fail(ErrorKind::shape, "[index] expected a value that broadcasts to the indexed shape ",
         to_string(target.shape()), ", got ", to_string(value.shape()));
}

void assign(const Tensor& target, PyObject* given) {
  static const Op copy_into("copy_"), fill("fill_");
  if (const auto number = plain_number(given); number && !is_storage_only(target.dtype())) {
    fill.all({target}, {*number});
    return;
  }
  const Tensor value = trimmed(value_for(target, given), target.dim());
  // What `t[0] += 1` assigns is the view that was changed already.
  if (value.raw() == target.raw() && value.impl()->storage == target.impl()->storage &&
      value.dtype() == target.dtype() && value.shape() == target.shape() &&
      value.strides() == target.strides())
    return;
  expect_fitting(target, value);
  copy_into.all({target, value});
}

}  // namespace

Tensor get_item(const Tensor& self, PyObject* index) {
  return Indexed(self, parts_of(index)).read();
}

void set_item(const Tensor& self, PyObject* index, PyObject* given) {
  static const Op cast("cast"), fill("masked_fill_");
  Indexed indexed(self, parts_of(index));
  if (indexed.is_view()) return assign(indexed.view(), given);
  Tensor value = value_for(indexed.view(), given);
  if (value.dtype() != self.dtype()) value = cast({value}, {static_cast<int64_t>(self.dtype())});
  if (indexed.masked() && value.dim() == 0) {
    fill.all({indexed.view(), indexed.spread_mask(), value});
    return;
  }
  indexed.write(value);
}

// ---- Python's slots

namespace {

template <class F>
auto guarded(F f, decltype(f()) failed) -> decltype(f()) {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return failed;
  }
}

PyObject* object_of(const Tensor& t) { return py::cast(t).release().ptr(); }

PyObject* subscript(PyObject* self, PyObject* index) {
  return guarded([&] { return object_of(get_item(py::handle(self).cast<Tensor>(), index)); },
                 nullptr);
}

int assign_subscript(PyObject* self, PyObject* index, PyObject* value) {
  return guarded(
      [&] {
        if (!value)
          fail(ErrorKind::type,
               "[index] expected a value to assign; a tensor's elements cannot be "
               "deleted");
        set_item(py::handle(self).cast<Tensor>(), index, value);
        return 0;
      },
      -1);
}

Tensor with_axis(PyObject* self, const char* what) {
  const Tensor t = py::handle(self).cast<Tensor>();
  if (t.dim() == 0)
    fail(ErrorKind::type, "[", what, "] expected one dimension or more, got a tensor of shape ()");
  return t;
}

Py_ssize_t length(PyObject* self) {
  return guarded([&]() -> Py_ssize_t { return with_axis(self, "len").shape()[0]; }, -1);
}

PyObject* sequence_item(PyObject* self, Py_ssize_t i) {
  return guarded(
      [&] {
        const Tensor t = with_axis(self, "index");
        Parts parts;
        parts.push_back({.kind = Part::integer, .value = i});
        return object_of(Indexed(t, parts).view());
      },
      nullptr);
}

// One row after another, made when it is asked for.
PyObject* iterate(PyObject* self) {
  return guarded(
      [&] {
        with_axis(self, "iter");
        return PySeqIter_New(self);
      },
      nullptr);
}

}  // namespace

void add_indexing(PyHeapTypeObject* type) {
  type->as_mapping.mp_length = length;
  type->as_mapping.mp_subscript = subscript;
  type->as_mapping.mp_ass_subscript = assign_subscript;
  type->as_sequence.sq_length = length;
  type->as_sequence.sq_item = sequence_item;
  type->ht_type.tp_iter = iterate;
}

}  // namespace ranvier::python
