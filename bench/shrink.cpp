// shrink: how soon the memory of a region that grew is the machine's again.
//
// A session allocates 4 GiB in blocks, writes each page, frees all and trims. The clock begins with the
// last free and ends when less than 5 % of that is left of the region's data file, as the kernel counts
// its pages. Beside it, one punch of such a file, which nobody has mapped.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <allot/session.hpp>

#include "bench/daemon.hpp"
#include "bench/family.hpp"

namespace allot::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kBytes = std::uint64_t{4} << 30;
constexpr std::uint64_t kQuickBytes = std::uint64_t{256} << 20;
constexpr std::size_t kPageBytes = 4096;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// The data file of the daemon's region, which has no name: by one of the daemon's descriptors.
Descriptor data_file_of(const Daemon& daemon) {
  const std::filesystem::path directory = "/proc/" + std::to_string(daemon.pid()) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::error_code closed_meanwhile;
    const auto target = std::filesystem::read_symlink(entry.path(), closed_meanwhile).string();
    if (target.find(":data") == std::string::npos) continue;
    return {open(entry.path().c_str(), O_RDONLY | O_CLOEXEC), target.c_str()};
  }
  throw std::runtime_error("the daemon has no data file open");
}

std::uint64_t committed_bytes(const Descriptor& file) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) {
    throw std::system_error(errno, std::generic_category(), "fstat");
  }
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

/// Milliseconds from the last free until less than 5 % is left.
double shrink_once(Session& session, const Descriptor& data, std::uint64_t bytes,
                   std::size_t block_bytes) {
  std::vector<void*> blocks(bytes / block_bytes);
  for (void*& block : blocks) {
    block = session.allocate(block_bytes);
    if (block == nullptr) throw std::runtime_error(Session::last_error().message());
    for (std::size_t i = 0; i < block_bytes; i += kPageBytes) static_cast<char*>(block)[i] = 1;
  }
  for (void* const block : blocks) {
    if (session.free(block) != Errc::kOk) throw std::runtime_error("a block cannot be freed");
  }
  const Clock::time_point freed = Clock::now();
  (void)session.trim();
  while (committed_bytes(data) >= bytes / 20) {
    if (Clock::now() - freed > kDeadline) throw std::runtime_error("the region does not shrink");
    usleep(500);
  }
  return ms_since(freed);
}

double punch_once(std::uint64_t bytes) {
  const Descriptor file(memfd_create("allot_bench:punch", MFD_CLOEXEC), "memfd_create");
  const auto length = static_cast<off_t>(bytes);
  if (ftruncate(file.get(), length) != 0 || fallocate(file.get(), 0, 0, length) != 0) {
    throw std::system_error(errno, std::generic_category(), "a file to punch");
  }
  const Clock::time_point start = Clock::now();
  if (fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, length) != 0) {
    throw std::system_error(errno, std::generic_category(), "FALLOC_FL_PUNCH_HOLE");
  }
  return ms_since(start);
}

}  // namespace

std::vector<Measurement> measure_shrink(const Effort& effort) {
  const Daemon daemon;
  ConnectOptions options;
  options.socket_path = daemon.runtime_dir() / "client.sock";
  Session session = Session::connect(options).value();
  const Descriptor data = data_file_of(daemon);
  const std::uint64_t bytes = effort.quick ? kQuickBytes : kBytes;
  std::vector<Measurement> measurements;
  for (const auto& [case_name, block_bytes] : {std::pair{"4 GiB of 4 KiB", std::size_t{4} << 10},
                                               std::pair{"4 GiB of 1 MiB", std::size_t{1} << 20}}) {
    Sample ours;
    Sample punch;
    for (int round = 0; round < effort.rounds; ++round) {
      ours.add(shrink_once(session, data, bytes, block_bytes));
      punch.add(punch_once(bytes));
    }
    measurements.push_back({"shrink", case_name, "ms", ours, {{"one punch", punch}}, {}});
  }
  session.close();
  return measurements;
}

}  // namespace allot::bench
