// The server's regions and sessions at its start: what an earlier daemon stored, or what is new; and
// the clients of stored sessions that connect again.

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/clock.hpp"
#include "daemon/log.hpp"
#include "daemon/server.hpp"
#include "shared/platform/memfd.hpp"
#include "shared/platform/pidfd.hpp"
#include "shared/platform/random.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

constexpr std::uint32_t kRegionTags = 1023;

// Whether the number of a stored pidfd's process can be believed. An error: that cannot be told now.
Expected<bool> pidfds_tell_pids() {
  const auto own = platform::pidfd_open(::getpid());
  const auto pid = own ? platform::pid_of(*own) : Expected<pid_t>(own.error());
  if (pid) return *pid == ::getpid();
  if (platform::is_shortage(pid.error().code)) return pid.error();
  return false;  // an old kernel, or no /proc
}

}  // namespace

Expected<void> Server::add_regions(const std::vector<RegionConfig>& configs,
                                   InheritedDescriptors& inherited) {
  auto taken = take_stored_regions(inherited);
  if (!taken) return taken.error();
  StoredRegions& stored = *taken;
  for (const std::string& name : stored.useless_names) manager_.remove(name);
  if (stored.tags.size() + configs.size() > kRegionTags) {
    return Error(Errc::kBadArgument, "the service manager keeps " +
                                         std::to_string(stored.tags.size()) +
                                         " regions; stop and start allotd to drop them");
  }
  const auto new_tag = [&] {
    std::uint32_t tag = 0;
    do {
      tag = 1 + static_cast<std::uint32_t>(platform::random_u64() % kRegionTags);
    } while (!stored.tags.insert(tag).second);
    return tag;
  };
  for (const RegionConfig& config : configs) {
    const auto found =
        std::find_if(stored.whole.begin(), stored.whole.end(),
                     [&](const StoredRegion& region) { return region.name == config.name; });
    const bool is_new = found == stored.whole.end();
    auto added = is_new ? add_region(config, new_tag()) : restore_region(config, std::move(*found));
    if (!added) {
      return Error(added.error().code, "region " + config.name + ": " + added.error().detail);
    }
    if (!is_new) stored.whole.erase(found);
  }
  for (const StoredRegion& region : stored.whole) {
    log_warning("region " + region.name +
                " of an earlier configuration is kept and not served; "
                "add it again to go on with it");
    for (const auto part : kRegionParts) unused_.add(region_part_name(part, region.tag));
  }
  if (auto restored = restore_sessions(inherited); !restored) return restored;
  for (const std::string& name : inherited.names()) unused_.add(name);
  return {};
}

Expected<void> Server::add_region(const RegionConfig& config, std::uint32_t tag) {
  auto made = RegionHost::create(config);
  if (!made) return made.error();
  std::unique_ptr<RegionHost> host = std::move(*made);
  auto region = host->make_core(config, tag, unix_now_ns());
  for (std::size_t i = 0; i < kRegionParts.size(); ++i) {
    manager_.store(region_part_name(kRegionParts.at(i), tag), host->parts().at(i));
  }
  hosts_[region.get()] = std::move(host);
  service_.add_region(std::move(region), config.policy);
  return {};
}

Expected<void> Server::restore_region(const RegionConfig& config, StoredRegion stored) {
  core::Limits limits = config.limits;
  const std::uint64_t size_bytes = stored.granules * region::kGranuleBytes;
  if (limits.size_bytes != size_bytes) {
    log_warning("region " + config.name + " keeps its size of " + std::to_string(size_bytes) +
                " bytes; another takes effect when allotd is stopped and started");
    limits.size_bytes = size_bytes;
  }
  auto restored = RegionHost::restore(std::move(stored));
  if (!restored) return restored.error();
  auto region = (*restored)->restore_core(limits);
  if (!region) return region.error();
  log_info("region " + config.name + " goes on with " + std::to_string((*region)->session_count()) +
           " sessions and " + std::to_string((*region)->totals().granted_bytes) + " bytes granted");
  hosts_[region->get()] = std::move(*restored);
  service_.add_region(std::move(*region), config.policy);
  return {};
}

Expected<void> Server::restore_sessions(InheritedDescriptors& inherited) {
  std::map<WatchKey, std::pair<platform::Descriptor, platform::Descriptor>> stored;
  for (const std::string& name : inherited.names()) {
    const auto session = parse_session_name(name);
    if (!session) continue;
    auto descriptors = inherited.take_all(name);
    const auto& regions = service_.regions();
    const auto region = std::find_if(regions.begin(), regions.end(), [&](const auto& one) {
      return one->tag() == session->region_tag;
    });
    if (region == regions.end()) {  // it is kept and not served
      for (std::size_t i = 0; i < descriptors.size(); ++i) unused_.add(name);
      continue;
    }
    const auto* const record = (*region)->session(session->id);
    if (record == nullptr || record->incarnation != session->incarnation) {
      manager_.remove(name);  // it has ended
      continue;
    }
    auto& [presence, pidfd] = stored[{region->get(), session->incarnation}];
    for (platform::Descriptor& descriptor : descriptors) {
      (platform::is_memory_file(descriptor) ? presence : pidfd) = std::move(descriptor);
    }
  }
  for (const auto& region : service_.regions()) {
    for (const auto& [id, record] : region->sessions()) {
      if (record.state == region::SessionState::kDraining) continue;
      const core::SessionKey key{region.get(), id, record.incarnation};
      auto found = stored.extract({region.get(), record.incarnation});
      if (!record.waits_for_resume) {
        core::Service::image_gone(key);  // it was not welcomed: nobody can have mapped anything
      } else if (found.empty() || !found.mapped().first) {
        // It may live, so that nothing of it may be had by others.
        log_error("session " + std::to_string(id) + " in region " + region->name() +
                  " has lost its presence file: what it has stays its own until the region ends");
      } else {
        auto watched = watch(key, 0, std::move(found.mapped().first),
                             std::move(found.mapped().second), record.peer);
        if (!watched) return watched;
      }
    }
  }
  // By then all are there: a callback may end one.
  for (auto& [key, watched] : watches_) watched.watch->connection_ended();
  upkeep_.wake();
  return {};
}

// It is who it was if its number is that of the process that had the session, which still lives: no
// other has this number meanwhile.
Expected<bool> Server::is_process_of(const SessionWatch& watch, const core::Peer& peer) {
  if (!pidfds_tell_pids_) {
    const auto they_do = pidfds_tell_pids();
    if (!they_do) return they_do.error();
    pidfds_tell_pids_ = *they_do;
  }
  if (!*pidfds_tell_pids_) return false;
  const auto pid = platform::pid_of(watch.pidfd());
  if (!pid && platform::is_shortage(pid.error().code)) return pid.error();
  return pid && *pid == peer.pid && !platform::has_exited(watch.pidfd());
}

void Server::resume(const core::PendingResume& pending) {
  const auto connection = connections_.find(pending.connection);
  const auto watched = watches_.find({pending.session.region, pending.session.incarnation});
  if (connection == connections_.end()) return;
  // It waits on another connection by now, which is its last, maybe.
  if (connection->second->has_hung_up()) return end_connection(pending.connection, std::nullopt);
  bool is_same = false;
  if (watched != watches_.end()) {
    const auto found = is_process_of(*watched->second.watch, connection->second->peer());
    if (!found) {  // a refusal would be final: it asks again
      log_error("a session cannot be resumed just now: " + found.error().message());
      return end_connection(pending.connection, std::nullopt);
    }
    is_same = *found;
  }
  // An answer that did not reach it: it gave that connection up.
  if (is_same) end_connection(watched->second.connection, std::nullopt);
  core::Outcome outcome = service_.finish_resume(pending, is_same);
  if (is_same && service_.session_of(pending.connection)) {
    (void)connection->second->take_pidfd();  // the watch has one
    watched->second.connection = pending.connection;
    watched->second.watch->connected_again();
  }
  act_on(pending.connection, std::move(outcome));
}

}  // namespace allot::daemon
