// Results that do not fit into the last cache beside what they are made of: whoever reads them next
// has to fetch them from memory anyway. They are made in small pieces that are written around the
// caches, which are then spared reading what is overwritten.
#pragma once

#include <cstddef>

namespace ranvier {

bool streams(std::size_t bytes);  // whether a result of that size is such a one
void stream(void* to, const void* from, std::size_t bytes);
void end_stream();  // by the thread that has streamed, before others read

}  // namespace ranvier
