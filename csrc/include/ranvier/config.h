// What this machine and this build offer, and the few settings that a process has.
// Environment: RANVIER_ISA=base|avx2|avx512, RANVIER_NUM_THREADS=n, RANVIER_GRAIN=n.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ranvier {

const char* version();

// Instruction sets that were compiled in and that this processor has, widest last.
std::vector<std::string> available_isas();
std::string current_isa();
void set_isa(const std::string& name);  // an Error for a name that is not available

int num_threads();
void set_num_threads(int n);  // at least 1
std::string thread_team();    // what the threads come from: "openmp" or "pool", chosen at build

// Elements in the smallest piece of parallel work; 0 lets every kernel choose. Never changes a
// result: tests set 1 to cut even small work into many chunks.
void set_grain(int64_t n);

}  // namespace ranvier
