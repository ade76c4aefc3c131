// Bytes go straight from the tensors to the file; one that is not row-major is packed when its turn
// comes, so that there is never more than one copy.
#include "files/writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/recording.h"
#include "ops/loops.h"

namespace ranvier {
namespace files {

namespace {

constexpr std::size_t kPart = std::size_t{8} << 20;

std::size_t bytes_of(const Tensor& t) {
  return static_cast<std::size_t>(t.numel()) * size_of(t.dtype());
}

Layout checked_layout(const NamedTensors& tensors, const Metadata& metadata) {
  forbid_while_recording("save()");
  return lay_out(tensors, metadata);
}

}  // namespace

TensorWriter::TensorWriter(const std::string& path, const NamedTensors& tensors,
                           const Metadata& metadata)
    : tensors_(tensors), layout_(checked_layout(tensors, metadata)), file_(path) {}

bool TensorWriter::write_some() {
  std::size_t room = kPart;
  if (!std::exchange(head_written_, true)) {
    file_.write(layout_.head.data(), layout_.head.size());
    room -= std::min(room, layout_.head.size());
  }
  while (next_ < layout_.order.size() && room > 0) {
    if (!current_.defined()) current_ = packed(tensors_[layout_.order[next_]].second);
    const std::size_t left = bytes_of(current_) - written_, bytes = std::min(left, room);
    file_.write(static_cast<const char*>(current_.raw()) + written_, bytes);
    written_ += bytes;
    room -= bytes;
    if (bytes < left) break;
    current_ = {};
    written_ = 0;
    ++next_;
  }
  return next_ < layout_.order.size();
}

void TensorWriter::finish() { file_.finish(); }

TensorBytes::TensorBytes(const NamedTensors& tensors, const Metadata& metadata)
    : tensors_(tensors), layout_(checked_layout(tensors, metadata)) {}

void TensorBytes::copy_to(char* to) const {
  std::memcpy(to, layout_.head.data(), layout_.head.size());
  to += layout_.head.size();
  for (const std::size_t i : layout_.order) {
    const Tensor t = packed(tensors_[i].second);
    if (bytes_of(t) > 0) std::memcpy(to, t.raw(), bytes_of(t));
    to += bytes_of(t);
  }
}

}  // namespace files

void write_tensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata) {
  files::TensorWriter writer(path, tensors, metadata);
  while (writer.write_some()) {
  }
  writer.finish();
}

}  // namespace ranvier
