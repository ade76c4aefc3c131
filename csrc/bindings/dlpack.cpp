// DLPack, the common form in which array libraries lend memory to one another: both directions, the
// versioned and the older capsules. Only memory of the CPU; nothing here computes.
#include <cstring>
#include <memory>
#include <optional>

#include "bindings/bindings.h"
#include "core/recording.h"

namespace ranvier::python {

namespace {

// ---- the public layout (https://dmlc.github.io/dlpack, version 1.0)

constexpr int32_t kCpu = 1;
constexpr uint64_t kReadOnly = 1, kCopied = 2;

struct Device {
  int32_t type, id;
};
struct Kind {
  uint8_t code, bits;
  uint16_t lanes;
};
struct Described {
  void* data;
  Device device;
  int32_t ndim;
  Kind dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct Unversioned {
  static constexpr const char *kName = "dltensor", *kUsed = "used_dltensor";
  Described tensor;
  void* context;
  void (*deleter)(Unversioned*);
};
struct Versioned {
  static constexpr const char *kName = "dltensor_versioned", *kUsed = "used_dltensor_versioned";
  uint32_t major, minor;
  void* context;
  void (*deleter)(Versioned*);
  uint64_t flags;
  Described tensor;
};

constexpr struct {
  DType dtype;
  uint8_t code, bits;  // codes: 0 int, 1 unsigned, 2 float, 4 bfloat16, 6 bool
} kKinds[] = {{DType::float32, 2, 32},  {DType::float64, 2, 64}, {DType::float16, 2, 16},
              {DType::bfloat16, 4, 16}, {DType::int64, 0, 64},   {DType::int32, 0, 32},
              {DType::int16, 0, 16},    {DType::int8, 0, 8},     {DType::uint8, 1, 8},
              {DType::uint16, 1, 16},   {DType::uint32, 1, 32},  {DType::uint64, 1, 64},
              {DType::bool_, 6, 8}};

[[noreturn]] void buffer_error(const std::string& message) {
  PyErr_SetString(PyExc_BufferError, message.c_str());
  throw py::error_already_set();
}

// ---- in

DType dtype_of(const Kind& kind) {
  if (kind.lanes == 1)
    for (const auto& known : kKinds)
      if (known.code == kind.code && known.bits == kind.bits) return known.dtype;
  const char* const codes[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
  const std::string code = kind.code < 7 ? codes[kind.code] : "type " + std::to_string(kind.code);
  fail(ErrorKind::type, "[from_dlpack] expected one real number an element, got ", code,
       static_cast<int>(kind.bits), " in ", kind.lanes, " lanes; convert it before");
}

// What a capsule holds, checked before it is taken.
struct Lent {
  char* data;
  DType dtype;
  Dims shape, strides;
  bool needs_copy = false;  // a layout that our tensors cannot have
};

Lent checked(const Described& given) {
  if (given.device.type != kCpu)
    fail(ErrorKind::value, "[from_dlpack] expected memory of the CPU, device (1, 0), got device (",
         given.device.type, ", ", given.device.id, "); copy it to the CPU before");
  Lent lent{static_cast<char*>(given.data), dtype_of(given.dtype), {}, {}};
  if (given.ndim < 0 || given.ndim > Dims::kMax)
    fail(ErrorKind::shape, "[from_dlpack] expected at most ", Dims::kMax, " dimensions, got ",
         given.ndim);
  for (int i = 0; i < given.ndim; ++i) lent.shape.push_back(given.shape[i]);
  const int64_t n = count(lent.shape);  // checks the sizes
  if (n > 0 && !given.data)
    fail(ErrorKind::value, "[from_dlpack] expected memory for shape ", to_string(lent.shape),
         ", got none");
  if (given.data) lent.data += given.byte_offset;
  const auto size = static_cast<int64_t>(size_of(lent.dtype));
  lent.needs_copy = reinterpret_cast<uintptr_t>(lent.data) % static_cast<uint64_t>(size) != 0;
  lent.strides = contiguous_strides(lent.shape);
  for (int i = 0; given.strides && n > 0 && i < given.ndim; ++i) {
    lent.strides[i] = lent.shape[i] == 1 ? 1 : given.strides[i];
    lent.needs_copy = lent.needs_copy || lent.strides[i] < 0;
  }
  return lent;
}

void copy_elements(const Lent& lent, int axis, const char* from, char** to) {
  const auto size = static_cast<int64_t>(size_of(lent.dtype));
  if (axis == lent.shape.size()) {
    std::memcpy(*to, from, static_cast<size_t>(size));
    *to += size;
    return;
  }
  for (int64_t i = 0; i < lent.shape[axis]; ++i)
    copy_elements(lent, axis + 1, from + i * lent.strides[axis] * size, to);
}

// A byte that is neither 0 nor 1 is no C++ bool.
void make_bools(const Tensor& t) {
  auto* bytes = static_cast<uint8_t*>(t.raw());
  for (int64_t i = 0; i < t.numel(); ++i) bytes[i] = bytes[i] != 0;
}

bool odd_bools(const Lent& lent, int axis, const char* from) {
  if (axis == lent.shape.size()) return *reinterpret_cast<const uint8_t*>(from) > 1;
  for (int64_t i = 0; i < lent.shape[axis]; ++i)
    if (odd_bools(lent, axis + 1, from + i * lent.strides[axis])) return true;
  return false;
}

template <class Managed>
void give_back(void* managed) {
  auto* const lent = static_cast<Managed*>(managed);
  if (lent->deleter) lent->deleter(lent);
}

bool is_read_only(const Unversioned&) { return false; }
bool is_read_only(const Versioned& v) { return v.flags & kReadOnly; }

// Until the capsule has its new name it belongs to its maker, who frees it if this fails; from then
// on the deleter is ours to call, once.
template <class Managed>
Tensor taken(PyObject* capsule, const py::object& copy) {
  auto* const managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, Managed::kName));
  if (!managed) throw py::error_already_set();
  if constexpr (std::is_same_v<Managed, Versioned>)
    if (managed->major != 1)
      buffer_error("[from_dlpack] expected version 1 of DLPack, got version " +
                   std::to_string(managed->major));
  const Lent lent = checked(managed->tensor);
  const bool odd = lent.dtype == DType::bool_ && !lent.needs_copy && odd_bools(lent, 0, lent.data);
  const bool needs_copy = lent.needs_copy || odd;
  if (needs_copy && !copy.is_none() && !py::bool_(copy))
    buffer_error("[from_dlpack] expected a layout that can be shared, got strides " +
                 to_string(lent.strides) + "; leave copy=False out");
  Tensor fresh;
  if (needs_copy || (!copy.is_none() && py::bool_(copy)) || count(lent.shape) == 0) {
    fresh = Tensor::empty(lent.shape, lent.dtype);
    fresh.impl()->storage->unrecorded = 0;
    char* to = static_cast<char*>(fresh.raw());
    if (fresh.numel() > 0) copy_elements(lent, 0, lent.data, &to);
    if (lent.dtype == DType::bool_) make_bools(fresh);
  } else {
    fresh = Tensor::wrap(lent.data, lent.shape, lent.strides, lent.dtype, [](void*) {}, nullptr);
  }
  if (PyCapsule_SetName(capsule, Managed::kUsed) != 0) throw py::error_already_set();
  Storage& storage = *fresh.impl()->storage;
  if (storage.data == lent.data && fresh.numel() > 0) {
    storage.release = give_back<Managed>;
    storage.context = managed;
    storage.read_only = is_read_only(*managed);
  } else {
    give_back<Managed>(managed);
  }
  return fresh;
}

Tensor from_capsule(PyObject* capsule, const py::object& copy) {
  const char* const name = PyCapsule_GetName(capsule);
  const std::string_view given = name ? name : "";
  if (given == Versioned::kName) return taken<Versioned>(capsule, copy);
  if (given == Unversioned::kName) return taken<Unversioned>(capsule, copy);
  if (given == Versioned::kUsed || given == Unversioned::kUsed)
    fail(ErrorKind::value,
         "[from_dlpack] expected a capsule that nobody has taken, got one that was; make another");
  fail(ErrorKind::type, "[from_dlpack] expected a capsule named 'dltensor', got '", given, "'");
}

// The newest capsule that the other library makes.
py::object capsule_of(py::handle object, const py::object& copy) {
  const py::object make = object.attr("__dlpack__");
  py::dict arguments(py::arg("max_version") = py::make_tuple(1, 0));
  if (!copy.is_none()) arguments["copy"] = copy;
  try {
    return make(**arguments);
  } catch (const py::error_already_set& e) {
    if (!e.matches(PyExc_TypeError)) throw;
  }
  return make();  // of before 2023: it knows no versions
}

}  // namespace

Tensor from_dlpack(py::handle object, const py::object& copy) {
  if (PyCapsule_CheckExact(object.ptr())) return from_capsule(object.ptr(), copy);
  if (!py::hasattr(object, "__dlpack__") || PyType_Check(object.ptr()))
    fail(ErrorKind::type, "[from_dlpack] expected an object with __dlpack__, or a capsule, got ",
         std::string(py::str(py::type::of(object).attr("__name__"))), "; use as_tensor()");
  if (py::hasattr(object, "__dlpack_device__")) {
    const py::tuple device = object.attr("__dlpack_device__")();
    if (device.size() < 1 || py::object(device[0]).cast<int>() != kCpu)
      fail(ErrorKind::value, "[from_dlpack] expected memory of the CPU, device (1, 0), got device ",
           std::string(py::repr(device)), "; copy it to the CPU before");
  }
  const py::object capsule = capsule_of(object, copy);
  if (!PyCapsule_CheckExact(capsule.ptr()))
    fail(ErrorKind::type, "[from_dlpack] expected a capsule from __dlpack__, got ",
         std::string(py::repr(capsule)));
  return from_capsule(capsule.ptr(), copy);
}

// ---- out

namespace {

template <class Managed>
struct Exported {
  Managed managed{};
  Tensor tensor;
  int64_t shape[Dims::kMax], strides[Dims::kMax];
};

template <class Managed>
void destroy_capsule(PyObject* capsule) {
  if (!PyCapsule_IsValid(capsule, Managed::kName)) return;  // taken: the taker frees it
  give_back<Managed>(PyCapsule_GetPointer(capsule, Managed::kName));
}

template <class Managed>
py::object exported(const Tensor& t, [[maybe_unused]] uint64_t flags) {
  auto owned = std::make_unique<Exported<Managed>>();
  owned->tensor = t.detach();
  for (int i = 0; i < t.dim(); ++i) {
    owned->shape[i] = t.shape()[i];
    owned->strides[i] = t.strides()[i];
  }
  Kind kind{};
  for (const auto& known : kKinds)
    if (known.dtype == t.dtype()) kind = {known.code, known.bits, 1};
  Managed& managed = owned->managed;
  managed.tensor = {
      t.numel() > 0 ? t.raw() : nullptr, {kCpu, 0}, t.dim(), kind, owned->shape, owned->strides, 0};
  managed.context = owned.get();
  managed.deleter = [](Managed* m) { delete static_cast<Exported<Managed>*>(m->context); };
  if constexpr (std::is_same_v<Managed, Versioned>) {
    managed.major = 1;
    managed.flags = flags;
  }
  const auto capsule = py::reinterpret_steal<py::object>(
      PyCapsule_New(&managed, Managed::kName, destroy_capsule<Managed>));
  if (!capsule) throw py::error_already_set();
  owned.release();
  return capsule;
}

// The first number of (major, minor).
int64_t major_of(const py::object& version) {
  if (py::isinstance<py::tuple>(version) && py::len(version) == 2 &&
      py::isinstance<py::int_>(py::tuple(version)[0])) {
    int beyond = 0;
    const auto major = py::object(py::tuple(version)[0]);
    const int64_t number = PyLong_AsLongLongAndOverflow(major.ptr(), &beyond);
    return beyond ? beyond : number;
  }
  fail(ErrorKind::type, "[dlpack] max_version: expected two integers as (1, 0), got ",
       std::string(py::repr(version)));
}

}  // namespace

py::object to_dlpack(const Tensor& t, const py::object& stream, const py::object& max_version,
                     const py::object& device, const py::object& copy) {
  forbid_while_recording("__dlpack__()");
  if (requires_grad(t))
    buffer_error(
        "[dlpack] expected a tensor without gradient, got one that requires it; use .detach()");
  if (!stream.is_none() && !stream.equal(py::int_(-1)))
    fail(ErrorKind::runtime, "[dlpack] expected stream=None on the CPU, got ",
         std::string(py::repr(stream)));
  if (!device.is_none() && !py::tuple(device).equal(py::make_tuple(kCpu, 0)))
    buffer_error("[dlpack] expected the CPU, (1, 0), as device, got " +
                 std::string(py::repr(device)));
  const bool fresh = !copy.is_none() && py::bool_(copy);
  static const Op clone("clone");
  const NoGrad off;
  const Tensor shown = fresh ? clone({t}) : t;
  const bool versioned = !max_version.is_none() && major_of(max_version) >= 1;
  const bool read_only = shown.impl()->storage->read_only;
  if (versioned)
    return exported<Versioned>(shown, (read_only ? kReadOnly : 0) | (fresh ? kCopied : 0));
  if (read_only)
    buffer_error(
        "[dlpack] expected memory that may be written to, or a caller with max_version=(1, 0) or "
        "more, got read-only memory; use .clone()");
  return exported<Unversioned>(shown, 0);
}

}  // namespace ranvier::python
