// A client that allocates, checks, hands over and frees at random, whatever happens to its daemon.
//
// usage: load_client [--step]                  (the daemon is found as by every program: ALLOT_RUNTIME_DIR)
//        load_client --owners FD LIFE CLIENT   beside others: see owners.hpp
//
// Used by soak.py and by the test of systemd. Every block bears a pattern that is checked before it is
// freed or handed over, and by who takes it. Without --step it works until its standard input ends; with
// it, it does one round for each line; a fault ends it. A round ends with a line on standard output: the fields of Counts.
// It exits with 1 if a call failed, a byte was wrong or a block had two owners.

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <allot/session.hpp>

#include "tests/soak/owners.hpp"

namespace {

using allot::Handle;
using allot::soak::Owners;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kStepOperations = 20'000;
constexpr std::size_t kRoundOperations = 500;  // short, for who is killed in one has not counted it
constexpr std::size_t kLargeEach = 500;  // operations for one large block, which needs the daemon
constexpr std::size_t kTrimEach = 20'000;
constexpr std::size_t kMostBytes = std::size_t{64} << 20;

struct Counts {
  std::uint64_t operations = 0;
  std::uint64_t failures = 0;
  std::uint64_t wrong_bytes = 0;
  std::uint64_t second_owners = 0;  // of blocks that another living client had
  std::uint64_t taken = 0;          // blocks of other clients that this one adopted
  std::int64_t longest_us = 0;
};

bool is_good(const Counts& counts) {
  return counts.failures == 0 && counts.wrong_bytes == 0 && counts.second_owners == 0;
}

/// What every block begins with.
struct Label {
  std::uint64_t size = 0;
  std::uint64_t pattern = 0;
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
  Load(allot::Session session, std::optional<Owners> owners)
      : session_(std::move(session)), owners_(owners), random_(static_cast<unsigned>(::getpid())) {
    if (owners_) find_data();
  }

  Counts round(std::size_t operations) {
    counts_ = {};
    for (std::size_t i = 0; i < operations && is_good(counts_); ++i) {
      ++steps_;
      step(steps_ % kLargeEach == 0);
      if (steps_ % kTrimEach == 0) (void)timed([&] { return session_.trim(); });
    }
    return counts_;
  }
  Counts end() {
    counts_ = {};
    if (owners_) {
      while (const Handle handle = owners_->take_from(owners_->client()).handle) {
        const auto block = timed([&] { return session_.retract(handle); });
        if (block)
          keep(*block);
        else
          fail("retract", block.error());
      }
    }
    while (!blocks_.empty()) free(blocks_.size() - 1);
    return counts_;
  }

 private:
  struct Block {
    unsigned char* bytes = nullptr;
    Label label;
  };

  /// Where the region begins. Of no other block a handle is made but to give it: it slows its free.
  void find_data() {
    auto* const block = static_cast<unsigned char*>(session_.allocate(sizeof(Label)));
    if (block == nullptr) throw std::runtime_error(allot::Session::last_error().message());
    data_ = block - session_.handle_of(block).value().offset_bytes();
    (void)session_.free(block);
  }

  void step(bool large) {
    if (bytes_ > kMostBytes || (!large && !blocks_.empty() && random_() % 2 == 0)) {
      return free(random_() % blocks_.size());
    }
    allocate(large ? (std::size_t{1} << 20) * (1 + random_() % 4) : 16 + random_() % 2000);
    if (random_() % 16 != 0 || blocks_.empty()) return;
    const std::size_t index = random_() % blocks_.size();
    if (!owners_) return hand_to_oneself(index);
    give(index);
    take();
  }

  void allocate(std::size_t size) {
    auto* const bytes = static_cast<unsigned char*>(timed([&] { return session_.allocate(size); }));
    if (bytes == nullptr) return fail("allocate", allot::Session::last_error());
    const Label label{size, random_() % 256};
    std::memcpy(bytes, &label, sizeof(label));
    std::memset(bytes + sizeof(label), static_cast<int>(label.pattern), size - sizeof(label));
    keep(bytes);
  }

  /// It is ours from now on.
  void keep(void* bytes) {
    Block block{static_cast<unsigned char*>(bytes), {}};
    std::memcpy(&block.label, bytes, sizeof(block.label));
    if (block.label.size > session_.usable_size(bytes)) {
      ++counts_.wrong_bytes;
      block.label.size = sizeof(Label);
    }
    if (owners_ && !owners_->enter(offset(block))) ++counts_.second_owners;
    blocks_.push_back(block);
    bytes_ += block.label.size;
  }
  /// It is not ours any more, as soon as it is freed or offered.
  Block let_go(std::size_t index) {
    const Block block = blocks_[index];
    blocks_[index] = blocks_.back();
    blocks_.pop_back();
    bytes_ -= block.label.size;
    check(block);
    if (owners_ && !owners_->leave(offset(block))) ++counts_.second_owners;
    return block;
  }
  void check(const Block& block) {
    if (std::memcmp(block.bytes, &block.label, sizeof(block.label)) != 0) ++counts_.wrong_bytes;
    for (std::size_t i = sizeof(Label); i < block.label.size; ++i) {
      if (block.bytes[i] != block.label.pattern) ++counts_.wrong_bytes;
    }
  }
  [[nodiscard]] std::size_t offset(const Block& block) const {
    return static_cast<std::size_t>(block.bytes - data_);
  }

  void free(std::size_t index) {
    const Block block = let_go(index);
    const allot::Errc errc = timed([&] { return session_.free(block.bytes); });
    if (errc != allot::Errc::kOk) fail("free", allot::Error(errc));
  }

  void hand_to_oneself(std::size_t index) {
    const auto handle = timed([&] { return session_.offer(blocks_[index].bytes); });
    if (!handle) return fail("offer", handle.error());
    const auto adopted = timed([&] { return session_.adopt(*handle); });
    if (!adopted) return fail("adopt", adopted.error());
    if (*adopted != blocks_[index].bytes) ++counts_.wrong_bytes;
  }

  void give(std::size_t index) {
    const Block block = let_go(index);
    const auto handle = timed([&] { return session_.offer(block.bytes); });
    if (!handle) return fail("offer", handle.error());
    if (owners_->put(*handle)) return;
    const auto retracted = timed([&] { return session_.retract(*handle); });
    if (!retracted) return fail("retract", retracted.error());
    keep(*retracted);
  }
  void take() {
    const Owners::Gift gift = owners_->take();
    if (!gift.handle) return;
    const auto block = timed([&] { return session_.adopt(gift.handle); });
    if (block) {
      ++counts_.taken;
      keep(*block);
    } else if (!owners_->is_dead(gift.giver)) {
      fail("adopt", block.error());
    }
  }

  void fail(const char* what, const allot::Error& error) {
    ++counts_.failures;
    std::fprintf(stderr, "load_client %d: %s: %s\n", ::getpid(), what, error.message().c_str());
  }

  allot::Session session_;
  std::optional<Owners> owners_;
  std::mt19937 random_;
  const unsigned char* data_ = nullptr;
  std::vector<Block> blocks_;
  std::size_t bytes_ = 0;
  std::uint64_t steps_ = 0;
  Counts counts_;
};

bool print(const Counts& counts) {
  std::printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64 "\n",
              counts.operations, counts.failures, counts.wrong_bytes, counts.second_owners,
              counts.taken, counts.longest_us);
  std::fflush(stdout);
  return is_good(counts);
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

int usage() {
  std::fputs("usage: load_client [--step | --owners FD LIFE CLIENT]\n", stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  const bool by_step = mode == "--step" && argc == 2;
  std::optional<Owners> owners;
  if (mode == "--owners" && argc == 5) {
    owners.emplace(std::atoi(argv[2]), static_cast<allot::soak::Life>(std::atoi(argv[3])),
                   static_cast<std::size_t>(std::atoi(argv[4])));
  } else if (argc > 1 && !by_step) {
    return usage();
  }
  auto session = allot::Session::connect();
  if (!session) {
    std::fprintf(stderr, "load_client: %s\n", session.error().message().c_str());
    return 1;
  }
  Load load(std::move(*session), owners);
  bool is_fine = true;
  while (is_fine && goes_on(by_step)) {
    is_fine = print(load.round(by_step ? kStepOperations : kRoundOperations));
  }
  is_fine = print(load.end()) && is_fine;
  return is_fine ? 0 : 1;
}
