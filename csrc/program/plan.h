// A recorded list made ready: what a replay walks through.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "autograd/node.h"
#include "core/parallel.h"
#include "core/recording.h"
#include "program/chain.h"
#include "program/team_choice.h"
#include "ranvier/config.h"

namespace ranvier {

// What a replay is given in the place of a recorded input: memory of the caller's.
struct Argument {
  void* data = nullptr;
  DType dtype = DType::float32;
  int dim = 0;
  const int64_t* shape = nullptr;
  const int64_t* strides = nullptr;  // in elements
};
Argument argument_of(const Tensor& t);
void take_in(const Tensor& to, const Argument& from);

class Ahead;

// A tensor that a program holds, and counts as held: see Storage::program_refs.
class Held {
 public:
  explicit Held(Tensor t);
  Held(Held&& other) noexcept : tensor_(std::move(other.tensor_)) {}
  Held& operator=(Held&&) = delete;
  ~Held();
  const Tensor& operator*() const { return tensor_; }
  const Tensor* operator->() const { return &tensor_; }

 private:
  Tensor tensor_;
};

// A tensor from before the recording, as it was then: what it asks of autograd decides which
// instructions there are.
struct Watched {
  Held tensor;
  bool requires_grad;
  Dims shape, strides;
  bool holds() const;
};

// A leaf whose gradient the program reads or leaves behind.
struct LeafGradient {
  Held leaf;
  std::optional<Held> before;  // what has to be there; with `any_before`: whatever it is
  std::optional<Held> after;   // what is there when the program is through
  bool any_before;
  bool made;  // `after` is the program's own: nobody else may hold it when it is written anew
};

// What a result is.
struct Result {
  enum Kind { made, input, held } kind;
  size_t place = 0;    // of the input
  Tensor tensor;       // where the program has it; undefined: the input itself
  bool whole = false;  // it shares memory with another result, or leaves gaps in it
  bool given = false;  // a large one: the caller gets the memory, and the next run other memory
};

struct Program::Plan {
  Arena arena;  // outlives what looks at it
  std::vector<Instruction> instructions;
  Chains chains;
  Tensors inputs, first;
  std::vector<bool> written;  // inputs that are changed in place
  std::vector<bool> lent;     // large inputs, read where the caller has them
  bool leaking = false;       // somebody outside keeps what an instruction makes
  std::vector<Result> results;
  std::vector<LeafGradient> leaves;
  std::vector<Watched> watched;
  // Memory from outside that the program writes to: no argument may lie in it.
  std::vector<std::pair<const char*, const char*>> changing;
  std::vector<std::pair<Ref<Storage>, int>> shared;  // and how many references of it are ours
  std::vector<Prepared> calls;
  std::vector<Storage*> changed;         // by a replay, as backward would notice
  DType default_type = default_dtype();  // when it was recorded, as the next
  std::string isa = current_isa();
  double nanoseconds = 0;  // that a run takes, roughly
  TeamChoice choice;
  std::unique_ptr<std::mutex> turn = std::make_unique<std::mutex>();
  uint64_t turn_of_fork = 0;
  std::unique_ptr<Ahead> ahead;  // for many steps in a row; made by the first of them
  bool looked_ahead = false;

  Plan();
  ~Plan();
  // Inputs and results get memory of the program's own. False: the function saw more of an
  // argument's memory than the argument.
  bool adopt(MemoryUses& uses);
  void prepare();
  // Those of `steps`, the list of the program or one like it, that are wanted, as calls, which look
  // at it: it stays where it is.
  std::vector<Prepared> calls_of(const std::vector<Instruction>& steps,
                                 const std::function<bool(size_t)>& wanted) const;
  // What calls made by `make` hold of memory from outside counts as held by the program.
  void counting(const std::function<void()>& make);
  // Whether nobody but instructions knows it, and nothing of it stays from run to run.
  bool is_temporary(const Storage& storage) const {
    return arena.offset_of(storage) >= 0 || chains.inside(storage);
  }

  // Whether a run on these arguments does what the function would: same shapes, dtypes and strides,
  // gradients as they were, no memory of the program's own among the arguments.
  bool fits(std::span<const Argument> arguments) const;
  // The part of that about memory: a change of one argument is none of another, and no argument
  // lies in what the program writes to.
  bool keeps_apart(std::span<const Argument> arguments) const;
  // The same for what only changes together with structure_version().
  bool holds() const;
  // A run on arguments that fit, by whoever has the turn: first all arithmetic, which needs nothing
  // but the program's memory and what it writes to, then what others see of it. Results that are
  // the caller's own come as undefined tensors.
  void compute(std::span<const Argument> arguments);
  void finish(std::span<const Argument> arguments, Tensors* out);
  void run(const std::vector<Prepared>& list);  // with a team or without: see TeamChoice
  void look_ahead();                            // makes `ahead`, once
  void publish();  // the part of finish() that is not about results: versions and gradients
  void give_up();  // in place of finish(), where an instruction failed
  // Results that are parts of the arguments, from these.
  void take_from(const Tensors& given, Tensors* out) const;
  Tensors shown_results() const;  // where they are while it runs
  bool is_plain() const;          // all results are its own, and no argument is changed
};

// What holds while calls of a program run.
struct Running {
  const NoGrad off;
  const IeeeArithmetic ieee;
  const InsideKernel kernel;
};

// Large arguments are read where they are, for the time of a run, and large results have memory.
class Lending {
 public:
  Lending(Program::Plan& plan, std::span<const Argument> arguments);
  ~Lending();
  Lending(const Lending&) = delete;
  Lending& operator=(const Lending&) = delete;

 private:
  Program::Plan& plan_;
};

// Of threads that run one program: they wait for each other, but a child process does not wait for
// threads that it has not.
std::mutex& turn_of(Program::Plan& plan);

// What came of a recording. `results` are those of the run that was recorded, which is complete
// whatever came; `reason` says why there is no plan.
struct Recorded {
  Tensors results;
  std::unique_ptr<Program::Plan> plan;
  std::string reason;
};

struct RecordOptions {
  bool may_end = false;  // what cannot be recorded ends the recording in place of raising
  bool may_end_by_read = false;
  bool cuts_graphs = false;  // results come without the graph that they still have
};

// The function sees the caller's memory, so that its run is eager in every respect.
Recorded record_plan(const std::function<Tensors(const Tensors&)>& function, const Tensors& given,
                     const RecordOptions& options);

}  // namespace ranvier
