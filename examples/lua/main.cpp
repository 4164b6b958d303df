// Lua, as Debian ships it, on Allot's memory: the same scripts on Lua's default (realloc() and
// free()), on the heap of a region and on an arena, with times and memory beside each other.
//
// Lua takes all its memory through one function, lua_Alloc; nothing else of it is changed. Each
// script must return the same value on every memory. An arena frees nothing, so no garbage is
// collected there; what that alone saves is seen in the row of the default without a collector. The
// heap needs a daemon, as `hello` does.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "examples/lua/allocators.hpp"
#include "examples/lua/interpreter.hpp"

namespace {

constexpr int kScale = 10;

struct Contender {
  std::string name;
  std::unique_ptr<lua::Allocator> allocator;  // none: why_not
  std::string why_not;
};

struct Row {
  lua::Outcome outcome;
  std::vector<double> seconds;

  [[nodiscard]] double median_seconds() const {
    std::vector<double> sorted = seconds;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

std::vector<Contender> make_contenders(std::size_t arena_limit_bytes) {
  std::vector<Contender> all;
  all.push_back({"default", lua::make_default(true), {}});
  auto heap = lua::make_heap();
  if (heap) {
    all.push_back({"heap", *std::move(heap), {}});
  } else {
    all.push_back({"heap", nullptr, heap.error().message()});
  }
  all.push_back({"default, no gc", lua::make_default(false), {}});
  all.push_back({"arena, no gc", lua::make_arena(arena_limit_bytes), {}});
  return all;
}

// Rounds visit all in turn, so that what the machine does meanwhile meets all alike.
std::vector<Row> run_rounds(const lua::Script& script, int rounds,
                            const std::vector<Contender>& contenders) {
  std::vector<Row> rows(contenders.size());
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      lua::Allocator* const allocator = contenders[i].allocator.get();
      Row& row = rows[i];
      if (allocator == nullptr || (round >= 0 && !row.outcome.ok)) continue;
      if (round < 0) {  // not timed, and warms up
        row.outcome = lua::run_measured(script, *allocator);
        continue;
      }
      const lua::Outcome again = lua::run_timed(script, *allocator);
      row.seconds.push_back(again.seconds);
      if (again.ok && again.value == row.outcome.value) continue;
      row.outcome.ok = false;
      row.outcome.value += " and then " + again.value;
    }
  }
  return rows;
}

// False if one failed, or gave another value than the default.
bool report(const lua::Script& script, const std::vector<Row>& rows,
            const std::vector<Contender>& contenders) {
  const std::string name = script.path.substr(script.path.rfind('/') + 1);
  bool all_same = true;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::printf("%-18s %-15s ", name.c_str(), contenders[i].name.c_str());
    if (contenders[i].allocator == nullptr) {
      std::printf("not run: %s\n", contenders[i].why_not.c_str());
      continue;
    }
    const Row& row = rows[i];
    const bool same = row.outcome.ok && row.outcome.value == rows.front().outcome.value;
    all_same = all_same && same;
    if (!same) {
      std::printf("WRONG: %s\n", row.outcome.value.c_str());
      continue;
    }
    std::printf("%7.1f ms %6.2f %8.2f MiB  %s\n", row.median_seconds() * 1e3,
                row.median_seconds() / rows.front().median_seconds(),
                static_cast<double>(row.outcome.peak_bytes) / (1 << 20), row.outcome.value.c_str());
  }
  return all_same;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs Lua scripts on Lua's default memory, on a region's heap and on an arena.");
  int rounds = 9;
  bool quick = false;
  std::size_t arena_mib = 1024;
  std::vector<std::string> scripts;
  app.add_option("--rounds", rounds, "Interleaved repetitions; medians are shown")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--quick", quick, "One round of a tenth of the work: no figures, all checks");
  app.add_option("--arena-mib", arena_mib, "The arena's limit, in MiB")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("SCRIPT", scripts, "Lua scripts; each takes a scale and returns a value")
      ->required()
      ->check(CLI::ExistingFile);
  CLI11_PARSE(app, argc, argv);

  const std::vector<Contender> contenders = make_contenders(arena_mib << 20);
  std::printf("%-18s %-15s %10s %6s %12s  %s\n", "SCRIPT", "MEMORY", "TIME", "RATIO", "PEAK",
              "VALUE");
  bool all_same = true;
  for (std::string& path : scripts) {
    const lua::Script script{std::move(path), quick ? 1 : kScale};
    all_same =
        report(script, run_rounds(script, quick ? 1 : rounds, contenders), contenders) && all_same;
  }
  return all_same ? 0 : 1;
}
