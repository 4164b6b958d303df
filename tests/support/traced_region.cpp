#include "tests/support/traced_region.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>

#include <gtest/gtest.h>

#include "client/channel.hpp"
#include "client/session_state.hpp"
#include "shared/platform/memfd.hpp"
#include "tests/support/core_aftermath.hpp"
#include "tests/support/ledger_areas.hpp"

namespace allot::test {

namespace p = protocol;

namespace {

constexpr std::uint64_t kGranules = 64;
constexpr std::uint32_t kTag = 77;
constexpr std::uint64_t kAll = ~std::uint64_t{0};

core::Limits limits() {
  core::Limits limits;
  limits.size_bytes = kGranules * region::kGranuleBytes;
  limits.commit_limit_bytes = limits.session_quota_bytes = limits.uid_quota_bytes =
      limits.max_grant_bytes = limits.size_bytes;
  limits.punch_delay_ms = 0;
  limits.messages_per_second = limits.message_burst = ~0U;
  return limits;
}

platform::Descriptor duplicate(const platform::Descriptor& file) {
  return platform::Descriptor(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

// The daemon behind a function call.
class TracedRegion::DirectChannel final : public Channel {
 public:
  DirectChannel(TracedRegion& region, core::ConnectionId connection)
      : region_(region), connection_(connection) {}
  ~DirectChannel() override { region_.service_.close_connection(connection_); }

  Expected<p::Body> request(const p::Body& body, platform::Deadline /*deadline*/) override {
    const auto answers = region_.ask(connection_, {next_++, body});
    if (answers.empty()) return Error(Errc::kDaemonGone);
    if (const auto* const failure = std::get_if<p::Failure>(&answers.front().body)) {
      return p::to_error(*failure);
    }
    return answers.front().body;
  }
  bool post(const p::Body& body) override {
    (void)region_.ask(connection_, {0, body});
    return true;
  }
  std::uint64_t request_ahead(const p::Body& body) override {
    const std::uint64_t number = next_++;
    for (const p::Message& one : region_.ask(connection_, {number, body})) late_.push_back(one);
    return number;
  }
  std::vector<p::Message> take_late_answers(platform::Deadline /*deadline*/) override {
    return std::exchange(late_, {});
  }
  [[nodiscard]] bool is_connected() const noexcept override { return true; }
  void abandon() noexcept override {}

 private:
  TracedRegion& region_;
  core::ConnectionId connection_;
  std::uint64_t next_ = 1;
  std::vector<p::Message> late_;
};

TracedRegion::TracedRegion()
    : files_(region::RegionFiles::create("traced", kGranules).value()),
      mapping_(region::RegionMapping::map(files_, kGranules, region::RegionMapping::Role::kDaemon)
                   .value()),
      vault_(core::VaultView::size_bytes(kGranules)),
      image_(kGranules),
      scratch_(kGranules) {
  checks_walks_ = std::getenv("ALLOT_TEST_EVERY_STATE") != nullptr;
  vault_.open(core::VaultView::size_bytes(kGranules));
  service_.add_region(
      std::make_unique<core::RegionCore>(mapping_.view(), "traced", kTag, limits(), 1,
                                         core::VaultView(vault_.base(), kGranules)),
      {});
}

Session TracedRegion::connect() {
  const core::ConnectionId connection = service_.open_connection({::getpid(), 0, 0});
  p::Hello hello;
  hello.fingerprint = region::fingerprint();
  p::set_text(hello.region, "traced");
  const core::Outcome outcome = service_.handle(connection, p::encode({1, hello}), now());
  const core::SessionKey key = outcome.sends.at(0).welcome.value();
  key.region->note_welcomed(key.id);
  detail::SessionState::Parts parts;
  parts.welcome = std::get<p::Welcome>(outcome.sends.at(0).message.body);
  parts.region_name = "traced";
  parts.files = {platform::reopen_read_only(files_.directory).value(), duplicate(files_.ledger),
                 duplicate(files_.data)};
  auto presence = platform::make_presence_file("allot:presence").value();
  members_.push_back({key, connection, duplicate(presence)});
  parts.presence = std::move(presence);
  parts.channel = std::make_unique<DirectChannel>(*this, connection);
  parts.deadline = std::chrono::seconds(5);
  return detail::SessionAccess::wrap(detail::SessionState::open(std::move(parts)).value());
}

core::Instant TracedRegion::now() { return {1, now_ns_ += 1'000'000'000, kAll}; }

Expected<void> TracedRegion::commit(const core::PendingCommit& pending) {
  if (auto opened = mapping_.extend(files_, pending.high_water_granules); !opened) return opened;
  return mapping_.extend_heaps(files_, pending.heap_count);
}

// What the client has not heard of is done by then.
std::vector<p::Message> TracedRegion::ask(core::ConnectionId connection,
                                          const p::Message& message) {
  core::Outcome outcome = service_.handle(connection, p::encode(message), now());
  if (outcome.commit) {
    const core::PendingCommit pending = std::move(*outcome.commit);
    check();
    outcome = service_.finish_commit(pending, commit(pending), now());
  }
  check();
  std::vector<p::Message> answers;
  for (const core::Send& one : outcome.sends) answers.push_back(one.message);
  return answers;
}

void TracedRegion::settle() {
  std::erase_if(members_, [](const Member& member) {
    if (platform::try_seal_presence(member.presence) == platform::PresenceState::kMapped) {
      return false;
    }
    core::Service::image_gone(member.key);
    return true;
  });
  while (service_.recovery_pending()) (void)service_.recover_step(kAll, now());
  service_.regions().front()->sweep(now().monotonic_ns);
}

Areas TracedRegion::client_areas() const {
  Areas areas = ledger_areas();
  const region::RegionView view = mapping_.view();
  std::erase_if(areas, [&](std::span<const std::byte> area) {
    const auto is_at = [&](const void* table) { return table == area.data(); };
    return is_at(&view.heap(0)) || is_at(&view.span_ledger(0)) || is_at(&view.word(0, 0));
  });
  return areas;
}

void TracedRegion::kill_everywhere(const Session& client, const std::function<void()>& operation) {
  const Areas areas = client_areas();
  dying_ = client.id().session;
  check();
  trace_each_store(areas, operation, [this](const StoredBytes& store) { check_after(store); });
  dying_ = 0;
  // What was mapped meanwhile was written unseen.
  const Areas after = client_areas();
  const auto bytes_of = [](const Areas& all) {
    std::size_t bytes = 0;
    for (const auto& one : all) bytes += one.size();
    return bytes;
  };
  EXPECT_LE(bytes_of(after), bytes_of(areas)) << "use more before";
}

void TracedRegion::check_after(const StoredBytes& store) {
  constexpr std::size_t kReach = 2 * sizeof(std::uint32_t);
  const bool is_next = store.area == latest_.area && store.offset > latest_.offset &&
                       store.offset - latest_.offset < kReach;
  walk_ = is_next ? walk_ + 1 : 0;
  latest_ = store;
  if (checks_walks_ || walk_ < 8 || walk_ % 64 == 0) check();
}

void TracedRegion::check() {
  if (dying_ == 0 || testing::Test::HasFailure()) return;
  ++states_;
  image_.copy_from(mapping_.view(), core::VaultView(vault_.base(), kGranules),
                   mapping_.window_granules(), mapping_.window_heaps());
  expect_good_aftermath(image_, scratch_, limits(), dying_);
}

}  // namespace allot::test
