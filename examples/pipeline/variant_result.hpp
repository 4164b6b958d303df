// VariantResult: what one variant of the pipeline did, and how fast.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/messages.hpp"

namespace pipeline {

struct WorkerShare {
  std::uint64_t files = 0;
  std::uint64_t size_bytes = 0;
  std::string ending;  // how the process ended, if not well
};

struct KillRecord {
  std::size_t worker = 0;
  double at_fraction = 0;  // of the work
  std::uint64_t time_ns = 0;
  std::optional<std::uint64_t> memory_back_ns =
      {};  // after the kill; nothing if the run was over first
  std::uint64_t redone_files = 0;
  std::uint64_t redone_bytes = 0;
};

struct VariantResult {
  double seconds = 0;
  std::uint64_t files = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t read_files = 0;  // by the reader, those done again counted again
  std::uint64_t read_bytes = 0;
  std::vector<std::optional<FileDone>> results;  // by file
  std::vector<WorkerShare> workers;
  std::vector<Skipped> skipped;  // could be read before, but not now
  std::optional<KillRecord> kill;
  std::vector<std::string> faults;

  [[nodiscard]] double files_per_second() const {
    return seconds > 0 ? static_cast<double>(files) / seconds : 0;
  }
  [[nodiscard]] double megabytes_per_second() const {
    return seconds > 0 ? static_cast<double>(size_bytes) / 1e6 / seconds : 0;
  }
};

}  // namespace pipeline
