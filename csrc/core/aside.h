// A piece of work that a thread without any other takes over, while its owner goes on.
#pragma once

namespace ranvier {

// For what is needed later and can be done now. Whoever waits for it does it, if nobody has begun.
class Aside {
 public:
  Aside() = default;
  ~Aside() { drop(); }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  // run(context) by another thread, in IEEE arithmetic, where loops stay in that thread; or in
  // wait().
  void offer(void (*run)(void*), void* context);
  bool pending() const { return pending_; }
  // Until it is done. An exception in it is thrown here.
  void wait();
  // It is not needed any more: done by nobody, or done already.
  void drop();

 private:
  void (*run_)(void*) = nullptr;
  void* context_ = nullptr;
  void* offered_ = nullptr;
  bool pending_ = false;
};

}  // namespace ranvier
