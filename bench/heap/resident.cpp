// resident: memory in use over what was asked for and is live, after 10^7 steps of churn (or as
// many as LiveSet has patience for). Counters:
//
//   over_live           the ratio
//   anonymous_over_live, data_over_live, ledger_over_live    what it is made of
//   steps               of churn
//
// In use is what the process has grown by since before its first allocation: anonymous memory and
// shared memory that it touched; of ours, in place of the latter, all pages that the region's data
// and ledger files have, touched or not. What the benchmark itself keeps does not count.

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "bench/heap/heaps.hpp"
#include "bench/heap/live_set.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

namespace {

struct Memory {
  std::uint64_t anonymous_bytes = 0;
  std::uint64_t shared_bytes = 0;
};

Memory memory_of_process() {
  Memory memory;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::uint64_t kib = 0;
    if (word == "RssAnon:" && status >> kib) memory.anonymous_bytes = kib << 10;
    if (word == "RssShmem:" && status >> kib) memory.shared_bytes = kib << 10;
  }
  return memory;
}

/// Pages of those memory files of a region that this process has open and whose name has `part`.
std::uint64_t region_bytes(const std::string& part) {
  constexpr std::uint64_t kStatBlockBytes = 512;
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code closed_meanwhile;
    const std::string target = std::filesystem::read_symlink(entry.path(), closed_meanwhile);
    if (!target.starts_with("/memfd:allot:") || target.find(part) == std::string::npos) continue;
    struct stat file {};
    if (::stat(entry.path().c_str(), &file) == 0) {
      bytes += static_cast<std::uint64_t>(file.st_blocks) * kStatBlockBytes;
    }
  }
  if (bytes == 0) throw std::runtime_error("no file " + part + " of a region has pages");
  return bytes;
}

struct InUse {
  std::uint64_t anonymous_bytes = 0;
  std::uint64_t data_bytes = 0;
  std::uint64_t ledger_bytes = 0;
};

template <class Heap>
InUse in_use(Heap& /*heap*/, const Memory& before) {
  const Memory now = memory_of_process();
  const std::uint64_t own = LiveSet<Heap>::kOwnBytes + before.anonymous_bytes;
  const std::uint64_t anonymous = now.anonymous_bytes - std::min(own, now.anonymous_bytes);
  if constexpr (requires(Heap & heap) { heap.session(); }) {
    return {anonymous, region_bytes(":data"), region_bytes(":ledger")};
  }
  return {anonymous, now.shared_bytes - before.shared_bytes, 0};
}

template <class Heap>
void run(benchmark::State& state, Heap& heap, std::uint64_t steps, const Memory& before) {
  LiveSet<Heap> live(heap);
  std::uint64_t done = 0;
  for (auto _ : state) {
    live.fill();
    done = live.churn(steps);
  }
  const InUse used = in_use(heap, before);
  const auto over_live = [&live](std::uint64_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(live.live_bytes());
  };
  state.counters["over_live"] =
      over_live(used.anonymous_bytes + used.data_bytes + used.ledger_bytes);
  state.counters["anonymous_over_live"] = over_live(used.anonymous_bytes);
  state.counters["data_over_live"] = over_live(used.data_bytes);
  state.counters["ledger_over_live"] = over_live(used.ledger_bytes);
  state.counters["steps"] = static_cast<double>(done);
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  using Heaps = bench::HeapList<bench::MallocHeap, bench::AllotHeap, bench::PmrUnsynchronizedHeap,
                                bench::BestFitHeap, bench::SequentialFitHeap>;
  bench::Suite suite(argc, argv);
  const std::uint64_t steps = suite.quick() ? 10'000 : 10'000'000;
  const bench::Memory before = bench::memory_of_process();
  suite.add(Heaps{}, "log-normal", bench::Clock::kOnce,
            [steps, before]<class Heap>(benchmark::State& state, Heap& heap) {
              bench::run(state, heap, steps, before);
            });
  return suite.run();
}
