// Calling ops from C++. Every op is in the registry; `call` runs one by name, and `Op` keeps the
// looked-up entry for code that calls it often. The declarations themselves are in csrc/ops/.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ranvier/small_vector.h"
#include "ranvier/tensor.h"

namespace ranvier {

struct OpDef;

// One attribute; monostate is Python's None ("not given").
using Attr = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>>;
using Attrs = SmallVector<Attr, 4>;
using Tensors = SmallVector<Tensor, 4>;
using Flags = SmallVector<bool, 8>;

// Runs an op: checks, infers shapes, allocates, computes, and records for gradients and programs.
// Attributes stand in declared order; the ones left out take their defaults. An undefined Tensor
// stands for an optional input that is not given.
Tensors call(std::string_view op, const Tensors& inputs, Attrs attrs = {});

class Op {
 public:
  constexpr explicit Op(const char* name) : name_(name) {}
  // The first output, which for most ops is the only one.
  Tensor operator()(const Tensors& inputs, Attrs attrs = {}) const;
  Tensors all(const Tensors& inputs, Attrs attrs = {}) const;
  const OpDef& def() const;

 private:
  const char* name_;
  mutable std::atomic<const OpDef*> def_{nullptr};
};

Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a);
// A plain number takes the type of the tensor beside it.
Tensor operator*(const Tensor& a, double b);
Tensor operator/(const Tensor& a, double b);

Tensor clone(const Tensor& t);
void operator+=(const Tensor& a, const Tensor& b);  // in place

}  // namespace ranvier
