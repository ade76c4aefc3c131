// Whether the calling thread records a program. Here, below everything, because memory that is made
// or values that are read outside of ops would silently become constants of the program.
#pragma once

namespace ranvier {

// True between instructions of a recording, false inside a kernel.
inline thread_local bool recording = false;

class InsideKernel {
 public:
  InsideKernel() : before_(recording) { recording = false; }
  ~InsideKernel() { recording = before_; }
  InsideKernel(const InsideKernel&) = delete;
  InsideKernel& operator=(const InsideKernel&) = delete;

 private:
  bool before_;
};

// An Error while recording: `what` would be frozen into the program.
void forbid_while_recording(const char* what);

}  // namespace ranvier
