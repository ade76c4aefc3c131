// The version; the other settings live beside what they set.
#include "ranvier/config.h"

namespace ranvier {

const char* version() { return RANVIER_VERSION; }

}  // namespace ranvier
