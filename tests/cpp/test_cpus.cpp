// Quotas of control groups, read from faked files: v1, v2, nested groups, containers.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/cpus.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

namespace fs = std::filesystem;

constexpr const char* kV2 =
    "22 1 0:21 / /proc rw - proc proc rw\n"
    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
constexpr const char* kV1 =
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "33 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset\n";

// A folder that stands for the root of the file system.
class Cpus : public testing::Test {
 protected:
  void SetUp() override {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() /
            ("ranvier_cpus_" + std::string(test->name()) + std::to_string(getpid()));
    fs::remove_all(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& path, const std::string& text) const {
    const fs::path file = root_.string() + path;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  void process(const std::string& mounts, const std::string& groups) const {
    write("/proc/self/mountinfo", mounts);
    write("/proc/self/cgroup", groups);
  }
  double quota() const { return quota_cpus(root_.string()); }

 private:
  fs::path root_;
};

TEST_F(Cpus, NoFilesNoLimit) { EXPECT_EQ(quota(), 0); }

TEST_F(Cpus, VersionTwo) {
  process(kV2, "0::/\n");
  write("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  EXPECT_EQ(usable_cpus(64, quota()), 2);
  EXPECT_EQ(usable_cpus(1, quota()), 1);
  write("/sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 0);
  EXPECT_EQ(usable_cpus(64, quota()), 64);
}

TEST_F(Cpus, VersionOne) {
  process(kV1, "5:cpuset:/other\n3:cpu,cpuacct:/\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 1.5);
  EXPECT_EQ(usable_cpus(8, quota()), 2);
  write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(quota(), 0);
}

TEST_F(Cpus, TheSmallestOfTheGroupsAboveCounts) {
  process(kV2, "0::/slice/service/part\n");
  write("/sys/fs/cgroup/slice/service/part/cpu.max", "400000 100000\n");
  EXPECT_EQ(quota(), 4);
  write("/sys/fs/cgroup/slice/cpu.max", "30000 20000\n");
  EXPECT_EQ(quota(), 1.5);
  write("/sys/fs/cgroup/slice/service/cpu.max", "max 100000\n");
  EXPECT_EQ(quota(), 1.5);
  write("/sys/fs/cgroup/elsewhere/cpu.max", "1000 100000\n");
  EXPECT_EQ(quota(), 1.5);
  write("/sys/fs/cgroup/slice/service/cpu.max", "50000 100000\n");
  EXPECT_EQ(quota(), 0.5);
  EXPECT_EQ(usable_cpus(8, quota()), 1);
}

// Without a namespace of its own a container sees the names of the host and its own files.
TEST_F(Cpus, GroupsOfAContainer) {
  process("41 40 0:29 /docker/4f2a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
          "3:cpu:/docker/4f2a/inner\n");
  write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n");
  write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 2.5);
  EXPECT_EQ(usable_cpus(16, quota()), 3);
  write("/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "120000\n");
  write("/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 1.2);
  // A group that is not below what is mounted, as with docker exec.
  process("41 40 0:29 /docker/4f2a /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
          "3:cpu:/../sibling\n");
  EXPECT_EQ(quota(), 2.5);
}

// Version 2 beside version 1, each with controllers of its own.
TEST_F(Cpus, BothVersions) {
  process(std::string(kV1) + kV2, "3:cpu,cpuacct:/a\n0::/b\n");
  write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
  write("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(quota(), 3);
  write("/sys/fs/cgroup/b/cpu.max", "200000 100000\n");
  EXPECT_EQ(quota(), 2);
}

TEST_F(Cpus, NonsenseIsNoLimit) {
  process("broken\n- \n\n" + std::string(kV2), "::\nx\n0::/\n");
  for (const char* text : {"", "max", "abc def", "0 0", "-5 100", "100000 0"}) {
    write("/sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(quota(), 0) << text;
  }
}

TEST(Affinity, AtLeastOne) { EXPECT_GE(affinity_cpus(), 1); }

}  // namespace
}  // namespace ranvier
