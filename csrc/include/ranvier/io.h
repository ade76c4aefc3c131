// Tensors by name in files: safetensors, mapped into memory when read, written whole or not at all.
// Nothing here executes what a file says, and nothing is believed before it is checked. What a
// file's metadata mean is not known here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ranvier/error.h"
#include "ranvier/tensor.h"

namespace ranvier {

// What the operating system refused; `code` is its errno. In Python an OSError.
class FileError : public Error {
 public:
  FileError(int code, const std::string& message)
      : Error(ErrorKind::runtime, message), code_(code) {}
  int code() const { return code_; }

 private:
  int code_;
};

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::vector<std::pair<std::string, std::string>>;

// What the header of a file says about a tensor, checked.
struct FileEntry {
  std::string name;
  DType dtype = DType::float32;
  Dims shape;
  uint64_t begin = 0, end = 0;  // its bytes, counted from where the data begin
};

// A file of tensors, open: its header is read and checked, its numbers are not read yet.
//
//   ranvier::TensorFile file("model.safetensors");
//   for (const ranvier::FileEntry& entry : file.entries()) use(entry.name,
//   file.tensor(entry.name));
//
// Tensors of a mapped file are the file's own pages: loading costs nothing, a page is read when it
// is used first, and copied when it is changed first; the file never changes. They keep the mapping
// alive, also when the file has been removed or replaced (by a rename, as `write_tensors` does).
// Whoever overwrites or cuts a mapped file in place, though, changes or takes away what nobody has
// used yet, and using that ends the process (SIGBUS): open such files with `map = false`.
class TensorFile {
 public:
  // Files under a mebibyte are read and not mapped, as are those that cannot be mapped.
  // A FileError where the file cannot be read; an Error of kind `value` where it is no safetensors
  // file, is damaged, or holds a type of number that no tensor has.
  explicit TensorFile(const std::string& path, bool map = true);
  // The same of bytes in memory, which are copied out tensor by tensor and must stay as they are
  // as long as the object lives. `name` stands in messages.
  static TensorFile in_memory(std::span<const char> bytes, const std::string& name);
  ~TensorFile();
  TensorFile(TensorFile&&) noexcept;
  TensorFile& operator=(TensorFile&&) noexcept;

  const std::vector<FileEntry>& entries() const;  // in the order of the header
  const Metadata& metadata() const;
  bool is_mapped() const;

  // One of `entries()`, by its place or by its name; an Error of kind `key` for another one.
  Tensor tensor(std::size_t i) const;
  Tensor tensor(std::string_view name) const;

 private:
  struct Impl;
  explicit TensorFile(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// All of a file's tensors, in the order of its header.
NamedTensors read_tensors(const std::string& path, bool map = true);

// Writes tensors of any layout, and strings beside them. The bytes go to a temporary file in the
// same folder, reach the disk, and take the place of `path` in one step; whatever fails, the old
// file stays as it was and the temporary one is removed. A link is followed, and the rights of a
// file that was there are kept. A FileError where the file cannot be written; an Error of kind
// `value` for names or metadata that occur twice or are not UTF-8.
void write_tensors(const std::string& path, const NamedTensors& tensors,
                   const Metadata& metadata = {});

}  // namespace ranvier
