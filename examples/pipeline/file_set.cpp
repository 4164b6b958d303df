#include "examples/pipeline/file_set.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

#include "examples/pipeline/descriptor.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/wait.hpp"

namespace pipeline {

namespace {

namespace fs = std::filesystem;

// The walk ends when less than this part of the limit is left, not at the last byte.
constexpr std::uint64_t kFullFraction = 256;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

std::string error_text(int error) { return std::generic_category().message(error); }

std::int64_t modified_ns(const struct stat& status) {
  return std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
}

// Reads the file to its end; 0 or the errno of what failed.
int read_through(const std::string& path, std::vector<char>& buffer) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return errno;
  ssize_t got = 0;
  do {
    got = ::read(file.get(), buffer.data(), buffer.size());
  } while (got > 0 || (got < 0 && errno == EINTR));
  return got < 0 ? errno : 0;
}

}  // namespace

FileSet FileSet::scan(const std::vector<std::string>& paths, std::uint64_t max_bytes) {
  FileSet set;
  set.max_bytes_ = max_bytes;
  for (const std::string& path : paths) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) throw system_failure(path);
    // A name that begins with '-' would be an option (or standard input) to sha256sum.
    set.take(path.starts_with('-') ? fs::path(".") / path : fs::path(path));
  }
  return set;
}

void FileSet::take(const fs::path& path) {
  if (is_full_) return;
  check_interrupted();
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    skipped_.push_back({path.native(), error_text(errno)});
  } else if (S_ISLNK(status.st_mode)) {
    ++symlinks_;
  } else if (S_ISDIR(status.st_mode)) {
    take_directory(path);
  } else if (!S_ISREG(status.st_mode)) {
    ++specials_;
  } else {
    const auto bytes = static_cast<std::uint64_t>(status.st_size);
    if (bytes > max_bytes_ - size_bytes_) {
      skipped_.push_back({path.native(), "does not fit in --max-bytes"});
    } else {
      files_.push_back({path.native(), bytes, modified_ns(status)});
      size_bytes_ += bytes;
    }
    is_full_ = max_bytes_ - size_bytes_ < max_bytes_ / kFullFraction;
  }
}

void FileSet::take_directory(const fs::path& path) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  if (error) skipped_.push_back({path.native(), error.message()});
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) take(entry);
}

void FileSet::save(const std::string& list_path) const {
  std::ofstream list(list_path, std::ios::binary);
  for (const File& file : files_) {
    list << file.size_bytes << ' ' << file.path << '\0';
  }
  list.flush();
  if (!list) throw Failure(ExitCode::kEnvironment, "cannot write " + list_path);
}

FileSet FileSet::load(const std::string& list_path) {
  std::ifstream list(list_path, std::ios::binary);
  if (!list) throw Failure(ExitCode::kEnvironment, "cannot read " + list_path);
  FileSet set;
  File file;
  while (list >> file.size_bytes && list.get() == ' ' && std::getline(list, file.path, '\0')) {
    set.size_bytes_ += file.size_bytes;
    set.files_.push_back(file);
  }
  return set;
}

void FileSet::warm() {
  std::vector<char> buffer(kReadBytes);
  std::vector<File> readable;
  readable.reserve(files_.size());
  for (File& file : files_) {
    check_interrupted();
    const int error = read_through(file.path, buffer);
    if (error == 0) {
      readable.push_back(std::move(file));
    } else {
      size_bytes_ -= file.size_bytes;
      skipped_.push_back({std::move(file.path), error_text(error)});
    }
  }
  files_ = std::move(readable);
}

bool FileSet::has_changed(const File& file) {
  struct stat status {};
  return ::lstat(file.path.c_str(), &status) != 0 ||
         static_cast<std::uint64_t>(status.st_size) != file.size_bytes ||
         modified_ns(status) != file.modified_ns;
}

}  // namespace pipeline
