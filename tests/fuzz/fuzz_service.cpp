// Members of a region may send what they like, in any order, die and come back at any moment; the
// daemon may lack memory and be restarted between any two events. Then the audit is clean, a member
// that did nothing wrong has what it had, and when all are dead all is free.

#include <array>
#include <deque>
#include <optional>
#include <utility>

#include <gtest/gtest.h>

#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/hostile_member.hpp"
#include "tests/support/core_aftermath.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::test {
namespace {

namespace p = protocol;
using detail::OwnWord;

constexpr uid_t kGoodUid = 2000;
constexpr std::uint32_t kGoodWords = 4;
constexpr int kMostRestarts = 2;  // they take longer than all the rest

core::Limits small_limits() {
  core::Limits limits;
  limits.session_quota_bytes = 40 * region::kGranuleBytes;
  limits.uid_quota_bytes = 48 * region::kGranuleBytes;
  limits.commit_limit_bytes = 56 * region::kGranuleBytes;
  limits.max_sessions = 8;
  limits.max_heaps = 5;
  limits.max_names = 4;
  limits.message_burst = ~0U;
  return limits;
}

class FuzzedService : public PureDaemon {
 public:
  FuzzedService() : PureDaemon(small_limits()) {
    const auto [connection, welcome] = join(kGoodUid);
    const Handle published = offered_block(connection, welcome.session);
    first_ = published.offset_bytes() / region::kGranuleBytes;
    p::Publish publish{published.bits(), {}};
    p::set_text(publish.name, "good");
    (void)ask_for<p::Done>(connection, publish);
    spare_ = ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 256, 1}).first;
    for (std::uint32_t i = 1; i < region::kSizeClasses.at(region::bin_of(256)).block_count; ++i) {
      const std::uint32_t owner = i < kGoodWords ? welcome.session : OwnWord::kFree;
      view().word(first_, i).store_release(OwnWord::make(owner, i));
    }
    good_ = goods();
    for (Client& one : clients_) one.connection = connect(one.uid);
  }

  void run(FuzzInput input) {
    while (!input.is_empty()) {
      event(input);
      ASSERT_EQ(goods(), good_);
    }
    finish_all();
    expect_clean_audit(core());
    expect_all_comes_back(core());
    for (auto ranges = core().next_punch(8, kPlenty); !ranges.empty();
         ranges = core().next_punch(8, kPlenty)) {
    }
    EXPECT_EQ(core().dirty_bytes(), 0U);
  }

 private:
  struct Client {
    uid_t uid;
    std::optional<core::ConnectionId> connection = {};
    HostileMember member = {};
  };
  // All of what a well-behaved session has: descriptor, carve word, own words.
  using Goods = std::array<std::uint64_t, 3 + kGoodWords>;

  void TestBody() override {}
  [[nodiscard]] region::RegionView view() const { return memories.front()->view(); }
  [[nodiscard]] Goods goods() const {
    Goods out{view().descriptor(first_).load_acquire(),
              view().span_ledger(first_).carve.load_acquire(),
              view().descriptor(spare_).load_acquire()};
    for (std::uint32_t i = 0; i < kGoodWords; ++i)
      out[3 + i] = view().word(first_, i).load_acquire();
    return out;
  }

  void event(FuzzInput& input) {
    const std::uint32_t kind = input.below(32);
    Client& client = clients_[input.below(clients_.size())];
    switch (kind) {
      case 0: return restart();
      case 1: return drop(client);
      case 2:
        if (client.member.session == 0) return;
        core::Service::image_gone({&core(), client.member.session, client.member.incarnation});
        client.member = {};
        return;
      case 3:
        if (client.connection) return;
        client.connection = connect(client.uid);
        return;
      case 4:
      case 5: (void)service.recover_step(1 + input.byte(), now); return;
      case 6:
        now.monotonic_ns += std::uint64_t{input.byte()} << 22;
        core().sweep(now.monotonic_ns);
        for (const auto& range : core().next_punch(8, now.monotonic_ns)) {
          if (input.byte() == 0) return core().punch_failed(range, now.monotonic_ns);
          memories.front()->punch(range);
        }
        return;
      case 7: return finish_all();
      case 8:
      case 9: return finish_first(input.byte() != 0);
      case 10:
      case 11:
      case 12:
      case 13:
      case 14:
      case 15: return client.member.move_block(input, view());
      case 16: return send(client, scrawled(input, client.member.request(input, view())), true);
      default:
        const p::Wire wire = p::encode({kind, client.member.request(input, view())});
        return send(client, wire, input.byte() != 0);
    }
  }

  // A message with some other bytes in it, of another length.
  static std::vector<std::byte> scrawled(FuzzInput& input, const p::Body& body) {
    const p::Wire wire = p::encode({1, body});
    std::vector<std::byte> bytes(wire.begin(), wire.end());
    for (std::uint32_t i = input.below(4); i > 0; --i) {
      const std::uint32_t place = input.below(p::kMessageBytes);
      bytes[place] = std::byte{input.byte()};
    }
    if (input.byte() > 0xE0) bytes.resize(input.byte());
    return bytes;
  }

  void send(Client& client, std::span<const std::byte> bytes, bool is_same) {
    if (!client.connection) return;
    core::Outcome outcome = service.handle(*client.connection, bytes, now);
    // Of another's session the kernel would not say that it is the same process.
    if (outcome.resume) {
      is_same = is_same && outcome.resume->session.id == client.member.session;
      outcome = service.finish_resume(*outcome.resume, is_same);
    }
    for (const core::Send& one : outcome.sends) {
      if (!one.welcome) continue;
      core().note_welcomed(one.welcome->id);
      client.member = {one.welcome->id, one.welcome->incarnation};
    }
    if (outcome.commit) pending_.push_back(*outcome.commit);
    if (outcome.drop) drop(client);
  }

  void drop(Client& client) {
    if (client.connection) service.close_connection(*std::exchange(client.connection, {}));
  }

  void finish_first(bool committed) {
    if (pending_.empty()) return;
    const core::PendingCommit pending = std::move(pending_.front());
    pending_.pop_front();
    (void)finish(pending, committed ? Expected<void>() : Error(Errc::kMachineFull));
  }
  void finish_all() {
    while (!pending_.empty()) finish_first(true);
  }

  void restart() {
    if (++restarts_ > kMostRestarts) return;
    service = {};
    pending_.clear();
    for (Client& one : clients_) one.connection.reset();
    memories.front()->open_heaps(
        core::RegionCore::heaps_to_open(view(), memories.front()->vault()));
    auto restored = core::RegionCore::restore(view(), memories.front()->vault(), limits);
    ASSERT_TRUE(restored) << restored.error().message();
    service.add_region(std::move(*restored), {});
  }

  std::array<Client, 3> clients_{{{1000}, {1001}, {1000}}};
  std::deque<core::PendingCommit> pending_;
  std::uint64_t first_ = 0;
  std::uint64_t spare_ = 0;
  Goods good_{};
  int restarts_ = 0;
};

}  // namespace
}  // namespace allot::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allot::test::FuzzedService().run({data, size});
  return 0;
}
