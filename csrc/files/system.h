// What files need of the operating system, in one place: POSIX. Every refusal of the system becomes
// a FileError with its errno.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "ranvier/io.h"

namespace ranvier::files {

// A file in memory, copy on write.
class Mapping {
 public:
  Mapping(char* data, std::size_t size) : data_(data), size_(size) {}
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  char* data() const { return data_; }

 private:
  char* data_;
  std::size_t size_;
};

// A regular file, open for reading. Anything else is refused, without waiting for it.
class InputFile {
 public:
  explicit InputFile(const std::string& path, const std::string& where);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  uint64_t size() const { return size_; }
  void read(uint64_t offset, void* to, std::size_t bytes) const;
  // All of it; null where the file cannot be mapped.
  std::shared_ptr<Mapping> map() const;

 private:
  std::string where_;
  int descriptor_;
  uint64_t size_ = 0;
};

// A new file beside `path` that takes its place when it is complete, or disappears.
//
// It is called .NAME.XXXXXXXXXXXX.tmp, and locked as long as somebody writes it: one without a
// lock is what a killed process left, and goes when `path` is written again.
class Replacement {
 public:
  explicit Replacement(const std::string& path);
  ~Replacement();
  Replacement(const Replacement&) = delete;
  Replacement& operator=(const Replacement&) = delete;

  void write(const void* from, std::size_t bytes);
  void finish();  // on the disk, then under its name

 private:
  [[noreturn]] void failed(const char* what) const;
  void resolve(const std::string& path);
  void look_at_target();
  void create();

  std::string where_, folder_, name_, temporary_;
  int descriptor_ = -1;
  int rights_ = -1;  // of the file that was there
};

// What a Replacement calls; tests put what fails in their place.
struct WritingCalls {
  long (*write)(int, const void*, std::size_t);
  int (*sync)(int);
  int (*rename)(const char*, const char*);
};
extern WritingCalls writing_calls;

}  // namespace ranvier::files
