// FileTable: which files have a result, and the table that the collector prints.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/messages.hpp"

namespace pipeline {

class FileTable {
 public:
  /// Of the files listed at `list_path`.
  explicit FileTable(const std::string& list_path);

  /// True if this is the first result of its file. A Failure if there is no such file.
  bool add(const FileDone& done);

  [[nodiscard]] std::size_t file_count() const noexcept { return has_result_.size(); }

  /// Prints the totals of the first results and the largest files.
  void print(int fd, std::span<const FileDone> results) const;

 private:
  FileSet files_;
  std::vector<bool> has_result_;
  std::uint64_t repeated_ = 0;
};

}  // namespace pipeline
