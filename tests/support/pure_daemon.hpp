// PureDaemon: a Service over regions in private memory, and a clock; no socket, no process.
//
// A fixture for tests of the conversation. ask() plays the adapters of a machine with enough memory:
// what must be committed is there at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/core/service.hpp"
#include "shared/protocol/message.hpp"
#include "tests/support/memory_region.hpp"

namespace allot::test {

struct PureDaemon : testing::Test {
  /// One region, "default", that everybody may use.
  explicit PureDaemon(const core::Limits& with_limits = {});

  /// The next region: "default", then "other". Handles carry its number as their tag.
  void add_region(const core::Limits& with_limits, core::AccessPolicy policy);
  core::Outcome handle(core::ConnectionId from, const protocol::Body& body,
                       std::uint64_t request = 7);
  core::Outcome finish(const core::PendingCommit& pending, const Expected<void>& committed = {});
  /// The one answer to a request; nothing if none came.
  std::optional<protocol::Body> ask(core::ConnectionId from, const protocol::Body& body);
  /// The same where it must be a T.
  template <class T>
  T ask_for(core::ConnectionId from, const protocol::Body& body) {
    const auto answer = ask(from, body);
    const T* const wanted = answer ? std::get_if<T>(&*answer) : nullptr;
    if (wanted != nullptr) return *wanted;
    ADD_FAILURE() << "another answer: " << failure_text(answer);
    return {};
  }
  Errc errc_of(core::ConnectionId from, const protocol::Body& body) {
    return static_cast<Errc>(ask_for<protocol::Failure>(from, body).errc);
  }
  static protocol::Hello hello(const std::string& region = "default");
  core::ConnectionId connect(uid_t uid = 1000) { return service.open_connection({4711, uid, 100}); }
  /// A connection with a session in "default".
  std::pair<core::ConnectionId, protocol::Welcome> join(uid_t uid = 1000);
  core::RegionCore& core() { return *service.regions().front(); }
  /// Recovery to its end; what it sends.
  std::vector<core::Send> recover(std::vector<core::SessionKey>* ended = nullptr);
  /// A block of 256 bytes that `session` owns and offers, alone in a new span of its own.
  Handle offered_block(core::ConnectionId connection, std::uint32_t session);

  core::Limits limits;
  std::vector<std::unique_ptr<MemoryRegion>> memories;
  core::Service service;
  core::Instant now{1'000'000'000'000, 1'000'000'000'000};

 private:
  static std::string failure_text(const std::optional<protocol::Body>& answer);
};

}  // namespace allot::test
