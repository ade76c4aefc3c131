// What a header may say, and what ours say; see header.h.
#include "files/header.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <optional>

#include "files/json.h"

namespace ranvier::files {

namespace {

struct Name {
  std::string_view text;
  DType dtype;
};
constexpr std::array<Name, kDTypes> kNames = {{{"F64", DType::float64},
                                               {"F32", DType::float32},
                                               {"F16", DType::float16},
                                               {"BF16", DType::bfloat16},
                                               {"I64", DType::int64},
                                               {"I32", DType::int32},
                                               {"I16", DType::int16},
                                               {"I8", DType::int8},
                                               {"U64", DType::uint64},
                                               {"U32", DType::uint32},
                                               {"U16", DType::uint16},
                                               {"U8", DType::uint8},
                                               {"BOOL", DType::bool_}}};
// Of the format, but of no tensor here.
constexpr std::array<std::string_view, 9> kNotHeld = {"C64",         "F8_E4M3",     "F8_E5M2",
                                                      "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0",
                                                      "F4",          "F6_E2M3",     "F6_E3M2"};

constexpr std::size_t kShown = 60;  // bytes of a name or a value in a message

// Text of a file as it may stand in a message.
std::string printable(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  for (const char c : cut_utf8(text, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      result += "\\x";
      result.push_back(kHex[byte >> 4]);
      result.push_back(kHex[byte & 15]);
    } else {
      result.push_back(c);
    }
  }
  return text.size() > kShown ? result + "..." : result;
}

std::string_view name_in_files(DType dtype) {
  return std::find_if(kNames.begin(), kNames.end(), [&](const Name& n) { return n.dtype == dtype; })
      ->text;
}

// Up to `room` whole numbers of a list; nothing for what is none, or is longer.
std::optional<Dims> sizes_of(std::string_view text, int room) {
  JsonReader json(text);
  Dims sizes;
  if (!json.take('[')) return {};
  if (json.take(']')) return sizes;
  do {
    const std::optional<int64_t> value = json.whole();
    if (!value || sizes.size() == room) return {};
    sizes.push_back(*value);
  } while (json.take(','));
  if (!json.take(']')) return {};
  return sizes;
}

// Nothing where the sizes, zeros aside, are more than a tensor can have.
std::optional<uint64_t> bytes_of(const Dims& shape, DType dtype) {
  int64_t elements = 1;
  bool empty = false;
  for (const int64_t size : shape) {
    empty |= size == 0;
    if (__builtin_mul_overflow(elements, std::max<int64_t>(size, 1), &elements)) return {};
  }
  if (elements > std::numeric_limits<int64_t>::max() / 16) return {};  // as count() has it
  return empty ? 0 : static_cast<uint64_t>(elements) * size_of(dtype);
}

// Goes through the text once. What is wrong with a tensor waits until all of the text has proved
// to be JSON with every name once: a broken header is then called that.
class Parser {
 public:
  Parser(std::string_view text, const std::string& where) : json_(text), where_(where) {}

  Header parse() {
    json_.expect('{');
    if (!json_.take('}')) {
      do {
        const std::string name = json_.string();
        json_.expect(':');
        if (name == "__metadata__")
          metadata();
        else
          entry(name);
      } while (json_.take(','));
      json_.expect('}');
    }
    json_.expect_end();
    check_names();
    if (!problem_.empty()) throw Error(ErrorKind::value, problem_);
    for (std::size_t i = 0; i < names_.size(); ++i) header_.entries[i].name = std::move(names_[i]);
    return std::move(header_);
  }

 private:
  struct Fields {
    std::string_view dtype, shape, offsets;
  };

  // The first thing that is wrong, to be raised in the end.
  void note(const std::string& expected, const std::string& got) {
    if (!problem_.empty()) return;
    try {
      damaged(where_, expected, got);
    } catch (const Error& error) {
      problem_ = error.what();
    }
  }

  [[noreturn]] void twice(std::string_view name) {
    damaged(where_, "every name once", shown(name) + " twice");
  }

  void metadata() {
    if (seen_metadata_) twice("__metadata__");
    seen_metadata_ = true;
    const auto wrong = [&] { note("__metadata__ with strings", printable(json_.skip())); };
    if (json_.peek() != '{') return wrong();
    json_.expect('{');
    if (json_.take('}')) return;
    do {
      std::string name = json_.string();
      json_.expect(':');
      if (json_.peek() == '"')
        header_.metadata.emplace_back(std::move(name), json_.string());
      else
        wrong();
    } while (json_.take(','));
    json_.expect('}');
  }

  void entry(const std::string& name) {
    const std::string where = "tensor " + shown(name);
    names_.push_back(name);
    std::optional<Fields> fields;
    if (json_.peek() == '{')
      fields = fields_of(where);
    else
      note(where + " with dtype, shape and data_offsets", printable(json_.skip()));
    FileEntry found;
    if (!fields || !problem_.empty() || !understood(where, *fields, found)) return;
    header_.entries.push_back(std::move(found));
  }

  // The three fields of a tensor, each as it stands there.
  std::optional<Fields> fields_of(const std::string& where) {
    Fields fields;
    bool more = false;
    std::string keys;
    json_.expect('{');
    if (!json_.take('}')) {
      do {
        const std::string key = json_.string();
        json_.expect(':');
        const std::string_view value = json_.skip();
        std::string_view* const field = key == "dtype"          ? &fields.dtype
                                        : key == "shape"        ? &fields.shape
                                        : key == "data_offsets" ? &fields.offsets
                                                                : nullptr;
        if (field && !field->empty()) twice(key);
        if (field) *field = value;
        more |= !field;
        if (keys.size() < kShown) keys += (keys.empty() ? "" : ", ") + key;
      } while (json_.take(','));
      json_.expect('}');
    }
    if (!more && !fields.dtype.empty() && !fields.shape.empty() && !fields.offsets.empty())
      return fields;
    note(where + " with dtype, shape and data_offsets", keys.empty() ? "none" : printable(keys));
    return {};
  }

  bool understood(const std::string& where, const Fields& fields, FileEntry& entry) {
    if (!dtype_of(where, fields.dtype, entry)) return false;
    const std::optional<Dims> shape = sizes_of(fields.shape, Dims::kMax);
    if (!shape) {
      note(where + " with at most 8 sizes from 0 to 2^63 - 1", printable(fields.shape));
      return false;
    }
    const std::optional<Dims> offsets = sizes_of(fields.offsets, 2);
    if (!offsets || offsets->size() != 2 || (*offsets)[0] > (*offsets)[1]) {
      note(where + " with two offsets, the first not larger", printable(fields.offsets));
      return false;
    }
    entry.shape = *shape;
    entry.begin = static_cast<uint64_t>((*offsets)[0]);
    entry.end = static_cast<uint64_t>((*offsets)[1]);
    const std::optional<uint64_t> needed = bytes_of(*shape, entry.dtype);
    if (!needed) {
      note(where + " with a shape that fits into memory", to_string(*shape));
      return false;
    }
    if (*needed != entry.end - entry.begin) {
      note(std::to_string(*needed) + " bytes for " + where + ", " +
               std::string(name_in_files(entry.dtype)) + " " + to_string(*shape),
           "offsets " + std::to_string(entry.begin) + " to " + std::to_string(entry.end));
      return false;
    }
    return true;
  }

  bool dtype_of(const std::string& where, std::string_view field, FileEntry& entry) {
    const std::string given = field.starts_with('"') ? JsonReader(field).string() : "";
    const auto held = std::find_if(kNames.begin(), kNames.end(),
                                   [&](const Name& name) { return name.text == given; });
    if (held != kNames.end()) {
      entry.dtype = held->dtype;
      return true;
    }
    if (std::find(kNotHeld.begin(), kNotHeld.end(), given) == kNotHeld.end()) {
      note(where + " with a dtype such as F32", printable(field));
      return false;
    }
    std::string all;
    for (const Name& name : kNames) all += (all.empty() ? "" : ", ") + std::string(name.text);
    problem_ =
        where_ + ": " + where + ": expected one of " + all + ", got " + given +
        ", which Ranvier has no tensors for; convert the file with the program that wrote it";
    return false;
  }

  // By sorting: no names can be chosen to make this slow.
  void check_names() {
    std::vector<uint32_t> order = sorted(names_.size(), [&](uint32_t i) { return names_[i]; });
    check_once(order, [&](uint32_t i) { return names_[i]; });
    header_.by_name = std::move(order);
    const auto key = [&](uint32_t i) { return std::string_view(header_.metadata[i].first); };
    check_once(sorted(header_.metadata.size(), key), key);
  }

  template <class NameOf>
  static std::vector<uint32_t> sorted(std::size_t count, const NameOf& name_of) {
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return name_of(a) < name_of(b); });
    return order;
  }

  template <class NameOf>
  void check_once(const std::vector<uint32_t>& order, const NameOf& name_of) {
    for (std::size_t i = 1; i < order.size(); ++i)
      if (name_of(order[i - 1]) == name_of(order[i])) twice(name_of(order[i]));
  }

  JsonReader json_;
  const std::string& where_;
  Header header_;
  std::vector<std::string> names_;  // of the tensors, whatever else is wrong with them
  bool seen_metadata_ = false;
  std::string problem_;
};

// The tensors follow each other without gap or overlap, from the first byte to the last.
void check_places(const std::vector<FileEntry>& entries, uint64_t available,
                  const std::string& where) {
  std::vector<const FileEntry*> order;
  order.reserve(entries.size());
  for (const FileEntry& entry : entries) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const FileEntry* a, const FileEntry* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t position = 0;
  for (const FileEntry* const entry : order) {
    if (entry->begin != position)
      damaged(where,
              "tensor " + shown(entry->name) + " to begin at byte " + std::to_string(position) +
                  " of the data",
              std::string(entry->begin < position ? "an overlap" : "a gap") + ": byte " +
                  std::to_string(entry->begin));
    position = entry->end;
  }
  if (position != available)
    damaged(where, std::to_string(position) + " bytes of data", std::to_string(available));
}

}  // namespace

void damaged(const std::string& where, const std::string& expected, const std::string& got) {
  fail(ErrorKind::value, where, ": expected ", expected, ", got ", got,
       "; the file is damaged, cut short or not safetensors");
}

std::string shown(std::string_view name) { return "'" + printable(name) + "'"; }

Header parse_header(std::string_view text, uint64_t data_bytes, const std::string& where) {
  if (!text.starts_with('{'))
    damaged(where, "a header that begins with '{'",
            text.empty() ? "none" : "byte " + std::to_string(static_cast<unsigned char>(text[0])));
  const std::size_t valid = valid_utf8(text);
  if (valid != text.size())
    damaged(where, "a header in JSON", "bytes that are not UTF-8 at " + std::to_string(valid));
  try {
    Header header = Parser(text, where).parse();
    check_places(header.entries, data_bytes, where);
    return header;
  } catch (const JsonError& error) {
    damaged(where, "a header in JSON", error.what);
  }
}

namespace {

void check_text(const char* what, std::string_view text) {
  if (valid_utf8(text) != text.size())
    fail(ErrorKind::value, "[save] ", what, ": expected text in UTF-8, got other bytes in one of ",
         text.size(), " bytes");
}

void append_entry(std::string& to, const Tensor& t, uint64_t begin, uint64_t end) {
  to += R"({"dtype":")";
  to += name_in_files(t.dtype());
  to += R"(","shape":[)";
  for (int i = 0; i < t.dim(); ++i) to += (i ? "," : "") + std::to_string(t.shape()[i]);
  to += R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

void check_named_once(std::vector<std::string_view> names, const char* what) {
  std::sort(names.begin(), names.end());
  const auto same = std::adjacent_find(names.begin(), names.end());
  if (same != names.end())
    fail(ErrorKind::value, "[save] ", what, ": expected every name once, got ", shown(*same),
         " twice");
}

}  // namespace

Layout lay_out(const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<std::string_view> names;
  for (const auto& [name, tensor] : tensors) {
    check_text("name", name);
    if (name == "__metadata__" || !tensor.defined())
      fail(ErrorKind::value, "[save] name: expected a tensor with a name other than ",
           "'__metadata__', got ", shown(name), tensor.defined() ? "" : " without a tensor");
    names.push_back(name);
  }
  check_named_once(std::move(names), "name");

  Layout layout;
  layout.order.resize(tensors.size());
  std::iota(layout.order.begin(), layout.order.end(), std::size_t{0});
  // Wide types first, so that each tensor is aligned.
  std::stable_sort(layout.order.begin(), layout.order.end(), [&](std::size_t a, std::size_t b) {
    return size_of(tensors[a].second.dtype()) > size_of(tensors[b].second.dtype());
  });
  std::vector<uint64_t> begins(tensors.size());
  const auto bytes = [&](std::size_t i) {
    const Tensor& t = tensors[i].second;
    return static_cast<uint64_t>(t.numel()) * size_of(t.dtype());
  };
  for (const std::size_t i : layout.order) {
    begins[i] = layout.data_bytes;
    layout.data_bytes += bytes(i);
  }

  std::string header = R"({"__metadata__":{)";
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : metadata) {
    check_text("metadata", key);
    check_text("metadata", value);
    if (!keys.empty()) header += ",";
    append_quoted(header, key);
    header += ":";
    append_quoted(header, value);
    keys.push_back(key);
  }
  check_named_once(std::move(keys), "metadata");
  header += "}";
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    header += ",";
    append_quoted(header, tensors[i].first);
    header += ":";
    append_entry(header, tensors[i].second, begins[i], begins[i] + bytes(i));
  }
  header += "}";
  header.append((kLengthBytes - header.size() % kLengthBytes) % kLengthBytes, ' ');
  if (header.size() > kLargestHeader)
    fail(ErrorKind::value, "[save] names and metadata: expected at most ", kLargestHeader,
         " bytes together, got ", header.size(), "; put large things into tensors");
  for (uint64_t i = 0, n = header.size(); i < kLengthBytes; ++i, n >>= 8)
    layout.head.push_back(static_cast<char>(n & 255));
  layout.head += header;
  return layout;
}

}  // namespace ranvier::files
