// The header of a safetensors file: JSON that names tensors and where their bytes are. Read with
// suspicion: what comes out fits together and fits the file. Written as every reader expects it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ranvier/io.h"

namespace ranvier::files {

inline constexpr uint64_t kLengthBytes = 8;              // before the header, little-endian
inline constexpr uint64_t kLargestHeader = 100'000'000;  // the limit of the official library

struct Header {
  std::vector<FileEntry> entries;  // in the order of the text
  std::vector<uint32_t> by_name;   // their places, sorted by name
  Metadata metadata;
};

// An Error of kind `value` where the text is no header of a file with so many bytes of data.
// `where` begins its messages: "[load] model.safetensors".
Header parse_header(std::string_view text, uint64_t data_bytes, const std::string& where);

// An Error of kind `value`: "WHERE: expected A, got B; the file is damaged, ...".
[[noreturn]] void damaged(const std::string& where, const std::string& expected,
                          const std::string& got);

// 'name', short enough for a message and without control characters.
std::string shown(std::string_view name);

// How a file is laid out: its first bytes, and the places of the tensors in the order of the data.
struct Layout {
  std::string head;  // length and header
  std::vector<std::size_t> order;
  uint64_t data_bytes = 0;
};
Layout lay_out(const NamedTensors& tensors, const Metadata& metadata);

}  // namespace ranvier::files
