// PairedClient: one of two clients that exchange blocks, a name and an arena, and nobody waits for the
// other.
//
// Used by ClientPair, in a process of its own. What the other has not done yet, or takes back because
// it is killed or leaves, is missed; anything else that is refused ends the process with status 1. So
// each says in the mailbox what it is about to do before it does it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <allot/session.hpp>
#include <allot/shared_arena.hpp>

#include "tests/support/client_life.hpp"

namespace allot::test {

inline constexpr const char* kPairName = "name";
inline constexpr const char* kPairArena = "arena";

/// What the two tell each other and those who start them: memory of all their processes.
struct Mailbox {
  static constexpr std::size_t kGifts = 16;
  static constexpr std::size_t kPushes = 6;
  struct Side {
    SessionId id;
    std::uint64_t stores = 0;                                  // of its life, once that has ended
    std::array<std::atomic<std::uint64_t>, kGifts> gifts{};    // handles, as they are offered
    std::array<std::atomic<bool>, kGifts> wants{};             // of the other's: has begun to adopt
    std::array<std::atomic<std::uint64_t>, kPushes> pushed{};  // offset in the arena, plus one
    std::atomic<bool> retracts{false};     // has begun to take gift kRetracted back
    std::atomic<bool> unpublishes{false};  // has begun to
    std::atomic<bool> leaves{false};       // is killed, or takes back what it offers
  };
  std::array<Side, 2> sides;
};

class PairedClient {
 public:
  PairedClient(Session& session, Mailbox& mailbox, std::size_t side);

  /// Offers the first gifts.
  void prepare();
  /// A bit of everything, alone and with the other.
  void live();
  /// Checks all that it has, frees it, and takes back what was not taken.
  void finish();

 private:
  void offer(std::size_t first, std::size_t last);
  void take(std::size_t first, std::size_t last);
  void take(std::size_t gift);
  void retract(std::size_t gift);
  void use_the_name();
  void push_to_the_arena();
  void read_the_arena() const;

  Session& session_;
  Mailbox::Side& mine_;
  Mailbox::Side& others_;
  std::uint64_t my_seed_;
  std::uint64_t others_seed_;
  std::vector<FilledBlock> held_;
  std::array<bool, Mailbox::kGifts> offered_{};
  Arena kept_;  // see open_windows()
  SharedArena arena_;
};

/// In a process of its own: stops when it is prepared, again after store number `stop_at` of its life
/// (0: not again), and ends with status 0, or 1 and the reason on stderr.
[[noreturn]] void play_paired_client(const std::string& socket, Mailbox& mailbox, std::size_t side,
                                     std::uint64_t stop_at);

}  // namespace allot::test
