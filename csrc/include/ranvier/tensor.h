// A tensor is a handle: shape, strides and an offset into a reference-counted storage. Copying a
// Tensor copies the handle. Nothing here computes; arithmetic is in ops.h, gradients in autograd.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "ranvier/error.h"

namespace ranvier {

// Floating ones first. float16 and bfloat16 are stored so and computed in float32; the last three
// are stored only.
enum class DType : uint8_t {
  float32,
  float64,
  float16,
  bfloat16,
  int64,
  int32,
  int16,
  int8,
  uint8,
  bool_,
  uint16,
  uint32,
  uint64
};
inline constexpr int kDTypes = 13;

std::size_t size_of(DType dtype);
const char* name_of(DType dtype);
inline bool is_floating(DType dtype) { return dtype <= DType::bfloat16; }
inline bool is_half(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }
inline bool is_storage_only(DType dtype) { return dtype >= DType::uint16; }

// The type both operands of an arithmetic op are converted to: the wider of the two, floating
// before integer (PyTorch's table). No storage-only type takes part.
DType promote(DType a, DType b);

// What numbers without a dtype of their own become: float32 unless set otherwise, for all threads.
DType default_dtype();
void set_default_dtype(DType dtype);

template <class T>
struct DTypeOf;
#define RV_ELEMENT(T, name)                     \
  template <>                                   \
  struct DTypeOf<T> {                           \
    static constexpr DType value = DType::name; \
  };
RV_ELEMENT(float, float32)
RV_ELEMENT(double, float64)
RV_ELEMENT(int64_t, int64)
RV_ELEMENT(int32_t, int32)
RV_ELEMENT(int16_t, int16)
RV_ELEMENT(int8_t, int8)
RV_ELEMENT(uint8_t, uint8)
RV_ELEMENT(bool, bool_)
RV_ELEMENT(uint16_t, uint16)
RV_ELEMENT(uint32_t, uint32)
RV_ELEMENT(uint64_t, uint64)
#undef RV_ELEMENT

// Sizes or strides, kept inline so that making a tensor needs one allocation.
class Dims {
 public:
  static constexpr int kMax = 8;

  Dims() = default;
  Dims(std::initializer_list<int64_t> values) : Dims(values.begin(), values.size()) {}
  explicit Dims(std::span<const int64_t> values) : Dims(values.data(), values.size()) {}
  Dims(const int64_t* values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) push_back(values[i]);
  }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  int64_t& operator[](int i) { return values_[i]; }
  int64_t operator[](int i) const { return values_[i]; }
  int64_t back() const { return values_[size_ - 1]; }
  const int64_t* begin() const { return values_; }
  const int64_t* end() const { return values_ + size_; }
  void push_back(int64_t value) {
    if (size_ == kMax) fail(ErrorKind::shape, "expected at most ", kMax, " dimensions, got more");
    values_[size_++] = value;
  }
  void insert(int at, int64_t value);
  void erase(int at);
  bool operator==(const Dims& other) const;

 private:
  int size_ = 0;
  int64_t values_[kMax] = {};
};

std::string to_string(const Dims& dims);  // "(32, 784)", "(3,)", "()"

// Product of the sizes; an Error for a negative size or a product that does not fit.
int64_t count(const Dims& shape);
Dims contiguous_strides(const Dims& shape);

// Intrusive reference count: one word, atomic, as tensors are shared by threads.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->refs.fetch_add(1, std::memory_order_relaxed);
  }
  Ref(const Ref& other) : Ref(other.p_) {}
  Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && p_->refs.fetch_sub(1, std::memory_order_acq_rel) == 1) delete p_;
  }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  bool operator==(const Ref& other) const { return p_ == other.p_; }

 private:
  T* p_ = nullptr;
};

// Memory of one or more tensors. `release` gives memory back that somebody else owns (NumPy).
struct Storage {
  std::atomic<int32_t> refs{0};
  std::atomic<uint32_t> version{0};  // counts changes in place; backward compares it
  void* data = nullptr;
  std::size_t bytes = 0;
  void (*release)(void* context) = nullptr;  // null: `data` is ours
  void* context = nullptr;
  bool read_only = false;
  uint32_t unrecorded = 0;  // the recording in which it was made, by no instruction; 0: none
  std::atomic<int32_t> program_refs{0};  // how many of `refs` are programs'

  explicit Storage(std::size_t size);
  Storage(void* memory, std::size_t size, void (*give_back)(void*), void* owner);
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();
  static void* operator new(std::size_t bytes);  // from a pool
  static void operator delete(void* p, std::size_t bytes) noexcept;
};

struct AutogradMeta;  // autograd.h

struct TensorImpl {
  std::atomic<int32_t> refs{0};
  DType dtype = DType::float32;
  Dims shape, strides;  // strides count elements
  int64_t numel = 0;
  int64_t offset = 0;  // elements
  Ref<Storage> storage;
  std::unique_ptr<AutogradMeta> autograd;  // null while no gradient is asked for
  Ref<TensorImpl> base;                    // of a view: the tensor it looks at, itself no view
  std::atomic<int32_t> program_refs{0};    // how many of `refs` are programs'
  std::atomic<bool> watched{false};  // a program depends on what it asks for, and on its hooks
  uint32_t base_history = 0;  // how often the base's history had changed when this one's was made

  TensorImpl();
  TensorImpl(const TensorImpl&) = delete;
  TensorImpl& operator=(const TensorImpl&) = delete;
  ~TensorImpl();
  static void* operator new(std::size_t bytes);  // from a pool
  static void operator delete(void* p, std::size_t bytes) noexcept;
};

class Tensor {
 public:
  Tensor() = default;  // undefined
  explicit Tensor(TensorImpl* impl) : impl_(impl) {}
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}

  // Uninitialised memory, contiguous unless strides (of 0 or more) are given.
  static Tensor empty(const Dims& shape, DType dtype = DType::float32);
  static Tensor empty_strided(const Dims& shape, const Dims& strides, DType dtype);
  // All elements are `value`, converted to `dtype`.
  static Tensor full(const Dims& shape, double value, DType dtype = DType::float32);
  static Tensor zeros(const Dims& shape, DType dtype = DType::float32);
  // Copies `count(shape)` elements.
  template <class T>
  static Tensor from(const Dims& shape, std::span<const T> values);
  template <class T>
  static Tensor from(const Dims& shape, std::initializer_list<T> values) {
    return from(shape, std::span<const T>(values.begin(), values.size()));
  }
  // Shares memory that the caller owns; `release(context)` is called when nobody uses it any more.
  static Tensor wrap(void* data, const Dims& shape, const Dims& strides, DType dtype,
                     void (*release)(void*), void* context);

  bool defined() const { return static_cast<bool>(impl_); }
  const Dims& shape() const { return impl_->shape; }
  const Dims& strides() const { return impl_->strides; }
  int dim() const { return impl_->shape.size(); }
  int64_t size(int axis) const;  // negative axes count from the end
  int64_t numel() const { return impl_->numel; }
  DType dtype() const { return impl_->dtype; }
  bool is_contiguous() const;
  // Every element of the memory between first and last belongs to the tensor, exactly once.
  bool is_dense() const;

  void* raw() const {
    return static_cast<char*>(impl_->storage->data) +
           impl_->offset * static_cast<int64_t>(size_of(impl_->dtype));
  }
  // Unchecked access for code that has looked at dtype and strides.
  template <class T>
  T* data() const {
    return static_cast<T*>(raw());
  }

  // The value of a tensor with one element, as double or int64.
  double item() const;
  int64_t item_int() const;

  // The same memory seen through another shape, without a gradient; bounds are the caller's word.
  Tensor alias(const Dims& shape, const Dims& strides, int64_t offset) const;
  Tensor detach() const { return alias(shape(), strides(), impl_->offset); }

  TensorImpl* impl() const { return impl_.get(); }
  const Ref<TensorImpl>& ref() const { return impl_; }
  bool same(const Tensor& other) const { return impl_ == other.impl_; }

 private:
  Ref<TensorImpl> impl_;
};

// Maps an axis in [-dim, dim) to [0, dim); an Error that names `op` otherwise.
int normal_axis(const char* op, int64_t axis, int dim);

}  // namespace ranvier
