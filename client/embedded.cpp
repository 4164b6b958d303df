// Embedded mode: the daemon's core behind a function call instead of a socket.

#include <allot/embedded.hpp>

#include <fcntl.h>

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "client/channel.hpp"
#include "client/debug_options.hpp"
#include "client/process.hpp"
#include "client/session_state.hpp"
#include "daemon/core/audit_input.hpp"
#include "daemon/core/service.hpp"
#include "shared/platform/memfd.hpp"
#include "shared/platform/random.hpp"
#include "shared/platform/system_error.hpp"
#include "shared/region/audit.hpp"
#include "shared/region/region_files.hpp"

namespace allot {

namespace p = protocol;
using platform::Descriptor;

namespace {

constexpr const char* kRegionName = "embedded";
constexpr std::uint64_t kWordsPerStep = 1U << 20;
constexpr std::uint32_t kGranulesPerPunch = 1U << 14;

template <class Clock>
std::uint64_t now_ns() {
  const auto since = Clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

core::Instant now() {
  return {now_ns<std::chrono::system_clock>(), now_ns<std::chrono::steady_clock>(),
          ~std::uint64_t{0}};
}

Expected<Descriptor> duplicate(const Descriptor& file) {
  Descriptor copy(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return platform::system_error("F_DUPFD_CLOEXEC");
  return copy;
}

}  // namespace

// What the daemon is to its clients; shared by the region and its sessions' channels. It belongs to
// the process that made it: a forked child has its mappings no more, and some other thread of the
// parent's may have held the mutex, so that a child touches nothing of it.
struct detail::EmbeddedService {
  // Sessions of several threads come in one at a time.
  std::mutex mutex;
  const std::uint32_t made_at_fork = process::fork_count();
  region::RegionFiles files;
  region::RegionMapping mapping;
  core::Service service;
  struct Member {
    core::SessionKey key;
    Descriptor presence;
    bool is_opening = true;  // has not mapped its presence as yet
  };
  std::vector<Member> members;

  [[nodiscard]] bool is_inherited() const noexcept { return made_at_fork != process::fork_count(); }

  [[nodiscard]] core::RegionCore& core() const { return *service.regions().front(); }

  Expected<void> run(const core::PendingCommit& pending) {
    for (const core::FileRange& range : pending.ranges) {
      if (auto done =
              platform::commit_range(file(range.file), range.offset_bytes, range.length_bytes);
          !done) {
        return done.error();
      }
    }
    if (auto opened = mapping.extend(files, pending.high_water_granules); !opened) {
      return opened.error();
    }
    return mapping.extend_heaps(files, pending.heap_count);
  }

  [[nodiscard]] const Descriptor& file(core::RegionFile which) const {
    switch (which) {
      case core::RegionFile::kDirectory: return files.directory;
      case core::RegionFile::kLedger: return files.ledger;
      case core::RegionFile::kData: break;
    }
    return files.data;
  }

  // The session has mapped its presence, or never will.
  void opened(std::uint64_t incarnation) {
    const std::lock_guard lock(mutex);
    for (Member& member : members) {
      if (member.key.incarnation == incarnation) member.is_opening = false;
    }
  }

  // Recovers every session whose image, here its Presence, is gone; gives free memory back.
  void settle() {
    std::erase_if(members, [](const Member& member) {
      if (member.is_opening) return false;
      if (platform::try_seal_presence(member.presence) == platform::PresenceState::kMapped)
        return false;
      core::Service::image_gone(member.key);
      return true;
    });
    while (service.recovery_pending()) (void)service.recover_step(kWordsPerStep, now());
    core().sweep(now().monotonic_ns);
    for (;;) {
      const auto ranges = core().next_punch(kGranulesPerPunch, now().monotonic_ns);
      if (ranges.empty()) return;
      for (const core::FileRange& range : ranges) {
        if (!platform::punch_range(file(range.file), range.offset_bytes, range.length_bytes)) {
          core().punch_failed(range, now().monotonic_ns);
        }
      }
    }
  }
};

namespace {

class EmbeddedChannel final : public Channel {
 public:
  EmbeddedChannel(detail::EmbeddedService* service, core::ConnectionId connection)
      : service_(service), connection_(connection) {}
  ~EmbeddedChannel() override {
    if (service_ == nullptr) return;
    const std::lock_guard lock(service_->mutex);
    service_->service.close_connection(connection_);
  }

  Expected<p::Body> request(const p::Body& body, platform::Deadline /*deadline*/) override {
    if (service_ == nullptr) return Error(Errc::kForked);
    const std::lock_guard lock(service_->mutex);
    auto answer = ask(body);
    if (!answer && (std::holds_alternative<p::GrantRequest>(body) ||
                    std::holds_alternative<p::Reserve>(body))) {
      // No timer recovers those who have ended: what they held is looked for when it is missed.
      service_->settle();
      answer = ask(body);
    }
    return answer;
  }

  bool post(const p::Body& body) override {
    if (service_ == nullptr) return false;
    const std::lock_guard lock(service_->mutex);
    (void)service_->service.handle(connection_, p::encode({0, body}), now());
    return true;
  }

  std::uint64_t request_ahead(const p::Body& /*body*/) override { return 0; }

  std::vector<p::Message> take_late_answers(platform::Deadline /*deadline*/) override { return {}; }

  [[nodiscard]] bool is_connected() const noexcept override { return service_ != nullptr; }

  void abandon() noexcept override { service_ = nullptr; }

 private:
  Expected<p::Body> ask(const p::Body& body) {
    const p::Wire wire = p::encode({1, body});
    core::Outcome outcome = service_->service.handle(connection_, wire, now());
    if (outcome.commit) {
      const core::PendingCommit pending = std::move(*outcome.commit);
      outcome = service_->service.finish_commit(pending, service_->run(pending), now());
    }
    if (outcome.sends.empty()) return Error(Errc::kDaemonGone);
    p::Body answer = outcome.sends.front().message.body;
    if (const auto* failure = std::get_if<p::Failure>(&answer)) {
      return p::to_error(*failure);
    }
    return answer;
  }

  detail::EmbeddedService* service_;
  core::ConnectionId connection_;
};

}  // namespace

EmbeddedRegion::EmbeddedRegion(std::unique_ptr<detail::EmbeddedService> service) noexcept
    : service_(std::move(service)) {}
EmbeddedRegion::EmbeddedRegion(EmbeddedRegion&&) noexcept = default;
EmbeddedRegion& EmbeddedRegion::operator=(EmbeddedRegion&& other) noexcept {
  std::swap(service_, other.service_);
  return *this;
}
EmbeddedRegion::~EmbeddedRegion() {
  // What lies at its addresses in a forked child is not its own.
  if (service_ != nullptr && service_->is_inherited()) (void)service_.release();
}

Expected<EmbeddedRegion> EmbeddedRegion::create(const EmbeddedOptions& options) {
  const std::uint64_t granules = options.size_bytes / region::kGranuleBytes;
  auto files = region::RegionFiles::create(kRegionName, granules);
  if (!files) return files.error();
  auto mapping = region::RegionMapping::map(*files, granules, region::RegionMapping::Role::kDaemon);
  if (!mapping) return mapping.error();
  auto service = std::make_unique<detail::EmbeddedService>();
  service->files = std::move(*files);
  service->mapping = std::move(*mapping);
  core::Limits limits;
  limits.size_bytes = options.size_bytes;
  limits.commit_limit_bytes = options.commit_limit_bytes;
  limits.session_quota_bytes = options.commit_limit_bytes;
  limits.uid_quota_bytes = options.commit_limit_bytes;
  limits.max_grant_bytes = options.commit_limit_bytes;
  limits.punch_delay_ms = 0;
  limits.messages_per_second = ~0U;
  limits.message_burst = ~0U;
  const auto tag = static_cast<std::uint32_t>(1 + platform::random_u64() % 1023);
  service->service.add_region(std::make_unique<core::RegionCore>(
                                  service->mapping.view(), kRegionName, tag, limits, now().unix_ns),
                              {});
  return EmbeddedRegion(std::move(service));
}

Expected<Session> EmbeddedRegion::connect(const DebugOptions& debug) {
  if (service_->is_inherited()) return Error(Errc::kForked);
  auto debug_options = detail::with_debug_environment(debug);
  if (!debug_options) return debug_options.error();
  // All that may fail comes before the session is there.
  auto presence = platform::make_presence_file("allot:presence");
  auto directory = platform::reopen_read_only(service_->files.directory);
  auto ledger = duplicate(service_->files.ledger);
  auto data = duplicate(service_->files.data);
  if (!presence || !directory || !ledger || !data) {
    return Error(Errc::kSystem, "no descriptors for another session");
  }
  auto kept = duplicate(*presence);
  if (!kept) return kept.error();
  detail::SessionState::Parts parts;
  parts.region_name = kRegionName;
  parts.files = {std::move(*directory), std::move(*ledger), std::move(*data)};
  parts.presence = std::move(*presence);
  parts.deadline = std::chrono::seconds(5);
  parts.debug = std::move(*debug_options);
  {
    const std::lock_guard lock(service_->mutex);
    service_->settle();
    const core::ConnectionId connection = service_->service.open_connection({::getpid(), 0, 0});
    p::Hello hello;
    hello.fingerprint = region::fingerprint();
    p::set_text(hello.region, kRegionName);
    const core::Outcome outcome =
        service_->service.handle(connection, p::encode({1, hello}), now());
    const auto& sent = outcome.sends.front();
    const auto* const welcome = std::get_if<p::Welcome>(&sent.message.body);
    if (welcome == nullptr) {
      service_->service.close_connection(connection);
      return p::to_error(std::get<p::Failure>(sent.message.body));
    }
    service_->members.push_back({*sent.welcome, std::move(*kept)});
    parts.welcome = *welcome;
    parts.channel = std::make_unique<EmbeddedChannel>(service_.get(), connection);
  }
  const std::uint64_t incarnation = parts.welcome.incarnation;
  auto state = detail::SessionState::open(std::move(parts));
  service_->opened(incarnation);
  if (!state) return state.error();
  return Session(std::move(*state));
}

EmbeddedAudit EmbeddedRegion::audit() {
  if (service_->is_inherited()) return {};
  const std::lock_guard lock(service_->mutex);
  service_->settle();
  const std::uint64_t window = service_->mapping.window_granules();
  region::AuditInput input =
      core::audit_input(service_->core(), window, service_->mapping.window_heaps());
  input.quiet = true;
  region::Audit audit(service_->core().view(), window, std::move(input));
  while (!audit.step(kWordsPerStep)) {
  }
  const region::AuditReport& report = audit.report();
  return {report.total.granted_bytes, report.total.live_bytes, report.total.live_blocks,
          report.violation_count};
}

}  // namespace allot
