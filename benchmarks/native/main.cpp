// Runs the suite: every row for every instruction set and number of threads, under Google
// Benchmark's flags. What the machine is and what it can do at best comes before the rows.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <regex>
#include <set>

#include "suite.h"

namespace bench {
namespace {

// 1, doubled up to what the process may use, and that.
std::vector<int> thread_counts() {
  const int most = ranvier::num_threads();
  std::vector<int> counts;
  for (int n = 1; n < most; n *= 2) counts.push_back(n);
  counts.push_back(most);
  return counts;
}

std::vector<Setting> settings() {
  std::vector<Setting> all;
  for (const std::string& isa : ranvier::available_isas())
    for (const int threads : thread_counts()) all.push_back({isa, threads});
  return all;
}

std::string suffix(const Setting& setting) {
  return "/isa:" + setting.isa + "/threads:" + std::to_string(setting.threads);
}

// Whether the library will choose a row; on a pattern that is none it says so itself.
bool chosen(const std::string& name) {
  std::string pattern = benchmark::GetBenchmarkFilter();
  const bool inverse = !pattern.empty() && pattern[0] == '-';
  if (inverse) pattern.erase(0, 1);
  if (pattern.empty() || pattern == "all") return true;
  try {
    return std::regex_search(name, std::regex(pattern)) != inverse;
  } catch (const std::regex_error&) {
    return false;
  }
}

// "f32 234, f64 117 GFLOP/s, 99 % of 2 x one thread": much less says that somebody else was at
// work, or that threads share a core.
std::string arithmetic(const Setting& setting) {
  std::string text;
  char part[40];
  for (const Number number : {Number::f32, Number::f64, Number::bf16})
    if (const double peak = peak_flops(setting, number)) {
      std::snprintf(part, sizeof part, "%s%s %.0f", text.empty() ? "" : ", ", name_of(number),
                    peak / 1e9);
      text += part;
    }
  text += " GFLOP/s";
  if (setting.threads > 1) {
    const double alone = peak_flops({setting.isa, 1}, Number::f32);
    std::snprintf(part, sizeof part, ", %.0f %% of %d x one thread",
                  100 * peak_flops(setting, Number::f32) / alone / setting.threads,
                  setting.threads);
    text += part;
  }
  return text;
}

// "L1 412 340, L2 200 190, L3 36 43, memory 36 41 GB/s read, copied"
std::string traffic(const Setting& setting) {
  std::string text;
  char part[80];
  for (const Level& level : levels(setting.threads)) {
    std::snprintf(part, sizeof part, "%s%s %.0f %.0f", text.empty() ? "" : ", ", level.name.c_str(),
                  bandwidth(setting, Flow::read, level.footprint) / 1e9,
                  bandwidth(setting, Flow::copy, level.footprint) / 1e9);
    text += part;
  }
  return text + " GB/s read, copied";
}

void add_context(const std::set<Setting>& used) {
  const std::vector<std::string> all_isas = ranvier::available_isas();
  std::string isas, threads;
  for (const std::string& isa : all_isas) isas += isa + " ";
  for (const int n : thread_counts()) threads += std::to_string(n) + " ";
  benchmark::AddCustomContext("ranvier", ranvier::version());
  benchmark::AddCustomContext("isa", isas.substr(0, isas.size() - 1));
  benchmark::AddCustomContext("threads", threads + "of " + ranvier::thread_team());
  for (const Setting& setting : used)
    benchmark::AddCustomContext("peak" + suffix(setting), arithmetic(setting));
  // Memory is much the same for all instruction sets: the widest one speaks for them, so that a
  // run of a few rows need not wait.
  for (const int n : thread_counts()) {
    const auto widest = std::find_if(all_isas.rbegin(), all_isas.rend(),
                                     [&](const auto& isa) { return used.contains({isa, n}); });
    if (widest == all_isas.rend()) continue;
    const Setting setting{*widest, n};
    benchmark::AddCustomContext("peak" + suffix(setting) + "/memory", traffic(setting));
  }
}

// Our defaults, before what the user says.
std::vector<char*> arguments(int argc, char** argv) {
  static char tabular[] = "--benchmark_counters_tabular=true";
  static char short_runs[] = "--benchmark_min_time=0.02";
  std::vector<char*> all = {argv[0], tabular, short_runs};
  all.insert(all.end(), argv + 1, argv + argc);
  return all;
}

bool lists_only(const std::vector<char*>& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](const char* argument) {
    return std::strcmp(argument, "--benchmark_list_tests") == 0 ||
           std::strcmp(argument, "--benchmark_list_tests=true") == 0;
  });
}

int run(int argc, char** argv) {
  std::vector<char*> flags = arguments(argc, argv);
  const bool lists = lists_only(flags);
  int count = static_cast<int>(flags.size());
  benchmark::Initialize(&count, flags.data());
  if (benchmark::ReportUnrecognizedArguments(count, flags.data())) return 1;

  Rows rows;
  add_products(rows);
  add_elementwise(rows);
  add_row_ops(rows);
  add_updates(rows);
  std::set<Setting> used;
  for (const Row& row : rows)
    for (const Setting& setting : settings()) {
      const std::string name = row.name + suffix(setting);
      if (!chosen(name)) continue;
      used.insert(setting);
      benchmark::RegisterBenchmark(name.c_str(), [&row, setting](benchmark::State& state) {
        run_row(row, setting, state);
      })->Unit(benchmark::kMicrosecond);
    }
  if (!lists) add_context(used);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  try {
    return bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
