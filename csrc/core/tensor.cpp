// Shapes, storages and tensor handles; see ranvier/tensor.h.
#include "ranvier/tensor.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "core/allocator.h"
#include "core/dtypes.h"
#include "core/parallel.h"
#include "core/pool.h"
#include "core/recording.h"
#include "ranvier/autograd.h"

namespace ranvier {

namespace {

struct DTypeInfo {
  const char* name;
  std::size_t size;
};
constexpr DTypeInfo kInfo[kDTypes] = {
    {"float32", 4}, {"float64", 8}, {"float16", 2}, {"bfloat16", 2}, {"int64", 8},
    {"int32", 4},   {"int16", 2},   {"int8", 1},    {"uint8", 1},    {"bool", 1},
    {"uint16", 2},  {"uint32", 4},  {"uint64", 8}};

const DTypeInfo& info(DType dtype) { return kInfo[static_cast<int>(dtype)]; }

}  // namespace

std::size_t size_of(DType dtype) { return info(dtype).size; }
const char* name_of(DType dtype) { return info(dtype).name; }

namespace {
std::atomic<DType> the_default{DType::float32};
}  // namespace

DType default_dtype() { return the_default.load(std::memory_order_relaxed); }

void set_default_dtype(DType dtype) {
  if (!is_floating(dtype))
    fail(ErrorKind::type, "[set_default_dtype] d: expected a floating dtype, got ", name_of(dtype));
  the_default = dtype;
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  if (is_half(a) && is_half(b)) return DType::float32;  // neither holds the other
  // By floating, then size. Signed and unsigned bytes only fit into int16 together.
  if (is_floating(a) != is_floating(b)) return is_floating(a) ? a : b;
  if (std::min(a, b) == DType::int8 && std::max(a, b) == DType::uint8) return DType::int16;
  if (a == DType::bool_ || b == DType::bool_) return a == DType::bool_ ? b : a;
  return size_of(a) > size_of(b) ? a : b;
}

void Dims::insert(int at, int64_t value) {
  push_back(value);
  for (int i = size_ - 1; i > at; --i) values_[i] = values_[i - 1];
  values_[at] = value;
}

void Dims::erase(int at) {
  for (int i = at; i + 1 < size_; ++i) values_[i] = values_[i + 1];
  --size_;
}

bool Dims::operator==(const Dims& other) const {
  return size_ == other.size_ && std::equal(begin(), end(), other.begin());
}

std::string to_string(const Dims& dims) {
  std::string text = "(";
  for (int i = 0; i < dims.size(); ++i) text += (i ? ", " : "") + std::to_string(dims[i]);
  return text + (dims.size() == 1 ? ",)" : ")");
}

int64_t count(const Dims& shape) {
  int64_t n = 1, without_zeros = 1;
  for (const int64_t size : shape) {
    if (size < 0)
      fail(ErrorKind::shape, "[shape] expected sizes of 0 or more, got ", to_string(shape));
    n *= size == 0 ? 0 : 1;
    // Bytes and not elements must fit, and a zero elsewhere does not excuse an absurd size.
    if (size > 0 && __builtin_mul_overflow(without_zeros, size, &without_zeros))
      fail(ErrorKind::shape, "[shape] expected a number of elements that fits in 64 bits, got ",
           to_string(shape));
  }
  if (without_zeros > INT64_MAX / 16)
    fail(ErrorKind::shape, "[shape] expected a size in bytes that fits in 64 bits, got ",
         to_string(shape));
  return n == 0 ? 0 : without_zeros;
}

Dims contiguous_strides(const Dims& shape) {
  Dims strides = shape;
  uint64_t step = 1;  // may wrap around for a shape that count() will refuse
  for (int i = shape.size() - 1; i >= 0; --i) {
    strides[i] = static_cast<int64_t>(step);
    step *= static_cast<uint64_t>(std::max<int64_t>(shape[i], 1));
  }
  return strides;
}

Storage::Storage(std::size_t size) : data(allocate(size)), bytes(size) {}

Storage::Storage(void* memory, std::size_t size, void (*give_back)(void*), void* owner)
    : data(memory), bytes(size), release(give_back), context(owner) {}

Storage::~Storage() {
  if (release)
    release(context);
  else
    deallocate(data, bytes);
}

void* Storage::operator new(std::size_t bytes) { return pool_new(bytes); }
void Storage::operator delete(void* p, std::size_t bytes) noexcept { pool_give(p, bytes); }
void* TensorImpl::operator new(std::size_t bytes) { return pool_new(bytes); }
void TensorImpl::operator delete(void* p, std::size_t bytes) noexcept { pool_give(p, bytes); }

TensorImpl::TensorImpl() = default;
TensorImpl::~TensorImpl() = default;

Tensor Tensor::empty(const Dims& shape, DType dtype) {
  return empty_strided(shape, contiguous_strides(shape), dtype);
}

namespace {

// Elements from the first to the last one, gaps included.
int64_t extent(const Dims& shape, const Dims& strides) {
  const int64_t n = count(shape);
  int64_t last = 0;
  bool fits = shape.size() == strides.size();
  for (int i = 0; fits && i < shape.size(); ++i) {
    int64_t step = 0;
    fits = strides[i] >= 0 &&
           !__builtin_mul_overflow(std::max<int64_t>(shape[i], 1) - 1, strides[i], &step) &&
           !__builtin_add_overflow(last, step, &last);
  }
  if (!fits || last > INT64_MAX / 16)
    fail(ErrorKind::shape, "[strides] expected one stride of 0 or more for every axis of ",
         to_string(shape), ", got ", to_string(strides));
  return n == 0 ? 0 : last + 1;
}

}  // namespace

Tensor Tensor::empty_strided(const Dims& shape, const Dims& strides, DType dtype) {
  const auto bytes = static_cast<std::size_t>(extent(shape, strides)) * size_of(dtype);
  Ref<TensorImpl> impl(new TensorImpl);
  impl->numel = count(shape);
  impl->dtype = dtype;
  impl->shape = shape;
  impl->strides = strides;
  impl->storage = Ref<Storage>(new Storage(bytes));
  impl->storage->unrecorded = recording ? recording_number : 0;
  return Tensor(std::move(impl));
}

Tensor Tensor::full(const Dims& shape, double value, DType dtype) {
  Tensor t = empty(shape, dtype);
  const IeeeArithmetic ieee;  // a small value must not become zero on its way to float
  visit_all(dtype, [&]<class T>(Tag<T>) {
    const T element = convert<T>(value);
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
      if (static_cast<double>(element) != std::trunc(value))
        fail(ErrorKind::value, "[full] expected a number that fits into ", name_of(dtype), ", got ",
             value);
    std::fill_n(t.data<T>(), t.numel(), element);
  });
  return t;
}

Tensor Tensor::zeros(const Dims& shape, DType dtype) {
  Tensor t = empty(shape, dtype);
  std::memset(t.raw(), 0, t.impl_->storage->bytes);
  return t;
}

template <class T>
Tensor Tensor::from(const Dims& shape, std::span<const T> values) {
  const int64_t n = count(shape);
  if (static_cast<int64_t>(values.size()) != n)
    fail(ErrorKind::shape, "[tensor] expected ", n, " values for shape ", to_string(shape),
         ", got ", values.size());
  Tensor t = empty(shape, DTypeOf<T>::value);
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}

template Tensor Tensor::from<float>(const Dims&, std::span<const float>);
template Tensor Tensor::from<double>(const Dims&, std::span<const double>);
template Tensor Tensor::from<int64_t>(const Dims&, std::span<const int64_t>);
template Tensor Tensor::from<int32_t>(const Dims&, std::span<const int32_t>);
template Tensor Tensor::from<int16_t>(const Dims&, std::span<const int16_t>);
template Tensor Tensor::from<int8_t>(const Dims&, std::span<const int8_t>);
template Tensor Tensor::from<uint8_t>(const Dims&, std::span<const uint8_t>);
template Tensor Tensor::from<bool>(const Dims&, std::span<const bool>);
template Tensor Tensor::from<uint16_t>(const Dims&, std::span<const uint16_t>);
template Tensor Tensor::from<uint32_t>(const Dims&, std::span<const uint32_t>);
template Tensor Tensor::from<uint64_t>(const Dims&, std::span<const uint64_t>);

Tensor Tensor::wrap(void* data, const Dims& shape, const Dims& strides, DType dtype,
                    void (*release)(void*), void* context) {
  Ref<TensorImpl> impl(new TensorImpl);
  impl->numel = count(shape);
  impl->dtype = dtype;
  impl->shape = shape;
  impl->strides = strides;
  const auto bytes = static_cast<std::size_t>(extent(shape, strides)) * size_of(dtype);
  impl->storage = Ref<Storage>(new Storage(data, bytes, release, context));
  return Tensor(std::move(impl));
}

int64_t Tensor::size(int axis) const { return shape()[normal_axis("size", axis, dim())]; }

bool Tensor::is_contiguous() const {
  int64_t step = 1;
  for (int i = dim() - 1; i >= 0; --i) {
    if (shape()[i] != 1 && strides()[i] != step) return numel() == 0;
    step *= shape()[i];
  }
  return true;
}

bool Tensor::is_dense() const {
  if (is_contiguous()) return true;
  // Take the axes by stride, smallest first: each must start where the one before ends.
  int64_t step = 1;
  bool used[Dims::kMax] = {};
  for (int n = 0; n < dim(); ++n) {
    int next = -1;
    for (int i = 0; i < dim(); ++i)
      if (!used[i] && (shape()[i] == 1 || strides()[i] == step)) next = i;
    if (next < 0) return false;
    used[next] = true;
    step *= shape()[next];
  }
  return true;
}

namespace {
void expect_one_element(const Tensor& t) {
  forbid_while_recording("item()");
  if (t.numel() != 1)
    fail(ErrorKind::runtime, "[item] expected a tensor with one element, got shape ",
         to_string(t.shape()), "; use tolist() or numpy()");
}
}  // namespace

double Tensor::item() const {
  expect_one_element(*this);
  return visit_all(dtype(), [&]<class T>(Tag<T>) { return convert<double>(*data<T>()); });
}

int64_t Tensor::item_int() const {
  expect_one_element(*this);
  return visit_all(dtype(), [&]<class T>(Tag<T>) { return convert<int64_t>(*data<T>()); });
}

Tensor Tensor::alias(const Dims& shape, const Dims& strides, int64_t offset) const {
  Ref<TensorImpl> impl(new TensorImpl);
  impl->numel = count(shape);
  impl->dtype = dtype();
  impl->shape = shape;
  impl->strides = strides;
  impl->offset = offset;
  impl->storage = impl_->storage;
  return Tensor(std::move(impl));
}

void forbid_while_recording(const char* what) {
  if (recording && !end_recording(what))
    fail(ErrorKind::runtime, "[record] expected tensor operations only, got ", what,
         ": its value would be frozen into the program; return the tensor, or do it outside");
}

int normal_axis(const char* op, int64_t axis, int dim) {
  // A scalar takes axis 0 and -1, as in PyTorch.
  const int64_t n = std::max(dim, 1);
  if (axis < -n || axis >= n)
    fail(ErrorKind::index, "[", op, "] expected an axis in [", -n, ", ", n - 1, "] for ", dim,
         " dimensions, got ", axis);
  return static_cast<int>(axis < 0 ? axis + n : axis);
}

}  // namespace ranvier
