// What parallel.cpp asks of the one implementation that is built in: parallel_openmp.cpp or
// parallel_pool.cpp. Nobody else includes this.
#pragma once

#include <cstdint>
#include <functional>

namespace ranvier {

using ChunkFunction = void (*)(void*, int64_t, int);

inline constexpr int kMaxThreads = 1024;

// Whether this thread is at work on a loop that several threads share.
extern constinit thread_local bool inside_team;

struct InsideTeam {
  InsideTeam() { inside_team = true; }
  ~InsideTeam() { inside_team = false; }
  InsideTeam(const InsideTeam&) = delete;
  InsideTeam& operator=(const InsideTeam&) = delete;
};

void run_alone(int64_t chunks, ChunkFunction run, void* context);

// parallel_chunks with 2 <= team <= kMaxThreads and team <= chunks, from outside of any team.
void run_in_team(int64_t chunks, int team, ChunkFunction run, void* context);

// Offers run(context, 0, member) to workers; null: none would come. take_back() ends the offer:
// true, where nobody has begun it. Else it waits until it is done, and throws what that threw.
void* offer_aside(ChunkFunction run, void* context);
bool take_back(void* offered);
// What a worker would have taken over had it not slept: done often enough, that wakes one.
void run_unshared(const std::function<void()>& work);

const char* team_name();

}  // namespace ranvier
