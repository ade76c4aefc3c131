// libFuzzer on the reader of files: any bytes give tensors, all of whose bytes can be read, or an
// Error. Built with the address and undefined-behaviour sanitizers out of the few sources that
// reading needs; `make fuzz-files` runs it, python/bootstrap/fuzzing.py knows the sources.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "autograd/node.h"
#include "core/parallel.h"
#include "core/recording.h"
#include "files/header.h"
#include "ranvier/io.h"

// What tensors refer to and no tensor of a file has: a graph, and being recorded.
namespace ranvier {
Node::~Node() = default;
AutogradMeta::AutogradMeta() = default;
AutogradMeta::~AutogradMeta() = default;
void AutogradMeta::operator delete(void* p, std::size_t) noexcept { std::free(p); }
IeeeArithmetic::IeeeArithmetic() : before_(0) {}
IeeeArithmetic::~IeeeArithmetic() = default;
bool end_recording(const char*, bool) { return false; }
}  // namespace ranvier

namespace {

using ranvier::TensorFile;

void insist(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "files.cpp: %s\n", what);
  std::abort();
}

uint64_t sum_of_bytes(const ranvier::Tensor& t) {
  const auto* const bytes = static_cast<const unsigned char*>(t.raw());
  uint64_t sum = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(t.numel()) * size_of(t.dtype()); ++i)
    sum += bytes[i];
  return sum;
}

// What was read can be written, and says the same when it is read again.
void check_written(const TensorFile& file, const ranvier::NamedTensors& tensors) {
  const ranvier::files::Layout layout = ranvier::files::lay_out(tensors, file.metadata());
  const auto again = ranvier::files::parse_header(
      std::string_view(layout.head).substr(ranvier::files::kLengthBytes), layout.data_bytes,
      "[load] written");
  insist(again.metadata == file.metadata(), "other metadata once written");
  insist(again.entries.size() == tensors.size(), "other tensors once written");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const ranvier::FileEntry& entry = again.entries[i];
    insist(entry.name == tensors[i].first && entry.dtype == tensors[i].second.dtype() &&
               entry.shape == tensors[i].second.shape(),
           "another tensor once written");
  }
}

void read(const std::vector<char>& bytes) {
  static volatile uint64_t sink;
  try {
    const TensorFile file = TensorFile::in_memory(bytes, "fuzz");
    ranvier::NamedTensors tensors;
    uint64_t total = 0;
    for (const ranvier::FileEntry& entry : file.entries()) {
      tensors.emplace_back(entry.name, file.tensor(entry.name));
      const ranvier::Tensor& t = tensors.back().second;
      insist(t.shape() == entry.shape && t.is_contiguous(), "a tensor of another shape");
      total += static_cast<uint64_t>(t.numel()) * size_of(t.dtype());
      sink = sink + sum_of_bytes(t);
    }
    insist(total <= bytes.size(), "more bytes than there are");
    check_written(file, tensors);
  } catch (const ranvier::Error& error) {
    const std::string_view text = error.what();
    insist(text.starts_with("[load] fuzz: expected ") || text.starts_with("[load] fuzz: tensor "),
           error.what());
    insist(text.size() < 1000, "a message without an end");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // As a file, and as what stands behind the length, which chance seldom gets right.
  read({data, data + size});
  const auto* const text = reinterpret_cast<const char*>(data);
  std::size_t length = size;
  while (length > 0 && text[length - 1] != '}') --length;
  std::vector<char> file(ranvier::files::kLengthBytes);
  for (std::size_t i = 0; i < 4; ++i) file[i] = static_cast<char>(length >> 8 * i & 255);
  file.insert(file.end(), text, text + size);
  read(file);
  return 0;
}
