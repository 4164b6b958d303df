#include "tests/support/pure_daemon.hpp"

#include <utility>

#include "tests/support/core_region.hpp"

namespace allot::test {

namespace p = protocol;
using detail::OwnWord;

PureDaemon::PureDaemon(const core::Limits& with_limits) : limits(with_limits) {
  add_region(limits, {});
}

void PureDaemon::add_region(const core::Limits& with_limits, core::AccessPolicy policy) {
  memories.push_back(std::make_unique<MemoryRegion>(64));
  const std::string name = memories.size() == 1 ? "default" : "other";
  const auto tag = static_cast<std::uint32_t>(memories.size());
  service.add_region(std::make_unique<core::RegionCore>(memories.back()->view(), name, tag,
                                                        with_limits, 1, memories.back()->vault()),
                     std::move(policy));
}

core::Outcome PureDaemon::handle(core::ConnectionId from, const p::Body& body,
                                 std::uint64_t request) {
  return service.handle(from, p::encode({request, body}), now);
}

core::Outcome PureDaemon::finish(const core::PendingCommit& pending,
                                 const Expected<void>& committed) {
  if (committed) {
    memories.front()->open(pending.high_water_granules);
    memories.front()->open_heaps(pending.heap_count);
  }
  return service.finish_commit(pending, committed, now);
}

std::optional<p::Body> PureDaemon::ask(core::ConnectionId from, const p::Body& body) {
  core::Outcome outcome = handle(from, body);
  if (outcome.commit) {
    EXPECT_TRUE(outcome.sends.empty()) << "answered before the memory was there";
    outcome = finish(*outcome.commit);
  }
  if (outcome.sends.empty()) return std::nullopt;
  EXPECT_EQ(outcome.sends.size(), 1U);
  EXPECT_EQ(outcome.sends[0].to, from);
  EXPECT_EQ(outcome.sends[0].message.request, 7U);
  return outcome.sends[0].message.body;
}

p::Hello PureDaemon::hello(const std::string& region) {
  p::Hello body;
  body.fingerprint = region::fingerprint();
  p::set_text(body.region, region);
  p::set_text(body.label, "test");
  return body;
}

std::pair<core::ConnectionId, p::Welcome> PureDaemon::join(uid_t uid) {
  const core::ConnectionId connection = connect(uid);
  const auto welcome = ask_for<p::Welcome>(connection, hello());
  core().note_welcomed(welcome.session);
  return {connection, welcome};
}

std::vector<core::Send> PureDaemon::recover(std::vector<core::SessionKey>* ended) {
  std::vector<core::Send> sends;
  for (int slices = 0; service.recovery_pending(); ++slices) {
    for (core::Send& send : service.recover_step(1000, now, ended)) {
      sends.push_back(std::move(send));
    }
    if (slices < 10'000) continue;
    ADD_FAILURE() << "recovery does not come to an end";
    break;
  }
  return sends;
}

Handle PureDaemon::offered_block(core::ConnectionId connection, std::uint32_t session) {
  const auto first = ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1}).first;
  const region::RegionView view = memories.front()->view();
  view.word(first, 0).store_release(owned_word(session, 5, OwnWord::kExposed | OwnWord::kOffered));
  view.span_ledger(first).carve.store_release(region::CarveWord::blocks(region::bin_of(256)));
  return Handle::make(1, first * region::kGranuleBytes, 5);
}

std::string PureDaemon::failure_text(const std::optional<p::Body>& answer) {
  if (!answer) return "none";
  const auto* const failure = std::get_if<p::Failure>(&*answer);
  if (failure == nullptr) return "of index " + std::to_string(answer->index());
  return p::to_error(*failure).message();
}

}  // namespace allot::test
