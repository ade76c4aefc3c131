// Whether the calling thread records a program. Here, below everything, because memory that is made
// or values that are read outside of ops would silently become constants of the program.
#pragma once

#include <cstdint>

namespace ranvier {

// True between instructions of a recording, false inside a kernel.
inline thread_local bool recording = false;
// Which one, of all that there were.
inline thread_local uint32_t recording_number = 0;
// Joined to that number in Storage::unrecorded once an instruction has written all of the memory:
// from there on every replay makes it anew.
inline constexpr uint32_t kMadeAnew = uint32_t{1} << 31;

class InsideKernel {
 public:
  InsideKernel() : before_(recording) { recording = false; }
  ~InsideKernel() { recording = before_; }
  InsideKernel(const InsideKernel&) = delete;
  InsideKernel& operator=(const InsideKernel&) = delete;

 private:
  bool before_;
};

// An Error while recording: `what` would be frozen into the program. Where the recording may end
// early, it ends, and nothing is raised.
void forbid_while_recording(const char* what);

// Ends the thread's recording because of `what`; what runs goes on as it would without one. False:
// this recording may not end early, or not by a read of a value.
bool end_recording(const char* what, bool read = true);

}  // namespace ranvier
