// Progress: how far a stage is, on standard error. A bar on a terminal, a line now and then
// otherwise.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace pipeline {

class Progress {
 public:
  /// Of a stage that has `files` of `size_bytes` to do.
  Progress(std::string stage, std::uint64_t files, std::uint64_t size_bytes);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();

  void update(std::uint64_t files, std::uint64_t size_bytes);
  /// Takes the bar away; nothing is shown any more.
  void finish();
  /// A line of its own.
  void say(const std::string& text);

  /// How much is done, 0 .. 1: the mean of files and bytes, so that neither many small files nor
  /// one large one count for nothing.
  [[nodiscard]] double fraction() const;

 private:
  void draw() const;

  using Clock = std::chrono::steady_clock;
  std::string stage_;
  std::uint64_t all_files_;
  std::uint64_t all_bytes_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  bool is_terminal_;
  bool is_finished_ = false;
  Clock::time_point began_;
  Clock::time_point drawn_;
  unsigned next_tenth_ = 2;
};

}  // namespace pipeline
