// A client that allocates, checks, hands over and frees at random, whatever happens to its daemon.
//
// usage: load_client [--step]      (the daemon is found as by every program: ALLOT_RUNTIME_DIR)
//
// Used by soak.py and by the test of systemd. Every block bears a pattern that is checked before it is
// freed. Without --step it works until its standard input ends; with it, it does one round for each
// line. A round ends with a line on standard output: how many operations there were since the last,
// how many calls failed, how many bytes were wrong, and the longest call in microseconds. It exits
// with 1 if a call failed or a byte was wrong.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <allot/session.hpp>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRoundOperations = 20'000;
constexpr std::size_t kLargeEach = 500;  // operations for one large block, which needs the daemon
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

struct Counts {
  std::uint64_t operations = 0;
  std::uint64_t failures = 0;
  std::uint64_t wrong_bytes = 0;
  std::int64_t longest_us = 0;
};

class Load {
  template <class Call>
  auto timed(Call call) {
    const auto start = Clock::now();
    auto result = call();
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start);
    counts_.longest_us = std::max<std::int64_t>(counts_.longest_us, took.count());
    ++counts_.operations;
    return result;
  }

 public:
  explicit Load(allot::Session session)
      : session_(std::move(session)), random_(static_cast<unsigned>(::getpid())) {}

  Counts round() {
    counts_ = {};
    for (std::size_t i = 0; i < kRoundOperations; ++i) step(i % kLargeEach == 0);
    (void)timed([&] { return session_.trim(); });
    return counts_;
  }
  Counts end() {
    counts_ = {};
    while (!blocks_.empty()) free(blocks_.size() - 1);
    return counts_;
  }

 private:
  struct Block {
    unsigned char* bytes = nullptr;
    std::size_t size = 0;
    unsigned char pattern = 0;
  };

  void step(bool large) {
    if (bytes_ > kMostBytes || (!large && !blocks_.empty() && random_() % 2 == 0)) {
      return free(random_() % blocks_.size());
    }
    allocate(large ? (std::size_t{1} << 20) * (1 + random_() % 4) : 16 + random_() % 2000);
    if (random_() % 64 == 0) hand_over(random_() % blocks_.size());
  }

  void allocate(std::size_t size) {
    auto* const bytes = static_cast<unsigned char*>(timed([&] { return session_.allocate(size); }));
    if (bytes == nullptr) return fail("allocate", allot::Session::last_error());
    const auto pattern = static_cast<unsigned char>(random_());
    std::memset(bytes, pattern, size);
    blocks_.push_back({bytes, size, pattern});
    bytes_ += size;
  }

  void free(std::size_t index) {
    const Block block = blocks_[index];
    blocks_[index] = blocks_.back();
    blocks_.pop_back();
    bytes_ -= block.size;
    for (std::size_t i = 0; i < block.size; ++i) {
      if (block.bytes[i] != block.pattern) ++counts_.wrong_bytes;
    }
    const allot::Errc errc = timed([&] { return session_.free(block.bytes); });
    if (errc != allot::Errc::kOk) fail("free", allot::Error(errc));
  }

  void hand_over(std::size_t index) {
    const auto handle = timed([&] { return session_.offer(blocks_[index].bytes); });
    if (!handle) return fail("offer", handle.error());
    const auto adopted = timed([&] { return session_.adopt(*handle); });
    if (!adopted) return fail("adopt", adopted.error());
    if (*adopted != blocks_[index].bytes) ++counts_.wrong_bytes;
  }

  void fail(const char* what, const allot::Error& error) {
    ++counts_.failures;
    std::fprintf(stderr, "load_client %d: %s: %s\n", ::getpid(), what, error.message().c_str());
  }

  allot::Session session_;
  std::mt19937 random_;
  std::vector<Block> blocks_;
  std::size_t bytes_ = 0;
  Counts counts_;
};

bool print(const Counts& counts) {
  std::printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 "\n", counts.operations,
              counts.failures, counts.wrong_bytes, counts.longest_us);
  std::fflush(stdout);
  return counts.failures == 0 && counts.wrong_bytes == 0;
}

/// Whether another round is wanted: for each line, or as long as the input has not ended.
bool goes_on(bool by_step) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (!by_step && ::poll(&input, 1, 0) == 0) return true;
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) == 1) {
    if (byte == '\n') return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  const bool by_step = argc == 2 && std::string_view(argv[1]) == "--step";
  if (argc > 1 && !by_step) {
    std::fputs("usage: load_client [--step]\n", stderr);
    return 2;
  }
  auto session = allot::Session::connect();
  if (!session) {
    std::fprintf(stderr, "load_client: %s\n", session.error().message().c_str());
    return 1;
  }
  Load load(std::move(*session));
  bool is_good = true;
  while (goes_on(by_step)) is_good = print(load.round()) && is_good;
  is_good = print(load.end()) && is_good;
  return is_good ? 0 : 1;
}
