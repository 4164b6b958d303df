#include "tests/support/paired_client.hpp"

#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <utility>

#include "tests/support/agent.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/heap_oracle.hpp"

namespace allot::test {

namespace {

constexpr std::size_t kPrepared = 8;  // gifts that are offered before the life begins
constexpr std::size_t kRetracted = 9;
constexpr std::uint64_t kNameSeed = 4711;
constexpr std::size_t kNameBytes = 5000;
constexpr std::size_t kPushBytes = 1500;

std::size_t gift_bytes(std::size_t gift) {
  constexpr std::array<std::size_t, 5> kSizes{64, 1000, 3000, 20'000, 100'000};
  return kSizes.at(gift % kSizes.size());
}

std::string text_of(const Error& error, const std::string& what) {
  return what + ": " + error.message();
}

}  // namespace

PairedClient::PairedClient(Session& session, Mailbox& mailbox, std::size_t side)
    : session_(session),
      mine_(mailbox.sides.at(side)),
      others_(mailbox.sides.at(1 - side)),
      my_seed_(1000 * (1 + side)),
      others_seed_(1000 * (2 - side)) {}

void PairedClient::prepare() {
  kept_ = open_windows(session_);
  offer(0, kPrepared);
}

void PairedClient::live() {
  take(0, kPrepared / 2);
  auto blocks = allocate_and_free(session_);
  held_.insert(held_.end(), blocks.begin(), blocks.end());
  offer(kPrepared, kPrepared + 4);
  retract(kRetracted);
  use_the_name();
  allocate_in_a_thread(session_);
  push_to_the_arena();
  take(kPrepared / 2, kPrepared + 4);
  offer(kPrepared + 4, Mailbox::kGifts);
  read_the_arena();
  use_an_arena(session_);
  // More than there were: what came back from the other is among them.
  for (int i = 0; i < 8; ++i) held_.push_back(allocate_filled(session_, 3000, my_seed_));
  (void)session_.trim();
}

void PairedClient::finish() {
  mine_.leaves = true;
  take(0, Mailbox::kGifts);
  for (std::size_t gift = 0; gift < Mailbox::kGifts; ++gift) {
    if (offered_.at(gift)) retract(gift);
  }
  for (const FilledBlock& block : held_) free_filled(session_, block);
  if (arena_) read_the_arena();
  arena_ = SharedArena();
  kept_ = Arena();
}

void PairedClient::offer(std::size_t first, std::size_t last) {
  for (std::size_t gift = first; gift < last; ++gift) {
    const FilledBlock block = allocate_filled(session_, gift_bytes(gift), my_seed_ + gift);
    mine_.gifts.at(gift) = session_.offer(block.address).value().bits();
    offered_.at(gift) = true;
  }
}

void PairedClient::take(std::size_t first, std::size_t last) {
  for (std::size_t gift = first; gift < last; ++gift) take(gift);
}

void PairedClient::take(std::size_t gift) {
  const std::uint64_t handle = others_.gifts.at(gift);
  if (handle == 0 || mine_.wants.at(gift).exchange(true)) return;
  const auto block = session_.adopt(Handle::from_bits(handle));
  if (!block) {
    const bool is_explained = others_.leaves || (gift == kRetracted && others_.retracts);
    const Errc errc = block.error().errc();
    require(is_explained && (errc == Errc::kStaleHandle || errc == Errc::kNotOffered),
            text_of(block.error(), "gift " + std::to_string(gift)));
    return;
  }
  const FilledBlock mine{*block, gift_bytes(gift), others_seed_ + gift};
  require(holds_pattern(mine.address, mine.size_bytes, mine.seed), "a gift has other contents");
  // Every second one goes back into the other's span at once.
  if (gift % 2 == 0) {
    free_filled(session_, mine);
  } else {
    held_.push_back(mine);
  }
}

void PairedClient::retract(std::size_t gift) {
  if (gift == kRetracted) mine_.retracts = true;
  offered_.at(gift) = false;
  const auto block = session_.retract(Handle::from_bits(mine_.gifts.at(gift)));
  if (block) {
    held_.push_back({*block, gift_bytes(gift), my_seed_ + gift});
    return;
  }
  const Errc errc = block.error().errc();
  require(others_.wants.at(gift) && (errc == Errc::kStaleHandle || errc == Errc::kNotOwner),
          text_of(block.error(), "our gift " + std::to_string(gift)));
}

void PairedClient::use_the_name() {
  const FilledBlock block = allocate_filled(session_, kNameBytes, kNameSeed);
  const auto published = session_.publish(kPairName, block.address);
  if (!published) {
    require(published.error() == Errc::kNameTaken, text_of(published.error(), "publish"));
    free_filled(session_, block);
  }
  const auto found = session_.find(kPairName);
  if (!found) {
    require(others_.unpublishes && found.error() == Errc::kNameUnknown,
            text_of(found.error(), "find"));
    return;
  }
  mine_.unpublishes = true;
  if (const auto hidden = session_.unpublish(kPairName, found->handle); !hidden) {
    require(others_.unpublishes &&
                (hidden.error() == Errc::kNameUnknown || hidden.error() == Errc::kStaleHandle),
            text_of(hidden.error(), "unpublish"));
  }
  require(found->size_bytes >= kNameBytes && holds_pattern(found->address, kNameBytes, kNameSeed),
          "what has the name has other contents");
  session_.unpin(found->handle).value();
}

void PairedClient::push_to_the_arena() {
  auto arena = SharedArena::attach(session_, kPairArena);
  if (!arena && arena.error() == Errc::kNameUnknown) {
    arena = SharedArena::create(session_, kPairArena, {std::uint64_t{64} << 10, 4096});
  }
  // The other may have made it meanwhile.
  if (!arena && arena.error() == Errc::kNameTaken) {
    arena = SharedArena::attach(session_, kPairArena);
  }
  arena_ = std::move(arena.value());
  for (std::size_t i = 0; i < Mailbox::kPushes; ++i) {
    void* const block = arena_.push(kPushBytes);
    require(block != nullptr, "push: " + std::string(describe(SharedArena::last_error())));
    fill_block(block, kPushBytes, my_seed_ + i);
    mine_.pushed.at(i) = arena_.offset_of(block) + 1;
  }
}

void PairedClient::read_the_arena() const {
  for (const auto& [side, seed] :
       {std::pair(&mine_, my_seed_), std::pair(&others_, others_seed_)}) {
    for (std::size_t i = 0; i < Mailbox::kPushes; ++i) {
      const std::uint64_t place = side->pushed.at(i);
      if (place == 0) continue;
      const void* const block = arena_.at(place - 1, kPushBytes);
      require(block != nullptr && holds_pattern(block, kPushBytes, seed + i),
              "what was pushed is not there");
    }
  }
}

void play_paired_client(const std::string& socket, Mailbox& mailbox, std::size_t side,
                        std::uint64_t stop_at) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int status = 0;
  try {
    Session session = Session::connect(options_for(socket)).value();
    PairedClient client(session, mailbox, side);
    client.prepare();
    mailbox.sides.at(side).id = session.id();
    (void)::raise(SIGSTOP);
    mailbox.sides.at(side).stores = run_to_store(stop_at, SIGSTOP, [&] { client.live(); });
    client.finish();
    session.close();
  } catch (const std::exception& failure) {
    std::cerr << "client " << side << " of a pair: " << failure.what() << std::endl;
    status = 1;
  }
  ::_exit(status);
}

}  // namespace allot::test
