// FileSet: the files of a run, found once, named by their index from then on.
//
// Used by the orchestrator, which finds them, and by the roles, which load() the list from a file
// in the runtime directory. Symbolic links are not followed; what is no regular file, cannot be
// read, or would make more than the limit is left out and counted by reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace pipeline {

struct File {
  std::string path;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;
};

struct Skipped {
  std::string path;
  std::string reason;
};

class FileSet {
 public:
  /// Walks `paths` in the order of names and takes at most `max_bytes` of files. A path that does
  /// not exist is a Failure.
  [[nodiscard]] static FileSet scan(const std::vector<std::string>& paths, std::uint64_t max_bytes);
  [[nodiscard]] static FileSet load(const std::string& list_path);
  void save(const std::string& list_path) const;

  /// Reads every file once, so that each variant finds it in the page cache, and leaves out those
  /// that cannot be read.
  void warm();

  [[nodiscard]] const std::vector<File>& files() const noexcept { return files_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return size_bytes_; }
  /// Files that cannot be read, or are larger than max_bytes.
  [[nodiscard]] const std::vector<Skipped>& skipped() const noexcept { return skipped_; }
  [[nodiscard]] std::uint64_t symlinks() const noexcept { return symlinks_; }
  [[nodiscard]] std::uint64_t specials() const noexcept { return specials_; }
  /// Bytes were left over for no further file: there may be more of them.
  [[nodiscard]] bool is_full() const noexcept { return is_full_; }

  /// True if the file was changed since scan(), or cannot be looked at.
  [[nodiscard]] static bool has_changed(const File& file);

 private:
  void take(const std::filesystem::path& path);
  void take_directory(const std::filesystem::path& path);

  std::vector<File> files_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t max_bytes_ = 0;
  std::vector<Skipped> skipped_;
  std::uint64_t symlinks_ = 0;
  std::uint64_t specials_ = 0;
  bool is_full_ = false;
};

}  // namespace pipeline
