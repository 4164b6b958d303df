#include "shared/platform/memfd.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "shared/platform/system_error.hpp"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace allot::platform {

namespace {

constexpr int kRegionSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

Expected<Descriptor> make_memfd(const std::string& name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int fd = ::memfd_create(name.c_str(), kFlags | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = ::memfd_create(name.c_str(), kFlags);  // before 6.3
  if (fd < 0) return system_error("memfd_create");
  Descriptor file(fd);
  if (::fchmod(file.get(), 0600) != 0) return system_error("fchmod(memfd)");
  return file;
}

}  // namespace

Expected<Descriptor> make_sealed_memfd(const std::string& name, std::uint64_t size_bytes) {
  auto file = make_memfd(name);
  if (!file) return file;
  if (::ftruncate(file->get(), static_cast<off_t>(size_bytes)) != 0) {
    return system_error("ftruncate(memfd)");
  }
  if (::fcntl(file->get(), F_ADD_SEALS, kRegionSeals) != 0) return system_error("F_ADD_SEALS");
  return file;
}

Expected<Descriptor> make_presence_file(const std::string& name) {
  auto file = make_memfd(name);
  if (!file) return file;
  if (::fcntl(file->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return system_error("F_ADD_SEALS");
  }
  return file;
}

PresenceState try_seal_presence(const Descriptor& presence) noexcept {
  if (::fcntl(presence.get(), F_ADD_SEALS, F_SEAL_WRITE) == 0) return PresenceState::kGone;
  return errno == EBUSY ? PresenceState::kMapped : PresenceState::kTampered;
}

bool is_sealed_memfd(const Descriptor& file) noexcept {
  const int seals = ::fcntl(file.get(), F_GET_SEALS);
  return seals >= 0 && (seals & kRegionSeals) == kRegionSeals;
}

std::uint64_t file_bytes(const platform::Descriptor& file) noexcept {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

bool is_memory_file(const Descriptor& file) noexcept {
  return ::fcntl(file.get(), F_GET_SEALS) != -1;
}

Expected<Descriptor> reopen_read_only(const Descriptor& file) {
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return system_error("open(" + path + ")");
  return Descriptor(fd);
}

Expected<void> commit_range(const Descriptor& file, std::uint64_t offset_bytes,
                            std::uint64_t length_bytes) {
  while (::fallocate(file.get(), 0, static_cast<off_t>(offset_bytes),
                     static_cast<off_t>(length_bytes)) != 0) {
    if (errno != EINTR) return system_error("fallocate");
  }
  return {};
}

Expected<void> punch_range(const Descriptor& file, std::uint64_t offset_bytes,
                           std::uint64_t length_bytes) {
  while (::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                     static_cast<off_t>(offset_bytes), static_cast<off_t>(length_bytes)) != 0) {
    if (errno != EINTR) return system_error("fallocate(punch hole)");
  }
  return {};
}

std::uint64_t committed_bytes(const Descriptor& file) noexcept {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return 0;
  return static_cast<std::uint64_t>(status.st_blocks) * 512U;
}

}  // namespace allot::platform
