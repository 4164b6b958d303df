#include "examples/pipeline/block_loader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <span>
#include <utility>

#include "examples/pipeline/descriptor.hpp"

namespace pipeline {

namespace {

allot::Owned<std::byte[]> allocate_bytes(allot::Session& session, std::size_t size_bytes) {
  // Not make_array(): read() fills them, so zeroes would be written for nothing.
  void* const block = session.allocate(size_bytes);
  return {session, static_cast<std::byte*>(block), block != nullptr ? size_bytes : 0};
}

// Reads until `into` is full or the file ends: bytes read, or -1 and errno.
ssize_t read_fully(int fd, std::span<std::byte> into) {
  std::size_t filled = 0;
  while (filled < into.size()) {
    const ssize_t got = ::read(fd, into.data() + filled, into.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(filled);
}

}  // namespace

LoadedFile load_file(allot::Session& session, const std::string& path) {
  LoadedFile loaded;
  const auto unreadable = [&loaded] {
    loaded.outcome = LoadedFile::Outcome::kUnreadable;
    loaded.error = errno;
    return std::move(loaded);
  };
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return unreadable();
  const auto size_bytes = static_cast<std::uint64_t>(status.st_size);
  while (loaded.size_bytes < size_bytes) {
    const auto want = std::min<std::uint64_t>(size_bytes - loaded.size_bytes, kMaxDataBlockBytes);
    allot::Owned<std::byte[]> block = allocate_bytes(session, want);
    if (!block) {
      loaded.outcome = LoadedFile::Outcome::kNoMemory;
      return loaded;
    }
    const ssize_t got = read_fully(file.get(), {block.get(), want});
    if (got < 0) return unreadable();
    if (got == 0) break;  // it became shorter
    const auto count = static_cast<std::size_t>(got);
    loaded.size_bytes += count;
    loaded.blocks.emplace_back(session, std::move(block).detach(), count);
  }
  return loaded;
}

allot::Owned<JobRecord> make_job(allot::Session& session, std::size_t file, std::size_t blocks) {
  void* const block = session.allocate(JobRecord::size_for(blocks));
  if (block == nullptr) return {};
  auto* const record = ::new (block) JobRecord{file, blocks};
  std::uninitialized_default_construct_n(reinterpret_cast<DataBlock*>(record + 1), blocks);
  return {session, record};
}

}  // namespace pipeline
