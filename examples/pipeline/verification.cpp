#include "examples/pipeline/verification.hpp"

#include <algorithm>
#include <string_view>

#include <allot/scratch.hpp>

#include "examples/pipeline/child.hpp"
#include "examples/pipeline/digest.hpp"
#include "examples/pipeline/progress.hpp"

namespace pipeline {

namespace {

// Of arguments in one command; the kernel takes 2 MiB with the environment.
constexpr std::size_t kArgumentBytes = std::size_t{128} << 10;
constexpr std::size_t kDigits = 64;
constexpr std::size_t kSeparator = 2;  // a space, and a space or an asterisk

// Files [first, end) that fit in one command.
std::size_t batch_end(const std::vector<File>& files, std::size_t first) {
  std::size_t bytes = 0;
  std::size_t end = first;
  while (end < files.size() && (end == first || bytes < kArgumentBytes)) {
    bytes += files[end++].path.size() + 1;
  }
  return end;
}

}  // namespace

std::vector<std::string> sha256sum(const FileSet& files, const Deadline& deadline) {
  const std::vector<File>& all = files.files();
  std::vector<std::string> digests(all.size());
  Progress progress("sha256sum", all.size(), files.size_bytes());
  std::uint64_t summed_bytes = 0;
  for (std::size_t first = 0; first < all.size();) {
    const std::size_t end = batch_end(all, first);
    Command command;
    command.arguments = {"sha256sum", "--zero", "--"};
    for (std::size_t i = first; i < end; ++i) command.arguments.push_back(all[i].path);
    const Captured sums = capture("sha256sum", command, deadline);
    // "DIGEST  PATH\0" for each file, in order; a file that it cannot read is left out.
    std::string_view rest = sums.output;
    for (std::size_t i = first; i < end; ++i) {
      summed_bytes += all[i].size_bytes;
      const std::string_view line = rest.substr(0, rest.find('\0'));
      if (line.size() < kDigits + kSeparator || line.substr(kDigits + kSeparator) != all[i].path) {
        continue;
      }
      digests[i] = line.substr(0, kDigits);
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    first = end;
    progress.update(first, summed_bytes);
  }
  return digests;
}

Verification verify(const FileSet& files, const std::vector<std::string>& expected,
                    const VariantResult& result) {
  Verification verification;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& done = result.results[i];
    if (!done) continue;  // skipped, and listed there
    const File& file = files.files()[i];
    auto scratch = allot::scratch();
    if (to_hex(done->digest, *scratch) == expected[i]) {
      ++verification.right;
    } else if (FileSet::has_changed(file)) {
      verification.changed.push_back(file.path);
    } else {
      verification.wrong.push_back(file.path);
    }
  }
  return verification;
}

}  // namespace pipeline
