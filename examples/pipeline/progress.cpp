#include "examples/pipeline/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <utility>

#include "examples/pipeline/text.hpp"

namespace pipeline {

namespace {

constexpr std::size_t kBarWidth = 30;
constexpr unsigned kTenthsPerLine = 2;
constexpr auto kRedraw = std::chrono::milliseconds(80);
constexpr const char* kEraseLine = "\r\033[K";

double part(std::uint64_t done, std::uint64_t all) {
  return all == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all);
}

}  // namespace

Progress::Progress(std::string stage, std::uint64_t files, std::uint64_t size_bytes)
    : stage_(std::move(stage)),
      all_files_(files),
      all_bytes_(size_bytes),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      began_(Clock::now()),
      drawn_(began_) {}

Progress::~Progress() { finish(); }

void Progress::finish() {
  if (is_terminal_ && !is_finished_) std::fputs(kEraseLine, stderr);
  is_finished_ = true;
}

double Progress::fraction() const {
  return (part(files_, all_files_) + part(bytes_, all_bytes_)) / 2;
}

void Progress::update(std::uint64_t files, std::uint64_t size_bytes) {
  files_ = files;
  bytes_ = size_bytes;
  const bool is_end = files_ == all_files_;
  if (is_terminal_) {
    const auto now = Clock::now();
    if (!is_end && now - drawn_ < kRedraw) return;
    drawn_ = now;
    draw();
    return;
  }
  if (fraction() * 10 < next_tenth_) return;
  while (fraction() * 10 >= next_tenth_) next_tenth_ += kTenthsPerLine;
  draw();
}

void Progress::say(const std::string& text) {
  std::fprintf(stderr, "%s%s\n", is_terminal_ && !is_finished_ ? kEraseLine : "", text.c_str());
  if (is_terminal_) draw();
}

void Progress::draw() const {
  if (is_finished_) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - began_).count();
  const double rate = seconds > 0 ? static_cast<double>(bytes_) / 1e6 / seconds : 0;
  const std::string numbers = fixed(fraction() * 100, 0) + " %, " + grouped(files_) + " files, " +
                              size_text(bytes_) + ", " + fixed(rate, 0) + " MB/s";
  if (!is_terminal_) {
    std::fprintf(stderr, "%s: %s\n", stage_.c_str(), numbers.c_str());
    return;
  }
  const auto filled = std::min(kBarWidth, static_cast<std::size_t>(fraction() * kBarWidth));
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  std::fprintf(stderr, "%s%-8s [%s] %s", kEraseLine, stage_.c_str(), bar.c_str(), numbers.c_str());
}

}  // namespace pipeline
