// Affinity and control groups; see cpus.h.
#include "core/cpus.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace ranvier {
namespace {

// Where a hierarchy of control groups is mounted, and which group of it is seen there.
struct Mount {
  std::string point, group;
  bool v2 = false;
};

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

bool lists(const std::string& names, const std::string& name) {
  const auto all = split(names, ',');
  return std::find(all.begin(), all.end(), name) != all.end();
}

// The mounts that know of processor time. A line: number, parent, device, group, place, options,
// optional fields, "-", type, source, options of the type.
std::vector<Mount> mounts(const std::string& root) {
  std::vector<Mount> found;
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const auto left = split(line.substr(0, dash), ' '), right = split(line.substr(dash + 3), ' ');
    if (left.size() < 5 || right.size() < 3) continue;
    const bool v2 = right[0] == "cgroup2";
    if (v2 || (right[0] == "cgroup" && lists(right[2], "cpu")))
      found.push_back({left[4], left[3] == "/" ? "" : left[3], v2});
  }
  return found;
}

// The group of this process in the hierarchy: lines "number:controllers:group", v2 without both.
std::string own_group(const std::string& root, bool v2) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (v2 ? controllers.empty() : lists(controllers, "cpu")) return line.substr(second + 1);
  }
  return "/";
}

double quota_at(const std::string& folder, bool v2) {
  std::ifstream both(folder + "/cpu.max"), us(folder + "/cpu.cfs_quota_us"),
      every(folder + "/cpu.cfs_period_us");
  double quota = 0, period = 0;  // "max" is no number, and -1 no quota
  if (v2 ? !(both >> quota >> period) : !(us >> quota && every >> period)) return 0;
  return quota > 0 && period > 0 ? quota / period : 0;
}

}  // namespace

double quota_cpus(const std::string& root) {
  double least = 0;
  for (const Mount& mount : mounts(root)) {
    std::string group = own_group(root, mount.v2);
    // A container sees its own group as the top, under a name that is not there.
    const bool below = group.compare(0, mount.group.size(), mount.group) == 0;
    group = below ? group.substr(mount.group.size()) : "";
    for (;;) {
      if (const double quota = quota_at(root + mount.point + group, mount.v2); quota > 0)
        least = least > 0 ? std::min(least, quota) : quota;
      if (group.empty()) break;
      const size_t slash = group.rfind('/');
      group.resize(slash == std::string::npos ? 0 : slash);
    }
  }
  return least;
}

int affinity_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

int usable_cpus(int affinity, double quota) {
  const double cpus = quota > 0 ? std::min<double>(affinity, std::ceil(quota)) : affinity;
  return std::max(1, static_cast<int>(cpus));
}

}  // namespace ranvier
