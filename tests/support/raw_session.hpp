// RawSession: a session opened by hand over a RawClient: its Welcome, its four files, its presence.
//
// Used by process tests that need to misbehave in ways the client library does not. It keeps the
// presence file unmapped until map_presence(), as a client does between Welcome and mapping.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "shared/platform/descriptor.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/layout.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

/// A shared mapping of a presence file: while it lives the session is not gone.
class PresenceMapping {
 public:
  PresenceMapping() = default;
  explicit PresenceMapping(const platform::Descriptor& presence);
  PresenceMapping(PresenceMapping&& other) noexcept;
  PresenceMapping& operator=(PresenceMapping&& other) noexcept;
  PresenceMapping(const PresenceMapping&) = delete;
  PresenceMapping& operator=(const PresenceMapping&) = delete;
  ~PresenceMapping();

 private:
  void* address_ = nullptr;
};

struct RawSession {
  explicit RawSession(const std::filesystem::path& socket, std::string_view region = "default");

  RawClient client;
  protocol::Welcome welcome;
  platform::Descriptor directory;
  platform::Descriptor ledger;
  platform::Descriptor data;
  platform::Descriptor presence;

  [[nodiscard]] PresenceMapping map_presence() const { return PresenceMapping(presence); }
  /// Asks for `count` spans of `granules`.
  RawClient::Reply grant(std::uint32_t granules, std::uint32_t count = 1,
                         std::uint32_t words = region::kDefaultWords);
  [[nodiscard]] protocol::Watch watch_request(std::string_view region = "default") const;
};

/// A copy of entry `id` of the session table behind `directory`.
[[nodiscard]] region::SessionEntry read_session(const platform::Descriptor& directory,
                                                std::uint32_t id);

/// Asks `client` something harmless again and again, each time waiting for the answer, until
/// `condition` holds. Throws after kPatience.
void ask_until(RawClient& client, const std::string& what, const std::function<bool()>& condition);

}  // namespace allot::test
