// The one exception of the library. It is thrown, never printed; the library does not abort or
// exit. Every message has the form "[op] expected ..., got ...; what to do".
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace ranvier {

// What a binding turns the error into; see csrc/bindings/module.cpp for Python's classes.
enum class ErrorKind { type, index, key, value, shape, runtime, memory };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

// Throws an Error whose message is the parts written one after another.
template <class... Parts>
[[noreturn]] void fail(ErrorKind kind, const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(kind, text.str());
}

}  // namespace ranvier
