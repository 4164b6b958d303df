#include "examples/pipeline/file_table.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string_view>

#include "examples/pipeline/digest.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/scratch_list.hpp"
#include "examples/pipeline/text.hpp"

namespace pipeline {

namespace {

constexpr std::size_t kShownFiles = 8;
constexpr std::size_t kShownDigits = 16;

}  // namespace

FileTable::FileTable(const std::string& list_path)
    : files_(FileSet::load(list_path)), has_result_(files_.files().size()) {}

bool FileTable::add(const FileDone& done) {
  if (done.file >= has_result_.size()) {
    throw Failure(ExitCode::kWrong, "a result of file " + std::to_string(done.file));
  }
  if (has_result_[done.file]) {
    ++repeated_;
    return false;
  }
  has_result_[done.file] = true;
  return true;
}

void FileTable::print(int fd, std::span<const FileDone> results) const {
  ScratchList<FileDone> list;
  std::uint64_t size_bytes = 0;
  std::uint64_t lines = 0;
  for (const FileDone& result : results) {
    list.add(result);
    size_bytes += result.size_bytes;
    lines += result.lines;
  }
  const std::span<FileDone> done = list.items();
  const auto shown = static_cast<std::ptrdiff_t>(std::min(done.size(), kShownFiles));
  std::partial_sort(
      done.begin(), done.begin() + shown, done.end(),
      [](const FileDone& a, const FileDone& b) { return a.size_bytes > b.size_bytes; });
  ::dprintf(fd, "\ncollected %s files, %s bytes, %s lines; %s results came twice\n\n",
            grouped(done.size()).c_str(), grouped(size_bytes).c_str(), grouped(lines).c_str(),
            grouped(repeated_).c_str());
  ::dprintf(fd, "%-*s %13s %11s  %-6s  %s\n", static_cast<int>(kShownDigits), "SHA-256", "BYTES",
            "LINES", "WORKER", "LARGEST FILES");
  for (std::ptrdiff_t i = 0; i < shown; ++i) {
    const FileDone& one = done[static_cast<std::size_t>(i)];
    auto scratch = allot::scratch();
    const std::string_view digits = to_hex(one.digest, *scratch);
    ::dprintf(fd, "%.*s %13s %11s  %6" PRIu32 "  %s\n", static_cast<int>(kShownDigits),
              digits.data(), grouped(one.size_bytes).c_str(), grouped(one.lines).c_str(),
              one.worker, printable(files_.files().at(one.file).path).c_str());
  }
}

}  // namespace pipeline
