// Writes tensors into a file, a part at a time: between two parts the caller may look whether it
// should go on. Dropped before it has finished, it leaves the old file and nothing else.
#pragma once

#include <optional>

#include "files/header.h"
#include "files/system.h"

namespace ranvier::files {

class TensorWriter {
 public:
  // Checks everything, then makes the temporary file. The tensors must not change meanwhile.
  TensorWriter(const std::string& path, const NamedTensors& tensors, const Metadata& metadata);

  // A few megabytes more; false once there are none left.
  bool write_some();
  void finish();

 private:
  const NamedTensors& tensors_;
  Layout layout_;
  Replacement file_;
  bool head_written_ = false;
  std::size_t next_ = 0;  // in the order of the data
  Tensor current_;        // row-major
  std::size_t written_ = 0;
};

// The bytes of a file, in memory.
class TensorBytes {
 public:
  TensorBytes(const NamedTensors& tensors, const Metadata& metadata);
  std::size_t size() const { return layout_.head.size() + layout_.data_bytes; }
  void copy_to(char* to) const;

 private:
  const NamedTensors& tensors_;
  Layout layout_;
};

}  // namespace ranvier::files
