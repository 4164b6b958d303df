#include "daemon/upkeep.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <boost/asio/post.hpp>

namespace allot::daemon {

Upkeep::Upkeep(boost::asio::io_context& context, Timers& timers, core::Service& service,
               Actions actions)
    : context_(context),
      service_(service),
      actions_(std::move(actions)),
      sweep_timer_(timers),
      punch_timer_(timers) {}

void Upkeep::wake() {
  if (sweep_interval_ != kSweepInterval) {
    sweep_interval_ = kSweepInterval;
    sweep_timer_.cancel();
  }
  start_what_is_wanted();
}

void Upkeep::start_what_is_wanted() {
  const auto& regions = service_.regions();
  if (!recovery_posted_ && service_.recovery_pending()) {
    recovery_posted_ = true;
    boost::asio::post(context_, [this] { recover(); });
  }
  schedule_sweep();
  if (punch_posted_) return;
  if (std::any_of(regions.begin(), regions.end(),
                  [](const auto& region) { return region->punch_is_urgent(); })) {
    punch_timer_.cancel();
    return post_punch();
  }
  start_punch_timer();
}

void Upkeep::start_punch_timer() {
  if (punch_timer_.is_running()) return;
  std::optional<std::uint64_t> delay_ms;
  for (const auto& region : service_.regions()) {
    const std::uint64_t of_region = region->limits().punch_delay_ms;
    if (region->punch_wanted()) delay_ms = std::min(delay_ms.value_or(of_region), of_region);
  }
  if (delay_ms) punch_timer_.start(std::chrono::milliseconds(*delay_ms), [this] { punch(); });
}

void Upkeep::post_punch() {
  punch_posted_ = true;
  boost::asio::post(context_, [this] { punch(); });
}

void Upkeep::schedule_sweep() {
  const auto& regions = service_.regions();
  if (sweep_timer_.is_running() || std::none_of(regions.begin(), regions.end(),
                                                [](const auto& r) { return r->sweep_wanted(); })) {
    return;
  }
  sweep_timer_.start(sweep_interval_, [this] { sweep(); });
}

void Upkeep::recover() {
  recovery_posted_ = false;
  std::vector<core::SessionKey> ended;
  actions_.deliver(service_.recover_step(kRecoveryWords, actions_.now(), &ended));
  for (const core::SessionKey& session : ended) actions_.ended(session);
  start_what_is_wanted();
}

void Upkeep::sweep() {
  const std::uint64_t now_ns = actions_.now().monotonic_ns;
  for (const auto& region : service_.regions()) {
    if (region->sweep_wanted()) region->sweep(now_ns);
  }
  sweep_interval_ = std::min(sweep_interval_ * 2, kLongestSweepInterval);
  start_what_is_wanted();
}

void Upkeep::punch() {
  punch_posted_ = false;
  const std::uint64_t now_ns = actions_.now().monotonic_ns;
  const auto& regions = service_.regions();
  // One slice: of the next region in turn that has one.
  for (std::size_t tried = 0; tried < regions.size(); ++tried) {
    core::RegionCore& region = *regions[next_to_punch_++ % regions.size()];
    const auto ranges = region.next_punch(kPunchGranules, now_ns);
    if (ranges.empty()) continue;
    for (const core::FileRange& range : ranges) actions_.punch(region, range);
    return post_punch();
  }
  // Not at once, however urgent: there is nothing that can be punched now.
  start_punch_timer();
}

}  // namespace allot::daemon
