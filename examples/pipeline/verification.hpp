// Verification: are the digests those of sha256sum?
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/variant_result.hpp"
#include "examples/pipeline/wait.hpp"

namespace pipeline {

/// What sha256sum prints for each file, by index; empty where it says nothing.
[[nodiscard]] std::vector<std::string> sha256sum(const FileSet& files, const Deadline& deadline);

struct Verification {
  std::size_t right = 0;
  std::vector<std::string> wrong;    // paths; the digest differs, or there is none to compare with
  std::vector<std::string> changed;  // paths of files that changed during the run: not compared
};

/// Compares the results of one variant.
[[nodiscard]] Verification verify(const FileSet& files, const std::vector<std::string>& expected,
                                  const VariantResult& result);

}  // namespace pipeline
