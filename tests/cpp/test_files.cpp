// Files of tensors: there and back, what is refused, and that a file is replaced whole or not at
// all. Python's tests hold the long table of damaged files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/vfs.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "files/header.h"
#include "files/json.h"
#include "files/system.h"
#include "files/writer.h"
#include "ops/loops.h"
#include "ranvier/ranvier.h"

namespace ranvier {
namespace {

namespace fs = std::filesystem;

// A folder of its own for each test.
class Files : public ::testing::Test {
 protected:
  Files() {
    std::string name = (fs::temp_directory_path() / "ranvier_files_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~Files() override { fs::remove_all(folder_); }

  std::string path(const std::string& name = "w.safetensors") const { return folder_ / name; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder_))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }

  fs::path folder_;
};
using FilesFailing = Files;

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string with_header(const std::string& header, const std::string& data = "") {
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(header.size() >> 8 * i & 255));
  return bytes + header + data;
}

template <class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

template <class F>
int code_of(F f) {
  try {
    f();
  } catch (const FileError& error) {
    return error.code();
  }
  return 0;
}

std::string packed_bytes(const Tensor& t) {
  const Tensor copy = packed(t);
  return {static_cast<const char*>(copy.raw()),
          static_cast<std::size_t>(t.numel()) * size_of(t.dtype())};
}

TEST_F(Files, EveryDtypeShapeAndLayoutComesBack) {
  NamedTensors tensors;
  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::string name = name_of(dtype);
    const Tensor t = Tensor::zeros({2, 3}, dtype);
    for (int64_t k = 0; k < 6; ++k)
      std::memset(static_cast<char*>(t.raw()) + k * static_cast<int64_t>(size_of(dtype)),
                  static_cast<int>(k % 2), size_of(dtype));
    tensors.emplace_back(name, t);
    tensors.emplace_back(name + " turned", t.alias({3, 2}, {1, 3}, 0));
    tensors.emplace_back(name + " part", t.alias({2}, {3}, 1));
    tensors.emplace_back(name + " scalar", t.alias({}, {}, 3));
    tensors.emplace_back(name + " empty", Tensor::empty({0, 4}, dtype));
  }
  tensors.emplace_back(std::string("nul\0\n\"\\\x7f \xc3\xa4", 11), Tensor::zeros({1}));
  const Metadata metadata = {{"a", "1\t\x01"}, {"", "\xf0\x9f\x90\x8d"}};
  write_tensors(path(), tensors, metadata);
  const TensorFile file(path());
  EXPECT_FALSE(file.is_mapped());
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.entries().size(), tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, tensor] = tensors[i];
    EXPECT_EQ(file.entries()[i].name, name);
    const Tensor back = file.tensor(name);
    EXPECT_EQ(back.dtype(), tensor.dtype());
    EXPECT_EQ(back.shape(), tensor.shape());
    EXPECT_EQ(packed_bytes(back), packed_bytes(tensor)) << name;
  }
  EXPECT_NE(message_of([&] { (void)file.tensor("c"); }).find("a name in the file, got 'c'"),
            std::string::npos);
  EXPECT_THROW((void)file.tensor(tensors.size()), Error);
}

TEST_F(Files, MappedTensorsAreCopiedWhenTheyChange) {
  const Tensor large = Tensor::full({1 << 18}, 3.0);
  write_tensors(path(), {{"a", large}, {"b", Tensor::full({5}, 2.0, DType::int16)}});
  const std::string before = content(path());
  Tensor a, b;
  {
    const TensorFile file(path());
    ASSERT_TRUE(file.is_mapped());
    a = file.tensor("a");
    b = file.tensor("b");
  }
  EXPECT_EQ(a.data<float>()[(1 << 18) - 1], 3.0f);
  a.data<float>()[7] = 1.0f;
  EXPECT_EQ(content(path()), before);
  // Another file under this name leaves the tensors alone.
  write_tensors(path(), {{"a", Tensor::zeros({1 << 18})}});
  EXPECT_EQ(a.data<float>()[7], 1.0f);
  EXPECT_EQ(a.data<float>()[100'000], 3.0f);
  EXPECT_EQ(b.data<int16_t>()[4], 2);
  const TensorFile read(path(), false);
  EXPECT_FALSE(read.is_mapped());
  EXPECT_EQ(read.tensor("a").data<float>()[100'000], 0.0f);
}

TEST_F(Files, MisalignedNumbersAreCopied) {
  const std::string data(1 << 20, '\1');
  const std::string entry = R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]},)"
                            R"("b":{"dtype":"F32","shape":[262143],"data_offsets":[1,1048573]},)"
                            R"("c":{"dtype":"U8","shape":[3],"data_offsets":[1048573,1048576]}})";
  put(path(), with_header(entry, data));
  const TensorFile file(path());
  ASSERT_TRUE(file.is_mapped());
  const Tensor b = file.tensor("b");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.raw()) % 4, 0u);
  EXPECT_EQ(packed_bytes(b), data.substr(0, 1048572));
  EXPECT_TRUE(file.tensor("a").data<bool>()[0]);
}

TEST_F(Files, MemoryIsReadAsAFileIs) {
  const NamedTensors tensors = {{"a", Tensor::full({3}, 1.5)}, {"b", Tensor::zeros({0})}};
  const files::TensorBytes bytes(tensors, {{"k", "v"}});
  std::string memory(bytes.size(), '\0');
  bytes.copy_to(memory.data());
  write_tensors(path(), tensors, {{"k", "v"}});
  EXPECT_EQ(memory, content(path()));
  const TensorFile file = TensorFile::in_memory(memory, "memory");
  EXPECT_EQ(file.tensor("a").data<float>()[2], 1.5f);
  EXPECT_EQ(file.tensor("b").numel(), 0);
  EXPECT_EQ(
      message_of([&] { TensorFile::in_memory(std::string_view(memory).substr(0, 7), "memory"); }),
      "[load] memory: expected at least 8 bytes, got 7; the file is damaged, cut short or "
      "not safetensors");
}

TEST_F(Files, DamageIsNamed) {
  const auto refused = [](const std::string& header, const std::string& data = "") {
    const std::string bytes = with_header(header, data);
    return message_of([&] { TensorFile::in_memory(bytes, "f"); });
  };
  EXPECT_NE(refused("").find("begins with '{', got none"), std::string::npos);
  EXPECT_NE(refused("{\"a\":").find("a header in JSON, got the end of the text at byte 5"),
            std::string::npos);
  EXPECT_NE(refused(R"({"a":1,"\u0061":2})").find("every name once, got 'a' twice"),
            std::string::npos);
  EXPECT_NE(refused(R"({"__metadata__":{"a":"","a":""}})").find("'a' twice"), std::string::npos);
  EXPECT_NE(refused(R"({"__metadata__":{},"__metadata__":{}})").find("'__metadata__' twice"),
            std::string::npos);
  const std::string odd = R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})";
  const std::string bytes = with_header(odd, "\1\2");
  const TensorFile file = TensorFile::in_memory(bytes, "f");
  EXPECT_NE(message_of([&] { (void)file.tensor("a"); }).find("0 or 1 in tensor 'a', got 2"),
            std::string::npos);
  // Long names are cut, between characters.
  std::string name;
  for (int i = 0; i < 5000; ++i) name += "\xc3\xa4";
  const std::string message = refused("{\"x" + name + "\":1}");
  EXPECT_LT(message.size(), 250u);
  EXPECT_EQ(files::valid_utf8(message), message.size());
}

TEST_F(Files, NamesThatCannotBeWritten) {
  const Tensor t = Tensor::zeros({1});
  EXPECT_THROW(write_tensors(path(), {{"a", t}, {"a", t}}), Error);
  EXPECT_THROW(write_tensors(path(), {{"\xff", t}}), Error);
  EXPECT_THROW(write_tensors(path(), {{"__metadata__", t}}), Error);
  EXPECT_THROW(write_tensors(path(), {{"a", Tensor()}}), Error);
  EXPECT_THROW(write_tensors(path(), {}, {{"a", ""}, {"a", ""}}), Error);
  EXPECT_THROW(write_tensors(path(), {}, {{"a", "\xc0\x80"}}), Error);
  EXPECT_TRUE(names().empty());
}

TEST(FilesJson, Utf8) {
  for (const std::string_view good : {"", "abc", "\xc2\x80", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                      "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_EQ(files::valid_utf8(good), good.size());
  for (const std::string_view bad :
       {"\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe1\x80\x41"})
    EXPECT_EQ(files::valid_utf8("ab" + std::string(bad)), 2u);
  EXPECT_EQ(files::cut_utf8("a\xc3\xa4", 2), "a");
}

TEST(FilesJson, Strings) {
  const auto read = [](std::string_view text) {
    files::JsonReader json(text);
    std::string value = json.string();
    json.expect_end();
    return value;
  };
  EXPECT_EQ(read(R"( "a\"\\\/\b\f\n\r\tb" )"), "a\"\\/\b\f\n\r\tb");
  EXPECT_EQ(read(R"("\u0041\u00e4\u20AC\ud83d\udc0d")"), "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d");
  EXPECT_EQ(read(R"("\u0000")"), std::string(1, '\0'));
  for (const std::string_view bad :
       {R"("a)", R"("\x")", R"("\u12g4")", R"("\ud83d")", R"("\ud83dx")", R"("\ud83d\u0041")",
        R"("\udc0d")", R"("\)", "\"\n\"", R"("a" b)", "a", ""})
    EXPECT_THROW(read(bad), files::JsonError) << bad;
  std::string quoted;
  files::append_quoted(quoted, std::string_view("\0\x1f\"\\\n\r\t\f\b\x7f/\xc3\xa4", 13));
  EXPECT_EQ(quoted, "\"\\u0000\\u001f\\\"\\\\\\n\\r\\t\\f\\b\x7f/\xc3\xa4\"");
}

TEST(FilesJson, ValuesAreSkippedWhole) {
  for (const std::string_view good :
       {"1", "-0.5e+10", "true", "null", "\"a\"", "[]", "{}", R"([1, [2, {"a": [], "b": {}}], 3])",
        R"({"a": {"b": [[]]}, "c": false})"}) {
    files::JsonReader json(good);
    EXPECT_EQ(json.skip(), good);
    json.expect_end();
  }
  for (const std::string_view bad : {"", "01", "-", "1.", "1e", "tru", "NaN", "[1,]", "[1 2]",
                                     "{\"a\" 1}", "{1:2}", "[", "]", "{\"a\":1,}", "+1", "'a'"})
    EXPECT_THROW(
        {
          files::JsonReader json(bad);
          json.skip();
          json.expect_end();
        },
        files::JsonError)
        << bad;
  files::JsonReader deep("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
  EXPECT_THROW(deep.skip(), files::JsonError);
  files::JsonReader largest("9223372036854775807 9223372036854775808 1.0 -1");
  EXPECT_EQ(largest.whole(), INT64_MAX);
  EXPECT_EQ(largest.whole(), std::nullopt);
  EXPECT_EQ(largest.skip(), "9223372036854775808");
  EXPECT_EQ(largest.whole(), std::nullopt);
}

// ---- whole or not at all

const files::WritingCalls kCalls = files::writing_calls;

struct Failing {
  ~Failing() { files::writing_calls = kCalls; }
};

TEST_F(FilesFailing, TheOldFileStaysWhateverFails) {
  write_tensors(path(), {{"old", Tensor::zeros({1})}});
  const std::string before = content(path());
  const Failing failing;
  const auto attempt = [&] { write_tensors(path(), {{"new", Tensor::zeros({1000})}}); };

  files::writing_calls.write = [](int d, const void* from, std::size_t bytes) -> long {
    if (bytes < 1000) return kCalls.write(d, from, bytes);
    errno = ENOSPC;
    return -1;
  };
  EXPECT_EQ(code_of(attempt), ENOSPC);
  files::writing_calls = kCalls;
  files::writing_calls.sync = [](int) {
    errno = EIO;
    return -1;
  };
  EXPECT_EQ(code_of(attempt), EIO);
  files::writing_calls = kCalls;
  files::writing_calls.rename = [](const char*, const char*) {
    errno = EACCES;
    return -1;
  };
  EXPECT_EQ(code_of(attempt), EACCES);
  EXPECT_NE(message_of(attempt).find("[save] " + path() + ": expected a file that can be replaced"),
            std::string::npos);
  EXPECT_EQ(content(path()), before);
  EXPECT_EQ(names(), std::vector<std::string>{"w.safetensors"});
}

TEST_F(FilesFailing, PartsAndInterruptionsOfWrites) {
  const Failing failing;
  files::writing_calls.write = [](int d, const void* from, std::size_t bytes) -> long {
    static int calls = 0;
    if (++calls % 2 == 0) {
      errno = EINTR;
      return -1;
    }
    return kCalls.write(d, from, std::min<std::size_t>(bytes, 7));
  };
  write_tensors(path(), {{"a", Tensor::full({100}, 2.0)}});
  EXPECT_EQ(read_tensors(path())[0].second.data<float>()[99], 2.0f);
}

TEST_F(Files, AWriterThatIsDroppedLeavesNothing) {
  write_tensors(path(), {{"old", Tensor::zeros({1})}});
  const std::string before = content(path());
  const NamedTensors tensors = {{"new", Tensor::zeros({8 << 20})}};
  {
    files::TensorWriter writer(path(), tensors, {});
    EXPECT_TRUE(writer.write_some());
    EXPECT_EQ(names().size(), 2u);
  }
  EXPECT_EQ(content(path()), before);
  EXPECT_EQ(names().size(), 1u);
}

TEST_F(Files, LeftoversOfKilledProcessesGo) {
  const std::string dead = ".w.safetensors.0123456789ab.tmp",
                    live = ".w.safetensors.ba9876543210.tmp";
  const std::vector<std::string> others = {".other.0123456789ab.tmp", ".w.safetensors.0123.tmp",
                                           ".w.safetensors.0123456789aX.tmp"};
  for (const std::string& name : others) put(path(name), "x");
  put(path(dead), "half a file");
  put(path(live), "being written");
  const int writer = ::open(path(live).c_str(), O_WRONLY);
  ASSERT_EQ(::flock(writer, LOCK_EX), 0);
  write_tensors(path(), {});
  const std::vector<std::string> found = names();
  const auto is_there = [&](const std::string& name) {
    return std::count(found.begin(), found.end(), name) == 1;
  };
  EXPECT_TRUE(is_there(live) && is_there("w.safetensors"));
  for (const std::string& name : others) EXPECT_TRUE(is_there(name)) << name;
#ifdef __linux__
  // Only on a file system of this machine, as temporary folders nearly always are.
  struct statfs info;
  ASSERT_EQ(::statfs(folder_.c_str(), &info), 0);
  const auto type = static_cast<uint32_t>(info.f_type);
  if (type == 0xEF53 || type == 0x01021994 || type == 0x794C7630 || type == 0x58465342) {
    EXPECT_FALSE(is_there(dead));
  }
#endif
  ::close(writer);
}

TEST_F(Files, LinksAndRights) {
  put(path("target"), "");
  ASSERT_EQ(::chmod(path("target").c_str(), 0640), 0);
  fs::create_symlink("target", path("link"));
  fs::create_symlink("new", path("dangling"));
  fs::create_symlink("circle", path("circle"));
  write_tensors(path("link"), {});
  EXPECT_TRUE(fs::is_symlink(path("link")));
  struct stat info;
  ASSERT_EQ(::stat(path("target").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  EXPECT_GT(info.st_size, 0);
  write_tensors(path("dangling"), {});
  EXPECT_TRUE(fs::is_regular_file(path("new")));
  EXPECT_EQ(code_of([&] { write_tensors(path("circle"), {}); }), ELOOP);
}

TEST_F(Files, WhatIsNoFile) {
  ASSERT_EQ(::mkfifo(path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(code_of([&] { write_tensors(path("pipe"), {}); }), EINVAL);
  EXPECT_EQ(code_of([&] { write_tensors("/dev/full", {}); }), EINVAL);
  EXPECT_EQ(code_of([&] { write_tensors(folder_, {}); }), EISDIR);
  EXPECT_EQ(code_of([&] { write_tensors(path(""), {}); }), EISDIR);
  EXPECT_EQ(code_of([&] { write_tensors("", {}); }), ENOENT);
  EXPECT_EQ(code_of([&] { write_tensors(path("no/file"), {}); }), ENOENT);
  EXPECT_EQ(code_of([&] { write_tensors(path("pipe/file"), {}); }), ENOTDIR);
  EXPECT_EQ(code_of([&] { read_tensors(folder_); }), EISDIR);
  EXPECT_EQ(code_of([&] { read_tensors(path("no")); }), ENOENT);
  EXPECT_NE(message_of([&] { read_tensors(path("pipe")); }).find("a device or a pipe"),
            std::string::npos);
  EXPECT_EQ(names(), std::vector<std::string>{"pipe"});
}

}  // namespace
}  // namespace ranvier
