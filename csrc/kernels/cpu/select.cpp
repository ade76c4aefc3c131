// Chooses the kernel table: the widest that this processor has, or what RANVIER_ISA asks for.
#include <atomic>
#include <cstdlib>

#include "kernels/cpu/pairs.h"
#include "kernels/cpu/region.h"
#include "ranvier/config.h"
#include "ranvier/error.h"

namespace ranvier {
namespace {

struct Isa {
  const char* name;
  bool (*present)();
  const KernelTable& (*table)();
};

// Narrowest first.
constexpr Isa kIsas[] = {
    {"base", [] { return true; }, base_table},
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     avx2_table},
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
     },
     avx512_table},
};

const KernelTable& find(const std::string& name) {
  std::string names;
  for (const Isa& isa : kIsas) {
    if (!isa.present()) continue;
    if (name == isa.name) return isa.table();
    names += (names.empty() ? "" : ", ") + std::string(isa.name);
  }
  fail(ErrorKind::value, "[set_isa] expected one of ", names, " on this processor, got '", name,
       "'");
}

std::atomic<const KernelTable*>& current() {
  static std::atomic<const KernelTable*> table = [] {
    const char* wanted = std::getenv("RANVIER_ISA");
    return &find(wanted && *wanted ? wanted : available_isas().back());
  }();
  return table;
}

}  // namespace

const KernelTable& kernel_table() { return *current().load(std::memory_order_acquire); }

bool has_pair_kernels() {
  static const bool present = __builtin_cpu_supports("avx512bf16");
  return present && &kernel_table() == &avx512_table();
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas)
    if (isa.present()) names.emplace_back(isa.name);
  return names;
}

std::string current_isa() { return kernel_table().name; }

void set_isa(const std::string& name) { current() = &find(name); }

}  // namespace ranvier
