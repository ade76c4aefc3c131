// Opening, mapping and replacing files under POSIX; see system.h.
#include "files/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <string_view>
#include <system_error>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include "files/header.h"
#include "files/json.h"

namespace ranvier::files {

namespace {

constexpr std::size_t kMostAtOnce = std::size_t{1} << 30;  // Linux moves no more in one call

std::string reason(int code) { return std::generic_category().message(code); }

[[noreturn]] void refuse(int code, const std::string& where, const std::string& expected,
                         const std::string& got) {
  throw FileError(code, where + ": expected " + expected + ", got " + got);
}

// Closes a descriptor at the end of a scope.
struct Closing {
  int descriptor;
  ~Closing() { ::close(descriptor); }
};

template <class F>
auto again_if_interrupted(F call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

}  // namespace

WritingCalls writing_calls = {[](int descriptor, const void* from, std::size_t bytes) -> long {
                                return ::write(descriptor, from, bytes);
                              },
                              ::fsync, ::rename};

// ---- reading

Mapping::~Mapping() { ::munmap(data_, size_); }

InputFile::InputFile(const std::string& path, const std::string& where) : where_(where) {
  // Not waiting for the other end of a pipe, nor for a device.
  descriptor_ = again_if_interrupted(
      [&] { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY); });
  if (descriptor_ < 0) refuse(errno, where_, "a file that can be read", "'" + reason(errno) + "'");
  struct stat info;
  const int code = ::fstat(descriptor_, &info) == 0 ? 0 : errno;
  if (code == 0 && S_ISREG(info.st_mode)) {
    size_ = static_cast<uint64_t>(info.st_size);
    return;
  }
  ::close(descriptor_);
  if (code != 0) refuse(code, where_, "a file that can be read", "'" + reason(code) + "'");
  if (S_ISDIR(info.st_mode)) refuse(EISDIR, where_, "a file", "a folder");
  damaged(where_, "a file", "something else (a device or a pipe)");
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(uint64_t offset, void* to, std::size_t bytes) const {
  char* next = static_cast<char*>(to);
  while (bytes > 0) {
    const auto got = again_if_interrupted([&] {
      return ::pread(descriptor_, next, std::min(bytes, kMostAtOnce), static_cast<off_t>(offset));
    });
    if (got < 0) refuse(errno, where_, "a file that can be read", "'" + reason(errno) + "'");
    if (got == 0) damaged(where_, std::to_string(bytes) + " bytes more", "the end of the file");
    next += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
}

std::shared_ptr<Mapping> InputFile::map() const {
  int flags = MAP_PRIVATE;
#ifdef MAP_NORESERVE
  flags |= MAP_NORESERVE;  // a file may be larger than the memory as long as it is not changed
#endif
  const auto size = static_cast<std::size_t>(size_);
  void* const data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, descriptor_, 0);
  if (data == MAP_FAILED) return nullptr;
  return std::make_shared<Mapping>(static_cast<char*>(data), size);
}

// ---- writing

namespace {

constexpr int kMostLinks = 40;
constexpr std::size_t kRandomDigits = 12;
constexpr std::string_view kSuffix = ".tmp";

// Without links; an error where it is no folder.
std::string real_folder(const std::string& folder, const std::string& where) {
  std::string result;
  struct stat info;
  int code = 0;
  if (char* const real = ::realpath(folder.c_str(), nullptr)) {
    result = real;
    ::free(real);
    code = ::stat(result.c_str(), &info) != 0 ? errno : S_ISDIR(info.st_mode) ? 0 : ENOTDIR;
  } else {
    code = errno;
  }
  if (code == 0) return result;
  const bool none = code == ENOENT || code == ENOTDIR;
  refuse(code, where, "an existing folder",
         folder + (none ? "; make it first" : " ('" + reason(code) + "')"));
}

std::string in_folder(const std::string& folder, const std::string& name) {
  return folder + (folder.ends_with('/') ? "" : "/") + name;
}

// What a link says; nothing where `path` is none.
std::string link_at(const std::string& path) {
  char target[PATH_MAX];
  const auto length = ::readlink(path.c_str(), target, sizeof target);
  return length < 0 ? "" : std::string(target, static_cast<std::size_t>(length));
}

// Names of temporary files begin so; at most 255 bytes together.
std::string temporary_prefix(const std::string& name) {
  return "." + std::string(cut_utf8(name, 200)) + ".";
}

std::string random_digits() {
  constexpr char kHex[] = "0123456789abcdef";
  std::random_device entropy;
  std::string digits;
  for (std::size_t i = 0; i < kRandomDigits; ++i) digits.push_back(kHex[entropy() & 15]);
  return digits;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

// Whether every process that can lock a file in this folder is on this machine, so that a lock
// that nobody holds means that nobody writes.
bool locks_are_local(const std::string& folder) {
#ifdef __linux__
  struct statfs info;
  if (::statfs(folder.c_str(), &info) != 0) return false;
  constexpr uint32_t kLocal[] = {0xEF53,     0x58465342, 0x9123683E, 0x01021994,
                                 0x794C7630, 0x2FC12FC1, 0xF2F52010, 0x858458F6};
  // ext2 to ext4, XFS, Btrfs, tmpfs, overlay, ZFS, F2FS, ramfs
  return std::find(std::begin(kLocal), std::end(kLocal), static_cast<uint32_t>(info.f_type)) !=
         std::end(kLocal);
#else
  (void)folder;
  return false;
#endif
}

void remove_if_left(const std::string& path) {
  const int descriptor =
      ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY);
  if (descriptor < 0) return;
  const Closing closing{descriptor};
  struct stat open, named;
  // Still under this name once the lock is ours: its writer may have renamed it meanwhile.
  if (::fstat(descriptor, &open) == 0 && S_ISREG(open.st_mode) && open.st_uid == ::geteuid() &&
      ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && ::lstat(path.c_str(), &named) == 0 &&
      same_file(open, named))
    ::unlink(path.c_str());
}

// What killed processes left of files with this name.
void remove_leftovers(const std::string& folder, const std::string& prefix) {
  DIR* const entries = ::opendir(folder.c_str());
  if (!entries) return;
  while (const dirent* const entry = ::readdir(entries)) {
    const std::string_view name = entry->d_name;
    if (name.size() == prefix.size() + kRandomDigits + kSuffix.size() && name.starts_with(prefix) &&
        name.ends_with(kSuffix) &&
        name.substr(prefix.size(), kRandomDigits).find_first_not_of("0123456789abcdef") ==
            name.npos)
      remove_if_left(in_folder(folder, std::string(name)));
  }
  ::closedir(entries);
}

}  // namespace

Replacement::Replacement(const std::string& path) : where_("[save] " + path) {
  resolve(path);
  look_at_target();
  create();
}

Replacement::~Replacement() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void Replacement::failed(const char* what) const {
  const int code = errno;
  refuse(code, where_, what, "'" + reason(code) + "'; nothing was changed");
}

// Folder and name of what `path` stands for; links of the last name are followed, also to a file
// that is not there yet.
void Replacement::resolve(const std::string& path) {
  if (path.empty()) refuse(ENOENT, where_, "the name of a file", "nothing");
  std::string now = path;
  for (int links = 0;; ++links) {
    const std::size_t slash = now.rfind('/');
    name_ = now.substr(slash == now.npos ? 0 : slash + 1);
    const std::string before = slash == now.npos ? "." : now.substr(0, std::max<size_t>(slash, 1));
    folder_ = real_folder(before, where_);
    if (name_.empty() || name_ == "." || name_ == "..")
      refuse(EISDIR, where_, "a file", "a folder or a device");
    const std::string target = link_at(in_folder(folder_, name_));
    if (target.empty()) return;
    if (links == kMostLinks) refuse(ELOOP, where_, "a file", "links in a circle");
    now = target.front() == '/' ? target : in_folder(folder_, target);
  }
}

void Replacement::look_at_target() {
  const std::string target = in_folder(folder_, name_);
  struct stat info;
  if (::stat(target.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    failed("a file that can be written");
  }
  if (!S_ISREG(info.st_mode))
    refuse(S_ISDIR(info.st_mode) ? EISDIR : EINVAL, where_, "a file", "a folder or a device");
  if (::access(target.c_str(), W_OK) != 0) failed("a file that may be written");
  rights_ = static_cast<int>(info.st_mode & 0777);
}

void Replacement::create() {
  const std::string prefix = temporary_prefix(name_);
  const bool local = locks_are_local(folder_);
  if (local) remove_leftovers(folder_, prefix);
  // Nobody reads it who could not read the file that was there.
  const mode_t rights = rights_ < 0 ? 0666 : 0600;
  for (int tries = 0;; ++tries) {
    temporary_ = in_folder(folder_, prefix + random_digits() + std::string(kSuffix));
    descriptor_ = again_if_interrupted([&] {
      return ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    rights);
    });
    if (descriptor_ < 0) {
      temporary_.clear();
      if (errno == EEXIST && tries < 100) continue;
      failed("a folder in which a file can be made");
    }
    if (!local) break;
    // Another process may take it for a leftover just now, and remove it.
    again_if_interrupted([&] { return ::flock(descriptor_, LOCK_EX); });
    struct stat info;
    if (::fstat(descriptor_, &info) != 0 || info.st_nlink > 0 || tries == 100) break;
    ::close(descriptor_);
  }
  if (rights_ >= 0) (void)::fchmod(descriptor_, static_cast<mode_t>(rights_));
}

void Replacement::write(const void* from, std::size_t bytes) {
  const char* next = static_cast<const char*>(from);
  while (bytes > 0) {
    const auto done = again_if_interrupted(
        [&] { return writing_calls.write(descriptor_, next, std::min(bytes, kMostAtOnce)); });
    if (done < 0) failed("room for the file");
    next += done;
    bytes -= static_cast<std::size_t>(done);
  }
}

void Replacement::finish() {
  if (again_if_interrupted([&] { return writing_calls.sync(descriptor_); }) != 0)
    failed("a file that reaches the disk");
  if (writing_calls.rename(temporary_.c_str(), in_folder(folder_, name_).c_str()) != 0)
    failed("a file that can be replaced");
  temporary_.clear();
  const int closed = ::close(std::exchange(descriptor_, -1));
  (void)closed;  // what could go wrong has been written back by then
  // The new name too; some file systems cannot, and then the file is there all the same.
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const Closing closing{folder};
  (void)::fsync(folder);
}

}  // namespace ranvier::files
