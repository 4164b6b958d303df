// What the clients of a CoreSimulation do: each operation is a queue of single stores.

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/core_simulation.hpp"

namespace allot::test {

namespace p = protocol;
using detail::OwnWord;
using region::CarveWord;
using region::kGranuleBytes;

namespace {

constexpr std::uint32_t kOffered = OwnWord::kOffered;
constexpr std::uint32_t kExposed = OwnWord::kExposed;

// What a client's free leaves behind, written out: the product's own function is not used here.
std::uint32_t freed(std::uint32_t word, std::uint32_t owner) {
  const std::uint32_t bump = (word & kExposed) != 0 ? 1 : 0;
  return (owner << 20) | (((word & 0x3FFFF) + bump) & 0x3FFFF);
}

}  // namespace

void CoreSimulation::connect() {
  if (clients_.size() >= target_clients_) return;
  auto client = std::make_unique<Client>();
  client->uid = 1000 + random_.below(3U);
  client->connection = service_.open_connection({1, client->uid, 100});
  p::Hello hello;
  hello.fingerprint = region::fingerprint();
  p::set_text(hello.region, "default");
  std::set<Errc> obstacles;
  std::uint32_t of_uid = 0;
  for (const auto& [id, session] : oracle_.sessions())
    of_uid += session.uid == client->uid ? 1U : 0U;
  if (oracle_.sessions().size() >= limits_.max_sessions || of_uid >= limits_.max_sessions_per_uid) {
    obstacles.insert(Errc::kTooManySessions);
  }
  const core::Outcome outcome = send(*client, hello);
  expect_answer(outcome, obstacles, "hello");
  if (errc_of(outcome) != Errc::kOk) return service_.close_connection(client->connection);
  const auto& welcome = std::get<p::Welcome>(outcome.sends.front().message.body);
  client->session = welcome.session;
  client->incarnation = welcome.incarnation;
  core_->note_welcomed(welcome.session);
  EXPECT_FALSE(oracle_.sessions().contains(welcome.session)) << "I4: id in use";
  EXPECT_FALSE(oracle_.names_session(welcome.session)) << "I4: id reused too early";
  oracle_.sessions()[welcome.session] = {welcome.incarnation, client->uid,
                                         region::SessionState::kLive};
  clients_.push_back(std::move(client));
}

void CoreSimulation::start_operation(Client& client) {
  const std::uint32_t chance = random_.below(100U);
  if (chance < 50) return start_block_operation(client);
  if (chance < 62) return use_chunks(client);
  if (chance < 67) return adopt(client);
  if (chance < 73) return carve(client);
  if (chance < 79) return collect(client);
  if (!client.connected) return;
  if (chance < 84) return ask_for_spans(client);
  if (chance < 87) return give_back(client);
  if (chance < 89) return use_reservations(client);
  if (chance < 96) return use_names(client);
  if (chance < 98) return attach_heap(client);
  if (chance < 99) return watch(client);
  if (random_.percent(mortality_percent_)) misbehave(client);
}

void CoreSimulation::start_block_operation(Client& client) {
  const std::uint32_t chance = random_.below(100U);
  const auto block = any_block_of(client.session);
  if (chance < 45 || !block) return allocate(client);
  if (chance < 70) return free_block(client, *block);
  if (chance < 90 || !client.connected) return offer(client, *block);
  publish(client, *block);
}

void CoreSimulation::ask_for_spans(Client& client) {
  p::GrantRequest request;
  request.granules = random_.percent(60) ? 1 : random_.between(1, 8);
  request.count = random_.percent(75) ? 1 : random_.between(1, 4);
  request.align_granules = random_.percent(80) ? 1 : 1U << random_.below(4U);
  request.words = 256 * random_.between(1, 6);
  if (!oracle_.reservations().empty() && random_.percent(50)) {
    // Mostly where a reservation goes on, of its own or not; sometimes anywhere in it or behind it.
    const auto reservation = pick(oracle_.reservations());
    const std::uint32_t end = reservation->first + reservation->second.granules;
    request.at = reservation->first;
    for (auto span = oracle_.spans().find(reservation->first);
         span != oracle_.spans().end() && request.at == span->first && request.at < end; ++span) {
      request.at += span->second.granules;
    }
    if (random_.percent(10)) request.at = reservation->first + random_.below(end + 2U);
  }
  const bool grows = request.at != p::kAnywhere;
  const auto obstacles = oracle_.grant_obstacles(client.session, request);
  core::Outcome outcome = send(client, request);
  expect_answer(outcome, obstacles, grows ? "grow" : "grant");
  if (!outcome.commit) return;
  oracle_.plan(*outcome.commit->grant);
  pending_.push_back({std::move(*outcome.commit), &client});
}

void CoreSimulation::use_reservations(Client& client) {
  if (random_.percent(60)) return reserve(client);
  unreserve(client);
}

void CoreSimulation::reserve(Client& client) {
  p::Reserve request{random_.between(1, 40), 1};
  if (random_.percent(50)) request.minimum = random_.between(1, 40);
  if (random_.percent(5)) request.granules = random_.percent(50) ? 0 : ~std::uint64_t{0};
  if (random_.percent(5)) request.minimum = random_.percent(50) ? 0 : ~std::uint64_t{0};
  std::set<Errc> obstacles;
  const std::uint64_t granules = oracle_.reservable(client.session, request, obstacles);
  const core::Outcome outcome = send(client, request);
  expect_answer(outcome, obstacles, "reserve");
  if (errc_of(outcome) != Errc::kOk || granules == 0) return;
  const auto& reserved = std::get<p::Reserved>(outcome.sends.front().message.body);
  EXPECT_EQ(reserved.granules, granules);
  oracle_.reserve(client.session, reserved);
}

void CoreSimulation::unreserve(Client& client) {
  if (oracle_.reservations().empty()) return;
  const auto reservation = pick(oracle_.reservations());
  p::Unreserve request{reservation->first};
  if (random_.percent(10)) request.first += random_.between(1, 8);
  const auto found = oracle_.reservations().find(static_cast<std::uint32_t>(request.first));
  std::set<Errc> obstacles;
  if (!is_live(client)) {
    obstacles = {Errc::kUnknownSession};
  } else if (found == oracle_.reservations().end() || found->second.session != client.session) {
    obstacles = {Errc::kNotOwner};
  }
  const core::Outcome outcome = send(client, request);
  expect_answer(outcome, obstacles, "unreserve");
  if (errc_of(outcome) == Errc::kOk) oracle_.unreserve(found->first);
}

void CoreSimulation::attach_heap(Client& client) {
  std::set<Errc> obstacles;
  if (oracle_.heaps().size() >= limits_.max_heaps) obstacles.insert(Errc::kTooManyHeaps);
  if (!is_live(client)) obstacles.insert(Errc::kUnknownSession);
  core::Outcome outcome = send(client, p::AttachHeap{});
  expect_answer(outcome, obstacles, "heap");
  if (!outcome.commit) return;
  oracle_.heaps()[outcome.commit->heap] = client.session;
  pending_.push_back({std::move(*outcome.commit), &client});
}

void CoreSimulation::give_back(Client& client) {
  // Mostly a span of its own that is empty, sometimes one that is not, or anybody's.
  std::vector<std::uint32_t> candidates;
  for (const auto& [first, span] : oracle_.spans()) {
    const bool own = span.session == client.session;
    const bool empty = !span.pending && !oracle_.holds_live_block(first);
    if (random_.percent(own && empty ? 90 : 5)) candidates.push_back(first);
  }
  if (candidates.empty()) return;
  const std::uint32_t first = candidates[random_.below(candidates.size())];
  const CoreOracle::Span& span = oracle_.spans().at(first);
  std::set<Errc> obstacles;
  if (!is_live(client)) {
    obstacles = {Errc::kUnknownSession};
  } else if (span.session != client.session || span.pending) {
    obstacles = {Errc::kNotOwner};
  } else if (oracle_.holds_live_block(first)) {
    obstacles = {Errc::kBadArgument};
  }
  const core::Outcome outcome = send(client, p::ReturnSpan{first});
  expect_answer(outcome, obstacles, "return");
  if (errc_of(outcome) != Errc::kOk) return;
  if (oracle_.is_set_aside(first)) count("return into a reservation");
  oracle_.free_span(first, now_.monotonic_ns);
}

void CoreSimulation::carve(Client& client) {
  const auto first = any_span_of(client.session, random_.percent(25));
  if (!first || !is_idle(*first)) return;
  const CoreOracle::Span span = oracle_.spans().at(*first);
  std::vector<std::uint32_t> bins;
  for (std::uint32_t bin = 0; bin < region::kClassCount; ++bin) {
    const region::SizeClass& one = region::kSizeClasses.at(bin);
    if (one.span_granules == span.granules && one.block_count <= span.words) bins.push_back(bin);
  }
  const bool large = bins.empty() || random_.percent(35);
  const std::uint32_t bin = large ? 0 : bins[random_.below(bins.size())];
  const std::uint64_t carve = large ? CarveWord::kLarge : CarveWord::blocks(bin);
  const std::uint32_t blocks = large ? 1 : region::kSizeClasses.at(bin).block_count;
  const std::uint32_t generation = random_.below(1U << 18);
  client.stores.emplace_back([this, at = *first] { set_carve(at, 0); });
  constexpr std::uint32_t kWordsAStep = 128;
  for (std::uint32_t begin = 0; begin < span.words; begin += kWordsAStep) {
    client.stores.emplace_back([this, begin, blocks, generation, at = *first, end = span.words] {
      for (std::uint32_t i = begin; i < std::min(begin + kWordsAStep, end); ++i) {
        store({at, i}, i < blocks ? OwnWord::make(OwnWord::kFree, generation) : 0);
      }
    });
  }
  client.stores.emplace_back([this, at = *first, carve] {
    set_carve(at, carve);
    count("carve");
  });
}

void CoreSimulation::allocate(Client& client) {
  const auto first = any_span_of(client.session, true);
  if (!first) return;
  const BlockKey block{*first, random_.below(block_count(*first))};
  const std::uint32_t word = oracle_.word(block);
  if (OwnWord::owner(word) != OwnWord::kFree) return;
  client.stores.emplace_back([this, block, word, session = client.session] {
    store(block, OwnWord::make(session, word));
    count("allocate");
  });
}

void CoreSimulation::free_block(Client& client, BlockKey block) {
  const std::uint32_t word = oracle_.word(block);
  const auto span = oracle_.spans().find(block.first);
  const bool own_span = span->second.session == client.session;
  if (own_span && (word & (kExposed | kOffered)) == 0) {
    client.stores.emplace_back([this, block, word] {
      store(block, freed(word, OwnWord::kFree));
      count("free");
    });
    return;
  }
  client.stores.emplace_back([this, &client, block, word, own_span] {
    if (!compare_exchange(block, word, freed(word, own_span ? OwnWord::kFree : OwnWord::kFreed))) {
      count("free lost to an adopter");
      return client.stores.clear();
    }
    count(own_span ? "free exposed" : "free elsewhere");
  });
  if (own_span) return;
  client.stores.emplace_back(
      [this, block] { view().span_ledger(block.first).hint.store_release(1); });
  client.stores.emplace_back([this, &client, block] {
    if (!client.connected) return;
    const core::Outcome outcome = send(client, p::FreedElsewhere{block.first});
    EXPECT_TRUE(outcome.sends.empty() && !outcome.commit && !outcome.drop);
    // Heard even from a session that is draining: it only makes the daemon look.
    oracle_.note_freed(block.first, now_.monotonic_ns);
  });
}

void CoreSimulation::offer(Client& client, BlockKey block) {
  client.stores.emplace_back([this, block, session = client.session] {
    const std::uint32_t word = oracle_.word(block);
    if (OwnWord::owner(word) != session) return;
    const std::uint32_t next = (word | kExposed) ^ kOffered;
    if (!compare_exchange(block, word, next)) return;
    if ((next & kOffered) == 0) return count("retract");
    count("offer");
    offers_.push_back({handle_of(block), block});
  });
}

void CoreSimulation::adopt(Client& client) {
  if (offers_.empty()) return;
  const std::size_t which = random_.below(offers_.size());
  const Offer offer = offers_[which];
  if (random_.percent(50)) {
    offers_.erase(offers_.begin() + static_cast<std::ptrdiff_t>(which));
  }
  client.stores.emplace_back([this, &client, offer] {
    region::BlockRef found;
    const auto high_water = view().header().high_water_granules.load_acquire();
    if (view().find_block(offer.handle.offset_bytes(), high_water, found) != Errc::kOk) return;
    const BlockKey block{found.span.first, found.index};
    const std::uint32_t word = found.word->load_acquire();
    if (OwnWord::generation(word) != offer.handle.generation() || !OwnWord::is_session(word) ||
        !OwnWord::is_offered(word)) {
      return;
    }
    client.stores.emplace_front([this, block, word, session = client.session] {
      const std::uint32_t mine = OwnWord::make(session, word) | kExposed;
      count(compare_exchange(block, word, mine) ? "adopt" : "adopt lost");
    });
  });
}

void CoreSimulation::collect(Client& client) {
  const auto first = any_span_of(client.session, true);
  if (!first) return;
  client.stores.emplace_back(
      [this, at = *first] { (void)view().span_ledger(at).hint.exchange_acquire(0); });
  client.stores.emplace_back([this, at = *first] {
    for (std::uint32_t i = 0; i < block_count(at); ++i) {
      const std::uint32_t word = oracle_.word({at, i});
      if (OwnWord::owner(word) != OwnWord::kFreed) continue;
      EXPECT_TRUE(compare_exchange({at, i}, word, freed(word & ~kExposed, OwnWord::kFree)));
      count("collect");
    }
  });
}

void CoreSimulation::publish(Client& client, BlockKey block) {
  const std::uint32_t word = oracle_.word(block);
  if ((word & kOffered) == 0) offer(client, block);
  client.stores.emplace_back([this, &client, block] {
    if (client.connected) (void)send_publish(client, block);
  });
}

std::optional<std::string> CoreSimulation::send_publish(Client& client, BlockKey block) {
  const std::uint32_t offered = oracle_.word(block);
  p::Publish request{handle_of(block).bits(), {}};
  const std::string name = any_name();
  p::set_text(request.name, name);
  std::set<Errc> obstacles;
  if (!is_live(client)) obstacles.insert(Errc::kUnknownSession);
  if (oracle_.names().contains(name)) obstacles.insert(Errc::kNameTaken);
  if (oracle_.names().size() + oracle_.hidden().size() >= limits_.max_names) {
    obstacles.insert(Errc::kTooManyNames);
  }
  if (OwnWord::owner(offered) != client.session) {
    // Adopted, perhaps freed since, perhaps its span is gone.
    obstacles.insert({Errc::kNotOwner, Errc::kStaleHandle, Errc::kPublished, Errc::kNotInRegion});
  } else if ((offered & kOffered) == 0) {
    obstacles.insert(Errc::kNotOffered);
  }
  const core::Outcome outcome = send(client, request);
  expect_answer(outcome, obstacles, "publish");
  if (errc_of(outcome) != Errc::kOk) return std::nullopt;
  const std::uint64_t carve = oracle_.carve(block.first);
  const std::uint64_t size = CarveWord::kind(carve) == CarveWord::kBlocks
                                 ? region::kSizeClasses.at(carve >> 8).block_bytes
                                 : oracle_.spans().at(block.first).granules * kGranuleBytes;
  oracle_.set_word(block, OwnWord::make(OwnWord::kKept, offered) | kExposed);
  oracle_.names()[name] = {Handle::from_bits(request.handle), block, size, client.uid, {}};
  return name;
}

void CoreSimulation::use_names(Client& client) {
  const std::uint32_t chance = random_.below(100U);
  if (chance < 45) return find(client, any_name());
  if (chance < 60) return unpublish(client);
  unpin(client);
}

void CoreSimulation::find(Client& client, const std::string& name) {
  const auto found = oracle_.names().find(name);
  std::set<Errc> obstacles;
  if (!is_live(client)) obstacles.insert(Errc::kUnknownSession);
  if (found == oracle_.names().end()) obstacles.insert(Errc::kNameUnknown);
  p::Find request;
  p::set_text(request.name, name);
  const core::Outcome outcome = send(client, request);
  expect_answer(outcome, obstacles, "find");
  if (errc_of(outcome) != Errc::kOk || !obstacles.empty()) return;
  const auto& answer = std::get<p::Found>(outcome.sends.front().message.body);
  EXPECT_EQ(answer.handle, found->second.handle.bits());
  EXPECT_EQ(answer.size_bytes, found->second.size_bytes);
  found->second.pins.insert(client.session);
}

void CoreSimulation::unpublish(Client& client) {
  if (oracle_.names().empty()) return;
  const auto found = pick(oracle_.names());
  const std::string name = found->first;
  std::uint64_t handle = found->second.handle.bits();
  std::set<Errc> obstacles;
  if (random_.percent(10)) {
    handle ^= 1;
    obstacles.insert(Errc::kStaleHandle);
  }
  if (!is_live(client)) obstacles.insert(Errc::kUnknownSession);
  if (found->second.uid != client.uid) obstacles.insert(Errc::kNotOwner);
  p::Unpublish request{handle, {}};
  p::set_text(request.name, name);
  const core::Outcome outcome = send(client, request);
  expect_answer(outcome, obstacles, "unpublish");
  if (errc_of(outcome) == Errc::kOk) oracle_.hide(name, now_.monotonic_ns);
}

void CoreSimulation::unpin(Client& client) {
  // Mostly what it pins, sometimes what it does not.
  std::vector<CoreOracle::Name> candidates;
  const auto consider = [&](const CoreOracle::Name& name) {
    if (name.pins.contains(client.session) || random_.percent(10)) candidates.push_back(name);
  };
  for (const auto& [name, record] : oracle_.names()) consider(record);
  for (const CoreOracle::Name& record : oracle_.hidden()) consider(record);
  if (candidates.empty()) return;
  const CoreOracle::Name chosen = candidates[random_.below(candidates.size())];
  if (oracle_.fills_a_chunk(client.session, chosen.block.first)) {
    if (!client.running) return;  // it would have closed them before
    queue_closes(client, chosen.block.first);
    client.stores.emplace_back([this, &client, handle = chosen.handle] {
      if (client.connected) send_unpin(client, handle);
    });
    return;
  }
  send_unpin(client, chosen.handle);
}

void CoreSimulation::send_unpin(Client& client, Handle handle) {
  std::set<Errc> obstacles;
  const CoreOracle::Name* const record = oracle_.record(handle);
  if (record == nullptr || !record->pins.contains(client.session)) {
    obstacles.insert(Errc::kNameUnknown);
  }
  const bool chunked = record != nullptr && oracle_.is_chunked(record->block.first);
  const core::Outcome outcome = send(client, p::Unpin{handle.bits()});
  expect_answer(outcome, obstacles, "unpin");
  if (errc_of(outcome) == Errc::kOk) {
    const bool last = oracle_.unpin(handle, client.session, now_.monotonic_ns);
    if (last) count(chunked ? "chunks ended" : "last unpin of a hidden name");
  }
}

void CoreSimulation::watch(Client& client) {
  if (oracle_.sessions().empty()) return;
  const auto peer = pick(oracle_.sessions());
  p::Watch request{{}, peer->first, peer->second.incarnation};
  p::set_text(request.region, "default");
  if (random_.percent(10)) request.incarnation += 1;
  const bool known = request.incarnation == peer->second.incarnation;
  const core::Outcome outcome = send(client, request);
  expect_answer(outcome, known ? std::set<Errc>{} : std::set{Errc::kUnknownSession}, "watch");
  if (known) watchers_[peer->first].insert(client.connection);
}

void CoreSimulation::misbehave(Client& client) {
  if (random_.percent(50)) {
    expect_answer(send(client, p::Hello{}), {Errc::kSecondHello}, "second hello");
    return;
  }
  p::Wire wire{};
  for (std::byte& byte : wire) byte = static_cast<std::byte>(random_.next());
  core::Outcome outcome;
  of_daemon([&] { outcome = service_.handle(client.connection, wire, now_); });
  EXPECT_TRUE(outcome.drop) << "random bytes were taken for a message";
  count("garbage");
  // Dropped: the connection goes, the image may live on.
  hear_of_death(client);
}

}  // namespace allot::test
