#include "daemon/peer_identity.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include "shared/platform/pidfd.hpp"
#include "shared/platform/random.hpp"

namespace allot::daemon {

std::optional<ForcedFallbacks> ForcedFallbacks::parse(std::string_view list) {
  ForcedFallbacks forced;
  while (!list.empty()) {
    const std::string_view word = list.substr(0, list.find(','));
    list.remove_prefix(std::min(word.size() + 1, list.size()));
    if (word == "peerpidfd") {
      forced.peer_pidfd = true;
    } else if (word == "passrights") {
      forced.pass_rights = true;
    } else {
      return std::nullopt;
    }
  }
  return forced;
}

Expected<PeerIdentity> identify_peer(const platform::Descriptor& socket,
                                     const ForcedFallbacks& forced) {
  auto peer = platform::peer_credentials(socket);
  if (!peer) return peer.error();
  if (peer->pid <= 0) {
    return Error(Errc::kOtherPidNamespace, "the kernel shows allotd no pid for it");
  }
  PeerIdentity identity;
  identity.peer = *peer;
  if (forced.peer_pidfd) {
    auto pidfd = platform::pidfd_open(peer->pid);
    if (!pidfd) return pidfd.error();
    identity.pidfd = std::move(*pidfd);
    return identity;
  }
  auto pidfd = platform::peer_pidfd(socket);
  if (!pidfd) return pidfd.error();
  identity.pidfd = std::move(pidfd->pidfd);
  identity.confirmed = pidfd->race_free;
  return identity;
}

Expected<void> keep_descriptors_out(const platform::Descriptor& socket,
                                    const ForcedFallbacks& forced) {
  const bool refused = !forced.pass_rights && platform::refuse_descriptors(socket);
  if (refused && !forced.peer_pidfd) return {};
  // Credentials also serve the challenge, and fill the room that descriptors would come into.
  return platform::ask_for_credentials(socket);
}

protocol::Message PeerChallenge::begin(const protocol::Message& greeting) {
  greeting_ = greeting;
  nonce_ = platform::random_u64();
  return {greeting.request, protocol::Challenge{nonce_}};
}

Expected<protocol::Message> PeerChallenge::check(
    const protocol::Message& answer, const std::optional<platform::PeerCredentials>& sender,
    const PeerIdentity& identity) {
  if (!greeting_) return Error(Errc::kBadMessage, "an answer to no challenge");
  protocol::Message greeting = *std::exchange(greeting_, std::nullopt);
  greeting.request = answer.request;
  const std::uint64_t nonce = std::exchange(nonce_, 0);
  const auto* const body = std::get_if<protocol::ChallengeAnswer>(&answer.body);
  if (body == nullptr || body->nonce != nonce) {
    return Error(Errc::kBadMessage, "wrong answer to the challenge");
  }
  const core::Peer& peer = identity.peer;
  if (!sender || sender->pid != peer.pid || sender->uid != peer.uid || sender->gid != peer.gid) {
    return Error(Errc::kBadMessage, "the challenge was answered by another process");
  }
  // Alive now, so it was alive, under this number, when the pidfd was opened.
  if (platform::has_exited(identity.pidfd)) return Error(Errc::kClosed, "the peer has exited");
  return greeting;
}

}  // namespace allot::daemon
