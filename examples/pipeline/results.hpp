// Results: the array in the region that holds the first result of each file.
//
// The collector makes it under a name, appends and is its only writer; the orchestrator reads
// [0, size()) while it grows, in a session of its own, and no result is sent by socket. Unpublished
// by the collector at its end, it is freed when the last of the two leaves.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include <allot/session.hpp>
#include <allot/shared_vlarray.hpp>

#include "examples/pipeline/messages.hpp"

namespace pipeline {

class ResultWriter {
 public:
  /// With room for `files` results. A Failure if there is none.
  ResultWriter(const allot::Session& session, std::size_t files);
  void add(const FileDone& done);
  [[nodiscard]] std::span<const FileDone> all() const noexcept { return array_.span(); }
  void unpublish();

 private:
  allot::SharedVlArray<FileDone> array_;
};

class ResultReader {
 public:
  /// Of the run whose daemon has `runtime_dir`, and whose collector has said that there is a
  /// result.
  explicit ResultReader(const std::filesystem::path& runtime_dir);
  /// Those that came since the last call.
  [[nodiscard]] std::span<const FileDone> fresh() noexcept;

 private:
  allot::SharedVlArray<FileDone> array_;  // holds the session
  std::size_t seen_ = 0;
};

}  // namespace pipeline
