// Reads JSON text where it stands, one piece after the other: builds no tree, and nests no deeper
// than a file's header has to. A JsonError names the first byte that is not JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ranvier::files {

struct JsonError {
  std::string what;
};

// Where the first byte stands that is not UTF-8 (RFC 3629: no surrogates, nothing longer than it
// has to be); the size of the text where all of it is.
std::size_t valid_utf8(std::string_view text);

// The longest beginning of at most `bytes` bytes that cuts no character.
std::string_view cut_utf8(std::string_view text, std::size_t bytes);

// The text as a string in JSON, as Python's json.dumps(ensure_ascii=False) writes it.
void append_quoted(std::string& to, std::string_view text);

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}

  // The next byte that is no blank; 0 at the end of the text.
  char peek();
  // Goes on behind `c` if that comes next.
  bool take(char c);
  void expect(char c);
  void expect_end();
  // A string, its escapes resolved.
  std::string string();
  // The digits of a whole number of 0 or more; nothing for any other value, also one that does not
  // fit, and then the reader has not moved.
  std::optional<int64_t> whole();
  // Goes over a value of any kind; its text.
  std::string_view skip();

 private:
  [[noreturn]] void wrong(const char* what) const;
  void skip_number();
  void skip_scalar();
  uint32_t four_digits();
  uint32_t escaped_code_point();

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace ranvier::files
