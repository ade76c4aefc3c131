// How many processors the system lets this process use.
#pragma once

#include <string>

namespace ranvier {

// CPUs that the quotas of the process's control groups allow, such as 1.5; 0 for no limit. The
// smallest one counts, of its own group and of all above it, cgroup v1 or v2. `root` is where the
// files of /proc and /sys are looked for.
double quota_cpus(const std::string& root = "");

// CPUs that the process is bound to.
int affinity_cpus();

// As many threads as that is worth: a quota of 1.5 CPUs keeps two busy for most of the time.
int usable_cpus(int affinity, double quota);

}  // namespace ranvier
