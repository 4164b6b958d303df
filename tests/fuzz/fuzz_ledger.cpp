// Members may write what they like into the ledger, before and between slices of recovery, audit, map
// and sweep, and across a restart. The daemon's core stays inside what is mapped (guard pages lie
// around each table), comes to an end with all it begins, and lets nobody lose a span.

#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/control_requests.hpp"
#include "tests/fuzz/fuzz_input.hpp"
#include "tests/fuzz/hostile_member.hpp"
#include "tests/support/core_aftermath.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::test {
namespace {

namespace p = protocol;
using detail::OwnWord;

constexpr std::uint32_t kHeaps = 3;
constexpr int kMostSlices = 100'000;
constexpr int kMostRestarts = 2;  // they take longer than all the rest
constexpr std::array<std::string_view, 6> kReports = {
    R"({"request":"check"})",  R"({"request":"map"})",   R"({"request":"bins"})",
    R"({"request":"arenas"})", R"({"request":"spans"})", R"({"request":"names"})"};

class FuzzedLedger : public PureDaemon {
 public:
  FuzzedLedger() {
    for (auto& [connection, member] : members_) {
      const auto [joined, welcome] = join();
      connection = joined;
      member = {welcome.session, welcome.incarnation};
      (void)ask_for<p::HeapAttached>(connection, p::AttachHeap{});
      const Handle published = offered_block(connection, member.session);
      p::Publish publish{published.bits(), {}};
      publish.name[0] = static_cast<char>('a' + member.session % 26);
      (void)ask_for<p::Done>(connection, publish);
      (void)ask_for<p::Granted>(connection, p::GrantRequest{2, 2, 256, 1});
      const auto large = ask_for<p::Granted>(connection, p::GrantRequest{3, 1, 4096, 1}).first;
      view().word(large, 0).store_release(owned_word(member.session, 1, OwnWord::kOffered));
      view().span_ledger(large).carve.store_release(region::CarveWord::kChunked);
    }
    granted_ = granted_to(members_[0].second.session);
  }

  void run(FuzzInput input) {
    while (!input.is_empty()) {
      event(input);
      ASSERT_EQ(granted_to(members_[0].second.session), granted_);
    }
    while (report_ != nullptr) step_report();
    expect_all_comes_back(core());
  }

 private:
  using Spans = std::vector<std::pair<std::uint64_t, std::uint32_t>>;

  void TestBody() override {}
  [[nodiscard]] region::RegionView view() const { return memories.front()->view(); }

  [[nodiscard]] Spans granted_to(std::uint32_t session) const {
    Spans out;
    for (std::uint64_t at = 0; at < view().header().high_water_granules.load_relaxed(); ++at) {
      const auto head = region::SpanDescriptor::decode(view().descriptor(at).load_acquire());
      if (head.is_head() && head.session == session) out.emplace_back(at, head.granules);
    }
    return out;
  }

  void event(FuzzInput& input) {
    const std::uint32_t kind = input.below(16);
    // The first member does nothing: what it has must stay. The other two are hostile.
    auto& [connection, member] = members_[1 + kind % 2];
    switch (kind) {
      case 0: return restart();
      case 1:
      case 2: return core::Service::image_gone({&core(), member.session, member.incarnation});
      case 3:
      case 4: (void)service.recover_step(1 + input.byte(), now); return;
      case 5:
        now.monotonic_ns += std::uint64_t{input.byte()} << 24;
        return core().sweep(now.monotonic_ns);
      case 6:
        for (const auto& range : core().next_punch(8, now.monotonic_ns)) {
          memories.front()->punch(range);
        }
        return;
      case 7:
        if (report_ == nullptr) {
          report_ = daemon::ControlRequest::parse(kReports[input.below(kReports.size())],
                                                  {1, 1000, 100}, false, context());
        }
        return step_report();
      case 8:
      case 9: {
        core::Outcome outcome = handle(connection, member.request(input, view()));
        if (outcome.commit) (void)finish(*outcome.commit);
        return;
      }
      default: return HostileMember::scribble(input, view(), kHeaps);
    }
  }

  daemon::ControlContext context() {
    return {.service = &service,
            .status = [] { return daemon::ServerStatus{}; },
            .committed_bytes = [](const auto&, auto) { return std::uint64_t{0}; },
            .window_granules = [](const auto& region) { return region.high_water_granules(); },
            .heap_window = [](const auto&) { return kHeaps; },
            .changed = [] {}};
  }

  void step_report() {
    ASSERT_LT(++slices_, kMostSlices) << "a report does not come to an end";
    if (report_ == nullptr || report_->step()) {
      report_.reset();
      slices_ = 0;
    }
  }

  void restart() {
    if (++restarts_ > kMostRestarts) return;
    report_.reset();
    service = {};
    auto restored = core::RegionCore::restore(view(), memories.front()->vault(), limits);
    ASSERT_TRUE(restored) << restored.error().message();
    service.add_region(std::move(*restored), {});
    for (auto& [connection, member] : members_) connection = connect();
  }

  // Who leaves a heap takes part no more; the ledgers of three stay open.
  std::array<std::pair<core::ConnectionId, HostileMember>, kHeaps> members_;
  Spans granted_;
  std::unique_ptr<daemon::ControlRequest> report_;
  int slices_ = 0;
  int restarts_ = 0;
};

}  // namespace
}  // namespace allot::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allot::test::FuzzedLedger().run({data, size});
  return 0;
}
