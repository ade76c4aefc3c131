// Files of tensors that are read: opened, checked, and handed out as tensors, without a copy where
// the file is mapped.
#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "files/header.h"
#include "files/system.h"
#include "ranvier/io.h"

namespace ranvier {

using files::damaged;
using files::kLargestHeader;
using files::kLengthBytes;

static_assert(std::endian::native == std::endian::little, "files hold little-endian numbers");

namespace {

constexpr uint64_t kWorthMapping = uint64_t{1} << 20;

void give_mapping_back(void* owner) { delete static_cast<std::shared_ptr<files::Mapping>*>(owner); }

// f(), with an Error of ours for memory that there is not.
template <class F>
auto with_memory(const std::string& where, F f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::memory, where, ": expected memory for what the file holds, got none");
  }
}

}  // namespace

struct TensorFile::Impl {
  std::string where;
  files::Header header;
  uint64_t data_begin = 0;
  // Where the bytes are: in one of these.
  std::unique_ptr<files::InputFile> file;
  std::shared_ptr<files::Mapping> mapping;
  std::span<const char> memory;

  void read(uint64_t offset, void* to, std::size_t bytes) const {
    if (bytes == 0) return;
    if (file)
      file->read(offset, to, bytes);
    else
      std::memcpy(to, memory.data() + offset, bytes);
  }

  void read_header(uint64_t size) {
    if (size < kLengthBytes) damaged(where, "at least 8 bytes", std::to_string(size));
    unsigned char raw[kLengthBytes];
    read(0, raw, kLengthBytes);
    uint64_t length = 0;
    for (uint64_t i = kLengthBytes; i-- > 0;) length = length << 8 | raw[i];
    if (length > kLargestHeader)
      damaged(where, "a header of at most " + std::to_string(kLargestHeader) + " bytes",
              std::to_string(length));
    if (length > size - kLengthBytes)
      damaged(where, "a header of " + std::to_string(length) + " bytes",
              std::to_string(size - kLengthBytes) + " bytes after the length");
    // The first byte alone first: most files of others end here, before memory is asked for.
    std::string text(std::min<uint64_t>(length, 1), '\0');
    read(kLengthBytes, text.data(), text.size());
    if (text == "{") {
      text.resize(length);
      read(kLengthBytes, text.data(), text.size());
    }
    header = files::parse_header(text, size - kLengthBytes - length, where);
    data_begin = kLengthBytes + length;
  }

  // In the mapping, where the numbers are aligned there; undefined otherwise.
  Tensor mapped(const FileEntry& entry) const {
    char* const data = mapping->data() + data_begin + entry.begin;
    if (reinterpret_cast<uintptr_t>(data) % size_of(entry.dtype) != 0) return {};
    auto owner = std::make_unique<std::shared_ptr<files::Mapping>>(mapping);
    Tensor t = Tensor::wrap(data, entry.shape, contiguous_strides(entry.shape), entry.dtype,
                            give_mapping_back, owner.get());
    (void)owner.release();
    return t;
  }

  Tensor copied(const FileEntry& entry) const {
    Tensor t = Tensor::empty(entry.shape, entry.dtype);
    t.impl()->storage->unrecorded = 0;  // a value, whatever is being recorded
    const auto bytes = static_cast<std::size_t>(entry.end - entry.begin);
    if (mapping && bytes > 0)
      std::memcpy(t.raw(), mapping->data() + data_begin + entry.begin, bytes);
    else
      read(data_begin + entry.begin, t.raw(), bytes);
    return t;
  }

  // A byte that is neither 0 nor 1 is no bool in C++.
  void check_bools(const Tensor& t, const FileEntry& entry) const {
    unsigned char all = 0;
    const auto* const bytes = static_cast<const unsigned char*>(t.raw());
    for (int64_t i = 0; i < t.numel(); ++i) all |= bytes[i];
    if (all < 2) return;
    const auto* const odd =
        std::find_if(bytes, bytes + t.numel(), [](unsigned char byte) { return byte > 1; });
    damaged(where, "0 or 1 in tensor " + files::shown(entry.name), std::to_string(*odd));
  }
};

TensorFile::TensorFile(const std::string& path, bool map) : impl_(new Impl) {
  impl_->where = "[load] " + path;
  with_memory(impl_->where, [&] {
    impl_->file = std::make_unique<files::InputFile>(path, impl_->where);
    const uint64_t size = impl_->file->size();
    impl_->read_header(size);
    if (map && size >= kWorthMapping) impl_->mapping = impl_->file->map();
    if (impl_->mapping) impl_->file.reset();
  });
}

TensorFile TensorFile::in_memory(std::span<const char> bytes, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->where = "[load] " + name;
  impl->memory = bytes;
  with_memory(impl->where, [&] { impl->read_header(bytes.size()); });
  return TensorFile(std::move(impl));
}

TensorFile::TensorFile(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TensorFile::~TensorFile() = default;
TensorFile::TensorFile(TensorFile&&) noexcept = default;
TensorFile& TensorFile::operator=(TensorFile&&) noexcept = default;

const std::vector<FileEntry>& TensorFile::entries() const { return impl_->header.entries; }
const Metadata& TensorFile::metadata() const { return impl_->header.metadata; }
bool TensorFile::is_mapped() const { return impl_->mapping != nullptr; }

Tensor TensorFile::tensor(std::size_t i) const {
  if (i >= entries().size())
    fail(ErrorKind::key, impl_->where, ": expected a tensor from 0 to ", entries().size(),
         " (excluded), got ", i);
  const FileEntry& entry = entries()[i];
  Tensor t;
  if (impl_->mapping && entry.begin != entry.end) t = impl_->mapped(entry);
  if (!t.defined()) t = impl_->copied(entry);
  if (entry.dtype == DType::bool_) impl_->check_bools(t, entry);
  return t;
}

Tensor TensorFile::tensor(std::string_view name) const {
  const std::vector<uint32_t>& order = impl_->header.by_name;
  const auto at = std::lower_bound(
      order.begin(), order.end(), name,
      [&](uint32_t i, std::string_view wanted) { return entries()[i].name < wanted; });
  if (at == order.end() || entries()[*at].name != name)
    fail(ErrorKind::key, impl_->where, ": expected a name in the file, got ", files::shown(name));
  return tensor(*at);
}

NamedTensors read_tensors(const std::string& path, bool map) {
  const TensorFile file(path, map);
  NamedTensors tensors;
  tensors.reserve(file.entries().size());
  for (std::size_t i = 0; i < file.entries().size(); ++i)
    tensors.emplace_back(file.entries()[i].name, file.tensor(i));
  return tensors;
}

}  // namespace ranvier
