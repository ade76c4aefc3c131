// Memory that others see too: arrays that come in, arrays and Python's buffers that go out. DLPack
// is in dlpack.cpp; what lists and numbers become is in nested.cpp. Nothing here computes.
#include <optional>

#include "bindings/bindings.h"
#include "core/dtypes.h"
#include "core/recording.h"

namespace ranvier::python {

namespace {

void give_back_object(void* owner) {
  if (!Py_IsInitialized()) return;
  const py::gil_scoped_acquire gil;
  Py_DECREF(static_cast<PyObject*>(owner));
}

// The array, and a weak reference to the one that owns the memory: NumPy resizes no array that has
// one, not even where it is told not to count references.
py::tuple held(const py::array& array) {
  py::object owner = array;
  for (py::object base = owner.attr("base"); py::isinstance<py::array>(base);
       base = owner.attr("base"))
    owner = base;
  const auto guard = py::reinterpret_steal<py::object>(PyWeakref_NewRef(owner.ptr(), nullptr));
  if (!guard) throw py::error_already_set();
  return py::make_tuple(array, guard);
}

// A byte of NumPy's bool that is neither 0 nor 1, as a view of other memory can have, is no C++
// bool.
bool odd_bools(const py::array& array) {
  return array.size() > 0 && array.attr("view")("uint8").attr("max")().cast<int>() > 1;
}

// What to do with an array that holds something else than numbers of ours.
[[noreturn]] void refuse_dtype(const py::dtype& dtype) {
  std::string expected = "numbers", advice = "convert it with .astype(...)";
  switch (dtype.kind()) {
    case 'O':
      advice = "convert it with .astype(float), or make every row as long as the others";
      break;
    case 'U':
    case 'S':
    case 'T':
      advice = "convert it with .astype(float), or count its values with numpy.unique";
      break;
    case 'V':
      expected = "an array without fields";
      advice = "take one field, as in array['name']";
      break;
    case 'M':
    case 'm':
      advice = "convert it with .astype('int64')";
      break;
    case 'c':
      expected = "real numbers";
      advice = "take .real, .imag or numpy.abs of it";
      break;
    default:
      advice = "convert it with .astype('float64')";
  }
  fail(ErrorKind::type, "[tensor] expected ", expected, ", got an array of dtype ",
       std::string(py::str(dtype)), "; ", advice);
}

// Values under a mask are no numbers; an array that could have a mask and has none is like others.
void refuse_masked(const py::array& array) {
  if (py::type::of(array).is(py::module_::import("numpy").attr("ndarray"))) return;
  if (!py::hasattr(array, "mask")) return;
  if (py::module_::import("numpy").attr("ma").attr("is_masked")(array).cast<bool>())
    fail(ErrorKind::type, "[tensor] expected an array without masked values, got one of shape ",
         std::string(py::str(array.attr("shape"))), "; fill them with .filled(value)");
}

// Shape and strides in elements. False where they cannot be ours: a copy is needed.
bool layout_of(const py::array& array, Dims* shape, Dims* strides) {
  bool ours = array.dtype().attr("isnative").cast<bool>();
  for (py::ssize_t i = 0; i < array.ndim(); ++i) {
    shape->push_back(array.shape(i));
    strides->push_back(array.strides(i) / array.itemsize());
    ours = ours && array.strides(i) >= 0 && array.strides(i) % array.itemsize() == 0;
  }
  return ours &&
         reinterpret_cast<uintptr_t>(array.data()) % static_cast<uintptr_t>(array.itemsize()) == 0;
}

}  // namespace

Tensor from_array(const py::array& given, bool copy) {
  py::array array = given;
  refuse_masked(array);
  const py::dtype its = array.dtype();
  const auto dtype = its.kind() == 'V' ? std::nullopt : dtype_named(py::str(its.attr("name")));
  if (!dtype) refuse_dtype(its);
  if (array.ndim() > Dims::kMax)
    fail(ErrorKind::shape, "[tensor] expected at most ", Dims::kMax, " dimensions, got ",
         array.ndim());
  Dims shape, strides;
  bool share = layout_of(array, &shape, &strides) && !copy;
  if (share && *dtype == DType::bool_ && odd_bools(array)) {
    array = array.attr("view")("uint8").attr("astype")("bool");
    share = false;
  }
  if (!share) {
    array = py::module_::import("numpy").attr("array")(array, numpy_dtype(*dtype),
                                                       py::arg("order") = "C");
    strides = contiguous_strides(shape);
  }
  void* data = const_cast<void*>(array.data());
  const bool writeable = array.writeable();
  const Tensor t =
      Tensor::wrap(data, shape, strides, *dtype, give_back_object, held(array).release().ptr());
  t.impl()->storage->read_only = share && !writeable;
  return t;
}

// ---- out

py::dtype numpy_dtype(DType dtype) {
  if (dtype == DType::bfloat16)
    fail(ErrorKind::type, "[numpy] expected a dtype that NumPy has, got bfloat16; call .float()");
  return py::dtype(dtype == DType::bool_ ? "bool" : name_of(dtype));
}

namespace {

[[noreturn]] void refuse_gradient() {
  fail(ErrorKind::runtime, "[numpy] expected a tensor without gradient, got one that requires it; ",
       "use .detach().numpy()");
}

py::array array_of(const Tensor& t) {
  std::vector<py::ssize_t> shape, strides;
  for (int i = 0; i < t.dim(); ++i) {
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i] * static_cast<py::ssize_t>(size_of(t.dtype())));
  }
  py::array array(numpy_dtype(t.dtype()), shape, strides, t.raw(), py::cast(t));
  if (t.impl()->storage->read_only) array.attr("setflags")(py::arg("write") = false);
  return array;
}

// A sign of its own for what Python's None, True and False mean to NumPy's `copy`.
enum class Copy { if_needed, always, never };

Copy copy_from(const py::object& copy) {
  if (copy.is_none()) return Copy::if_needed;
  return py::bool_(copy) ? Copy::always : Copy::never;
}

}  // namespace

py::array to_numpy(const Tensor& t, bool force) {
  forbid_while_recording("numpy()");
  if (requires_grad(t) && !force) refuse_gradient();
  return array_of(force ? t.detach() : t);
}

// NumPy's own question. Reading a single value, such as a loss, loses no gradient that somebody
// could have meant.
py::array to_array(const Tensor& t, const py::object& dtype, const py::object& copy) {
  const py::array array = to_numpy(t, t.dim() == 0);
  const Copy wish = copy_from(copy);
  if (!dtype.is_none()) {
    const py::dtype wanted = py::dtype::from_args(dtype);
    if (!wanted.equal(array.dtype())) {
      if (wish == Copy::never)
        fail(ErrorKind::value, "[array] expected a dtype that needs no copy, ",
             std::string(py::str(array.dtype())), ", got ", std::string(py::str(wanted)));
      return array.attr("astype")(wanted);
    }
  }
  return wish == Copy::always ? py::array(array.attr("copy")()) : array;
}

// ---- Python's buffers

namespace {

// As in Python's module struct, native sizes. Null: there is no letter for it.
const char* format_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return "f";
    case DType::float64:
      return "d";
    case DType::float16:
      return "e";
    case DType::int64:
      return sizeof(long) == 8 ? "l" : "q";
    case DType::int32:
      return "i";
    case DType::int16:
      return "h";
    case DType::int8:
      return "b";
    case DType::uint8:
      return "B";
    case DType::uint16:
      return "H";
    case DType::uint32:
      return "I";
    case DType::uint64:
      return sizeof(long) == 8 ? "L" : "Q";
    case DType::bool_:
      return "?";
    case DType::bfloat16:
      break;
  }
  return nullptr;
}

bool is_reversed_contiguous(const Tensor& t) {
  int64_t step = 1;
  for (int i = 0; i < t.dim(); ++i) {
    if (t.shape()[i] != 1 && t.strides()[i] != step) return t.numel() == 0;
    step *= t.shape()[i];
  }
  return true;
}

// Why a request cannot be met, or null.
const char* obstacle(const Tensor& t, int flags) {
  const auto wants = [flags](int what) { return (flags & what) == what; };
  if (recording && !end_recording("its memory"))
    return "tensor operations only while a program is recorded, got its memory";
  if (!format_of(t.dtype()))
    return "a dtype that Python's buffers know, got bfloat16; use .float()";
  if (requires_grad(t)) return "a tensor without gradient, got one that requires it; use .detach()";
  if (wants(PyBUF_WRITABLE) && t.impl()->storage->read_only)
    return "memory that may be written to, got read-only memory; use .clone()";
  const bool rows = t.is_contiguous(), columns = is_reversed_contiguous(t);
  if ((wants(PyBUF_C_CONTIGUOUS) && !rows) || (wants(PyBUF_F_CONTIGUOUS) && !columns) ||
      (wants(PyBUF_ANY_CONTIGUOUS) && !rows && !columns) || (!wants(PyBUF_STRIDES) && !rows))
    return "elements side by side in memory, got another layout; use .contiguous()";
  return nullptr;
}

// Keeps the memory for as long as somebody looks at it.
struct Export {
  Tensor tensor;
  Py_ssize_t shape[Dims::kMax], strides[Dims::kMax];
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  try {
    const Tensor t = py::handle(self).cast<Tensor>();
    if (const char* reason = obstacle(t, flags)) {
      PyErr_SetString(PyExc_BufferError, (std::string("[buffer] expected ") + reason).c_str());
      return -1;
    }
    auto* const exported = new Export{t.detach(), {}, {}};
    const auto size = static_cast<Py_ssize_t>(size_of(t.dtype()));
    for (int i = 0; i < t.dim(); ++i) {
      exported->shape[i] = t.shape()[i];
      exported->strides[i] = t.strides()[i] * size;
    }
    view->buf = t.raw();
    view->obj = Py_NewRef(self);
    view->len = t.numel() * size;
    view->itemsize = size;
    view->readonly = t.impl()->storage->read_only;
    view->ndim = t.dim();
    view->format = flags & PyBUF_FORMAT ? const_cast<char*>(format_of(t.dtype())) : nullptr;
    view->shape = flags & PyBUF_ND ? exported->shape : nullptr;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? exported->strides : nullptr;
    view->suboffsets = nullptr;
    view->internal = exported;
    return 0;
  } catch (...) {
    set_python_error();
    return -1;
  }
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Export*>(view->internal); }

}  // namespace

void add_buffer(PyHeapTypeObject* type) {
  type->as_buffer.bf_getbuffer = get_buffer;
  type->as_buffer.bf_releasebuffer = release_buffer;
  type->ht_type.tp_as_buffer = &type->as_buffer;
}

// ---- values

namespace {

template <class T>
py::object number_of(T value) {
  if constexpr (std::is_same_v<T, bool>)
    return py::bool_(value);
  else if constexpr (is_half_v<T>)
    return py::float_(static_cast<double>(to_float(value)));
  else if constexpr (std::is_floating_point_v<T>)
    return py::float_(static_cast<double>(value));
  else
    return py::int_(value);
}

template <class T>
py::object list_of(const Tensor& t, const T* data, int axis) {
  if (axis == t.dim()) return number_of(*data);
  const int64_t n = t.shape()[axis], stride = t.strides()[axis];
  const auto list = py::reinterpret_steal<py::list>(PyList_New(n));
  if (!list) throw py::error_already_set();
  for (int64_t i = 0; i < n; ++i)
    PyList_SET_ITEM(list.ptr(), i, list_of(t, data + i * stride, axis + 1).release().ptr());
  return list;
}

}  // namespace

py::object item(const Tensor& t) {
  forbid_while_recording("item()");
  if (t.numel() != 1) t.item();  // says so
  return visit_all(t.dtype(), [&]<class T>(Tag<T>) { return number_of(*t.data<T>()); });
}

py::object tolist(const Tensor& t) {
  forbid_while_recording("tolist()");
  // Without elements a tensor can have any sizes: nobody could hold, or wait for, so many lists.
  constexpr double most = 1 << 24;
  double lists = t.numel() == 0 ? 1 : 0;
  for (int i = 0; i < t.dim() && t.shape()[i] > 0 && lists > 0; ++i)
    lists *= static_cast<double>(t.shape()[i]);
  if (lists > most)
    fail(ErrorKind::shape, "[tolist] expected at most 16777216 lists, got shape ",
         to_string(t.shape()));
  return visit_all(t.dtype(), [&]<class T>(Tag<T>) { return list_of(t, t.data<T>(), 0); });
}

}  // namespace ranvier::python
