// MachineChanges: a machine whose clocks jump and whose memory ends, for one process, while it runs.
//
// The test writes to a shared file; a library that the program is made to preload (environment())
// looks into it at each call of the kernel that it stands for. So each change takes effect at once,
// in all threads and in what the program starts. Nothing is changed until something is set.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace allot::test {

inline constexpr const char* kMachineChangesVariable = "ALLOT_TEST_MACHINE_CHANGES";

struct MachineChanges {
  static constexpr std::int64_t kNever = -1;

  /// Each look at the time of day finds it elsewhere, so far from the right one at most.
  std::atomic<std::uint64_t> realtime_spread_s{0};
  std::atomic<std::int64_t> monotonic_ahead_ns{0};
  /// Calls that still commit memory before one fails; kNever: none does.
  std::atomic<std::int64_t> commits_left{kNever};
  std::atomic<std::int32_t> commit_error{0};  // an errno, of that call and all after it
  std::atomic<std::int32_t> punch_error{
      0};                                  // an errno, of each call that gives memory back; 0: none
  std::atomic<std::uint64_t> failures{0};  // calls that were made to fail
  std::atomic<std::uint64_t> looks{0};     // at a clock that has jumped
};

/// The changes of the test's programs.
class ChangedMachine {
 public:
  ChangedMachine();
  ChangedMachine(const ChangedMachine&) = delete;
  ChangedMachine& operator=(const ChangedMachine&) = delete;
  ~ChangedMachine();

  [[nodiscard]] MachineChanges* operator->() const noexcept { return changes_; }
  /// What a program needs in its environment, for it and for what it starts. `library` is
  /// ALLOT_CHANGED_MACHINE_PATH.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> environment(
      const std::string& library) const {
    return {{"LD_PRELOAD", library}, {kMachineChangesVariable, file_.native()}};
  }

 private:
  std::filesystem::path file_;
  MachineChanges* changes_ = nullptr;
};

}  // namespace allot::test
