// FileTable: the first result of each file, and the table that the collector prints.
#pragma once

#include <cstdint>
#include <optional>
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

  /// Prints the totals and the largest files.
  void print(int fd) const;

 private:
  FileSet files_;
  std::vector<std::optional<FileDone>> results_;
  std::uint64_t repeated_ = 0;
};

}  // namespace pipeline
