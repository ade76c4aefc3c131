// The limits of this machine, measured in this process: multiply-adds, and bytes from and to
// memory of any size, for an instruction set and a number of threads. Every figure is measured when
// it is first asked for and then kept; it is the best of several rounds, because a limit is what
// the machine can do, not what it does beside others.
#pragma once

#include <compare>
#include <string>
#include <vector>

namespace bench {

enum class Number { f32, f64, bf16 };
const char* name_of(Number number);

struct Setting {
  std::string isa;
  int threads = 1;
  auto operator<=>(const Setting&) const = default;
};

// What is done to memory: read, written, copied from one half to the other, changed in place.
enum class Flow { read, write, copy, update };

// Floating-point operations a second, a multiply-add counted as two; 0 where the instruction set
// has none for such numbers.
double peak_flops(const Setting& setting, Number number);

// Bytes a second, what is read and what is written added up, in `footprint` bytes of memory that
// the threads share.
double bandwidth(const Setting& setting, Flow flow, double footprint);

// Footprints that stay in a cache, or that do not stay in any.
struct Level {
  std::string name;
  double footprint;
};
std::vector<Level> levels(int threads);

double seconds_now();

}  // namespace bench
