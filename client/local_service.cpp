#include "client/local_service.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "client/channel.hpp"
#include "client/library_scope.hpp"
#include "daemon/core/audit_input.hpp"
#include "shared/platform/page_size.hpp"
#include "shared/platform/random.hpp"
#include "shared/region/audit.hpp"

namespace allot {

namespace p = protocol;

namespace {

constexpr const char* kRegionName = "local";
constexpr std::uint64_t kWordsPerStep = 1U << 20;
constexpr std::uint32_t kGranulesPerPunch = 1U << 14;

using ServiceLock = ScopedLock<std::mutex>;

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

core::Limits limits_of(std::uint64_t size_bytes) {
  core::Limits limits;
  limits.size_bytes = size_bytes;
  limits.commit_limit_bytes = size_bytes;
  limits.session_quota_bytes = size_bytes;
  limits.uid_quota_bytes = size_bytes;
  limits.max_grant_bytes = size_bytes;
  limits.session_reserve_bytes = size_bytes / 2;
  limits.uid_reserve_bytes = size_bytes / 2;
  limits.max_heaps_per_uid = limits.max_heaps;
  limits.max_names_per_uid = limits.max_names;
  limits.punch_delay_ms = 0;
  limits.messages_per_second = ~0U;
  limits.message_burst = ~0U;
  return limits;
}

class LocalChannel final : public Channel {
 public:
  explicit LocalChannel(std::shared_ptr<LocalService> service) noexcept
      : service_(std::move(service)) {}

  Expected<p::Body> request(const p::Body& body, platform::Deadline /*deadline*/) override {
    return service_->request(body);
  }
  bool post(const p::Body& body) override {
    service_->post(body);
    return true;
  }
  std::uint64_t request_ahead(const p::Body& /*body*/) override { return 0; }
  std::vector<p::Message> take_late_answers(platform::Deadline /*deadline*/) override { return {}; }
  [[nodiscard]] bool is_connected() const noexcept override { return true; }
  void abandon() noexcept override {}
  void lock_for_fork() override { service_->lock_for_fork(); }
  void unlock_after_fork() override { service_->unlock_after_fork(); }

 private:
  std::shared_ptr<LocalService> service_;
};

}  // namespace

Expected<std::shared_ptr<LocalService>> LocalService::make(std::uint64_t size_bytes) {
  const std::uint64_t granules = size_bytes / region::kGranuleBytes;
  auto mapping = region::RegionMapping::map({}, granules, region::RegionMapping::Role::kPrivate);
  if (!mapping) return mapping.error();
  auto service = std::make_shared<LocalService>();
  service->mapping_ = std::make_shared<region::RegionMapping>(std::move(*mapping));
  const auto tag = static_cast<std::uint32_t>(1 + platform::random_u64() % 1023);
  service->service_.add_region(
      std::make_unique<core::RegionCore>(service->mapping_->view(), kRegionName, tag,
                                         limits_of(size_bytes), now().unix_ns),
      {});
  return service;
}

Expected<detail::SessionState::Parts> LocalService::connect(
    const std::shared_ptr<LocalService>& service) {
  const ServiceLock lock(service->mutex_);
  service->connection_ = service->service_.open_connection({::getpid(), ::getuid(), ::getgid()});
  p::Hello hello;
  hello.fingerprint = region::fingerprint();
  p::set_text(hello.region, kRegionName);
  auto answer = service->ask_locked(hello);
  if (!answer) return answer.error();
  detail::SessionState::Parts parts;
  parts.welcome = std::get<p::Welcome>(*answer);
  parts.region_name = kRegionName;
  parts.channel = std::make_unique<LocalChannel>(service);
  parts.private_mapping = service->mapping_;
  // Of locks, which threads hold for as long as it takes and no longer.
  parts.deadline = std::chrono::hours(24);
  return parts;
}

Expected<p::Body> LocalService::request(const p::Body& body) {
  const ServiceLock lock(mutex_);
  auto answer = ask_locked(body);
  if (!answer &&
      (std::holds_alternative<p::GrantRequest>(body) || std::holds_alternative<p::Reserve>(body))) {
    // No timer takes what nobody collected: it is looked for when it is missed.
    service_.regions().front()->sweep(now().monotonic_ns);
    answer = ask_locked(body);
  }
  give_back_locked();
  return answer;
}

void LocalService::post(const p::Body& body) {
  const ServiceLock lock(mutex_);
  (void)service_.handle(connection_, p::encode({0, body}), now());
}

Expected<p::Body> LocalService::ask_locked(const p::Body& body) {
  const p::Wire wire = p::encode({1, body});
  core::Outcome outcome = service_.handle(connection_, wire, now());
  if (outcome.commit) {
    const core::PendingCommit pending = std::move(*outcome.commit);
    outcome = service_.finish_commit(pending, run(pending), now());
  }
  if (outcome.sends.empty()) return Error(Errc::kDaemonGone);
  p::Body answer = outcome.sends.front().message.body;
  if (const auto* failure = std::get_if<p::Failure>(&answer)) return p::to_error(*failure);
  return answer;
}

// Private memory needs no commit: it is there when it is touched.
Expected<void> LocalService::run(const core::PendingCommit& pending) {
  if (auto opened = mapping_->extend({}, pending.high_water_granules); !opened) return opened;
  return mapping_->extend_heaps({}, pending.heap_count);
}

void LocalService::give_back_locked() {
  core::RegionCore& core = *service_.regions().front();
  while (core.punch_wanted()) {
    const auto ranges = core.next_punch(kGranulesPerPunch, now().monotonic_ns);
    if (ranges.empty()) return;
    for (const core::FileRange& range : ranges) punch(range);
  }
}

// Only data and own words are ever given back.
void LocalService::punch(const core::FileRange& range) const {
  const region::RegionView view = mapping_->view();
  const region::FileLayout layout{view.granules()};
  std::byte* const start = range.file == core::RegionFile::kData
                               ? mapping_->data() + range.offset_bytes
                               : reinterpret_cast<std::byte*>(&view.word(0, 0)) +
                                     (range.offset_bytes - layout.words_offset());
  // Whole pages only, of which those of the own words may be longer than what is free.
  const auto page = std::uintptr_t{platform::page_size_bytes()};
  const auto begin = (reinterpret_cast<std::uintptr_t>(start) + page - 1) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(start) + range.length_bytes) / page * page;
  if (begin >= end) return;
  auto* const pages = start + (begin - reinterpret_cast<std::uintptr_t>(start));
  // Refused where the program locks its memory. Data that was given back is zero, all the same.
  if (::madvise(pages, end - begin, MADV_DONTNEED) != 0 && range.file == core::RegionFile::kData) {
    std::memset(start, 0, range.length_bytes);
  }
}

region::AuditReport LocalService::audit(std::uint64_t lost_heaps) {
  const ServiceLock lock(mutex_);
  const std::uint64_t window = mapping_->window_granules();
  region::AuditInput input =
      core::audit_input(*service_.regions().front(), window, mapping_->window_heaps());
  input.quiet = true;
  input.killed_heaps += lost_heaps;
  region::Audit audit(service_.regions().front()->view(), window, std::move(input));
  while (!audit.step(kWordsPerStep)) {
  }
  return audit.report();
}

}  // namespace allot
