// PeerIdentity: who is at the other end of a client's connection, as the kernel says it.
//
// Used by the server at accept. With SO_PEERPIDFD (6.5) the answer is final. Without it the pidfd
// is opened by number and may be another process's, if the peer has died meanwhile and its number
// was used again; then PeerChallenge confirms it before a session is opened.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <allot/expected.hpp>

#include "daemon/core/region_core.hpp"
#include "shared/platform/descriptor.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"

namespace allot::daemon {

/// Kernel features that are not to be used although they may be there (for tests).
struct ForcedFallbacks {
  bool peer_pidfd = false;
  bool pass_rights = false;

  /// From a list such as "peerpidfd,passrights"; nothing if a word is unknown.
  [[nodiscard]] static std::optional<ForcedFallbacks> parse(std::string_view list);
};

struct PeerIdentity {
  core::Peer peer;
  platform::Descriptor pidfd;
  bool confirmed = false;  // the pidfd is that of the peer for certain
};

/// Errc::kOtherPidNamespace for a peer that has no number here. The system's error if the peer has
/// gone already.
[[nodiscard]] Expected<PeerIdentity> identify_peer(const platform::Descriptor& socket,
                                                   const ForcedFallbacks& forced);

/// Keeps descriptors out of `socket`: the kernel refuses to send any (6.16), or else there is room
/// for the sender's credentials only, so that what comes with descriptors is truncated.
[[nodiscard]] Expected<void> keep_descriptors_out(const platform::Descriptor& socket,
                                                  const ForcedFallbacks& forced);

// A nonce that the peer sends back. The kernel puts the sender's credentials beside it; if they are
// those of the connection and the process behind the pidfd still lives, it is the peer.
class PeerChallenge {
 public:
  /// What to send in answer to the client's Hello or Resume, which is kept.
  [[nodiscard]] protocol::Message begin(const protocol::Message& greeting);

  /// The Hello or Resume to act on, under the answer's request number. An error if `answer` does not prove
  /// that `identity` is right; then drop the peer.
  [[nodiscard]] Expected<protocol::Message> check(
      const protocol::Message& answer, const std::optional<platform::PeerCredentials>& sender,
      const PeerIdentity& identity);

 private:
  std::uint64_t nonce_ = 0;
  std::optional<protocol::Message> greeting_;
};

}  // namespace allot::daemon
