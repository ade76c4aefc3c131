// JSON as RFC 8259 has it; see json.h.
#include "files/json.h"

namespace ranvier::files {

namespace {

constexpr int kDeepest = 32;
constexpr std::size_t kLongestNumber = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Bytes of the character that begins with `lead`; 0 where none does.
int length_of(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

// What the second byte must lie in, by the first.
bool second_fits(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xe0:
      return second >= 0xa0 && second <= 0xbf;
    case 0xed:
      return second >= 0x80 && second <= 0x9f;
    case 0xf0:
      return second >= 0x90 && second <= 0xbf;
    case 0xf4:
      return second >= 0x80 && second <= 0x8f;
    default:
      return second >= 0x80 && second <= 0xbf;
  }
}

void append_code_point(std::string& to, uint32_t c) {
  const auto put = [&](uint32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    put(0xe0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3f));
  } else {
    put(0xf0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3f));
    put(0x80 | (c >> 6 & 0x3f));
  }
  put(0x80 | (c & 0x3f));
}

}  // namespace

std::size_t valid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const auto byte = [&](std::size_t j) { return static_cast<unsigned char>(text[j]); };
    const int n = length_of(byte(i));
    if (n == 0 || text.size() - i < static_cast<std::size_t>(n)) return i;
    if (n > 1 && !second_fits(byte(i), byte(i + 1))) return i;
    for (int k = 2; k < n; ++k)
      if (byte(i + static_cast<std::size_t>(k)) >> 6 != 2) return i;
    i += static_cast<std::size_t>(n);
  }
  return i;
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && static_cast<unsigned char>(text[bytes]) >> 6 == 2) --bytes;
  return text.substr(0, bytes);
}

void append_quoted(std::string& to, std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  constexpr std::string_view kShort = "\"\\\n\r\t\f\b", kLetters = "\"\\nrtfb";
  to.push_back('"');
  for (const char c : text) {
    const std::size_t at = kShort.find(c);
    if (at != kShort.npos) {
      to.push_back('\\');
      to.push_back(kLetters[at]);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      to += "\\u00";
      to.push_back(kHex[c >> 4]);
      to.push_back(kHex[c & 15]);
    } else {
      to.push_back(c);
    }
  }
  to.push_back('"');
}

void JsonReader::wrong(const char* what) const {
  throw JsonError{std::string(what) + " at byte " + std::to_string(at_)};
}

char JsonReader::peek() {
  while (at_ < text_.size() &&
         (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
    ++at_;
  return at_ < text_.size() ? text_[at_] : '\0';
}

bool JsonReader::take(char c) {
  if (c == '\0' || peek() != c) return false;
  ++at_;
  return true;
}

void JsonReader::expect(char c) {
  if (take(c)) return;
  const char what[] = {'n', 'o', ' ', '\'', c, '\'', '\0'};
  wrong(what);
}

void JsonReader::expect_end() {
  peek();
  if (at_ != text_.size()) wrong("more than one value");
}

uint32_t JsonReader::four_digits() {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!is_digit(c) && !letter) wrong("no hexadecimal digit");
    value = value << 4 | static_cast<uint32_t>(is_digit(c) ? c - '0' : (c & 15) + 9);
  }
  return value;
}

// Behind "\u"; two of them make one character beyond the first 65,536.
uint32_t JsonReader::escaped_code_point() {
  const uint32_t first = four_digits();
  if (first < 0xd800 || first > 0xdfff) return first;
  if (first > 0xdbff || text_.substr(at_, 2) != "\\u") wrong("half a surrogate pair");
  at_ += 2;
  const uint32_t second = four_digits();
  if (second < 0xdc00 || second > 0xdfff) wrong("half a surrogate pair");
  return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
}

std::string JsonReader::string() {
  expect('"');
  std::string value;
  for (;;) {
    std::size_t end = at_;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\\' &&
           static_cast<unsigned char>(text_[end]) >= 0x20)
      ++end;
    value.append(text_.substr(at_, end - at_));
    at_ = end;
    if (at_ == text_.size()) wrong("a string without an end");
    const char c = text_[at_++];
    if (c == '"') return value;
    if (c != '\\') {
      --at_;
      wrong("a control character in a string");
    }
    const char escape = at_ < text_.size() ? text_[at_++] : '\0';
    constexpr std::string_view kLetters = "\"\\/nrtfb", kBytes = "\"\\/\n\r\t\f\b";
    const std::size_t which = escape ? kLetters.find(escape) : kLetters.npos;
    if (which != kLetters.npos)
      value.push_back(kBytes[which]);
    else if (escape == 'u')
      append_code_point(value, escaped_code_point());
    else
      wrong("an unknown escape");
  }
}

std::optional<int64_t> JsonReader::whole() {
  if (!is_digit(peek())) return {};
  const std::size_t start = at_;
  const std::string_view number = skip();
  int64_t value = 0;
  for (const char c : number) {
    if (!is_digit(c) || __builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, c - '0', &value)) {
      at_ = start;
      return {};
    }
  }
  return value;
}

void JsonReader::skip_number() {
  const std::size_t start = at_;
  const auto digits = [&] {
    const std::size_t first = at_;
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
    if (at_ == first) wrong("no digit");
    return at_ - first;
  };
  const auto next = [&](std::string_view any) {
    return at_ < text_.size() && any.find(text_[at_]) != any.npos && ++at_;
  };
  next("-");
  const std::size_t first = at_;
  if (digits() > 1 && text_[first] == '0') wrong("a number that begins with 0");
  if (next(".")) digits();
  if (next("eE")) {
    next("+-");
    digits();
  }
  if (at_ - start > kLongestNumber) wrong("a number of more than 100 characters");
}

void JsonReader::skip_scalar() {
  const char c = peek();
  if (c == '"') {
    (void)string();
    return;
  }
  if (c == '-' || is_digit(c)) return skip_number();
  for (const std::string_view word : {"true", "false", "null"})
    if (text_.substr(at_, word.size()) == word) {
      at_ += word.size();
      return;
    }
  wrong(at_ == text_.size() ? "the end of the text" : "no value");
}

std::string_view JsonReader::skip() {
  peek();
  const std::size_t start = at_;
  bool is_object[kDeepest];
  int depth = 0;
  do {
    // A value, or the bracket that opens one.
    const char c = peek();
    if (c == '{' || c == '[') {
      if (depth == kDeepest) wrong("more than 32 brackets inside each other");
      ++at_;
      is_object[depth++] = c == '{';
      if (!take(c == '{' ? '}' : ']')) {
        if (c == '{') {
          (void)string();
          expect(':');
        }
        continue;
      }
      --depth;
    } else {
      skip_scalar();
    }
    // What follows it: brackets that close, or a comma and the next value.
    while (depth > 0 && take(is_object[depth - 1] ? '}' : ']')) --depth;
    if (depth == 0) break;
    expect(',');
    if (is_object[depth - 1]) {
      (void)string();
      expect(':');
    }
  } while (true);
  return text_.substr(start, at_ - start);
}

}  // namespace ranvier::files
