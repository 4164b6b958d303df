#include "tests/support/core_simulation.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace allot::test {

namespace p = protocol;
using detail::OwnWord;
using region::CarveWord;
using region::kGranuleBytes;
using region::SessionState;

namespace {

constexpr std::uint32_t kTag = 9;
constexpr std::uint32_t kCheckEverySteps = 40;
constexpr std::uint32_t kAuditEverySteps = 200;

core::Limits random_limits(Random& random) {
  core::Limits limits;
  limits.max_grant_bytes = random.between(8, 24) * kGranuleBytes;
  limits.session_quota_bytes = random.between(8, 64) * kGranuleBytes;
  limits.uid_quota_bytes = random.between(12, 96) * kGranuleBytes;
  limits.commit_limit_bytes = random.between(24, 128) * kGranuleBytes;
  limits.session_reserve_bytes = random.between(4, 40) * kGranuleBytes;
  limits.uid_reserve_bytes = random.between(8, 64) * kGranuleBytes;
  limits.reserve_limit_bytes = random.between(8, 80) * kGranuleBytes;
  limits.max_sessions = random.between(3, 10);
  limits.max_sessions_per_uid = random.between(2, 10);
  limits.max_heaps = random.between(2, 8);
  limits.max_names = random.between(1, 8);
  limits.message_burst = limits.messages_per_second = ~0U;
  limits.large_reclaim_delay_ms = random.between(1, 1000);
  limits.punch_delay_ms = random.between(0, 500);
  return limits;
}

}  // namespace

CoreSimulation::CoreSimulation(std::uint64_t seed, EventCounts* counts,
                               std::uint32_t deaths_percent)
    : random_(seed),
      counts_(counts),
      limits_(random_limits(random_)),
      memory_(random_.between(16, 96)),
      deaths_percent_(deaths_percent),
      oracle_(static_cast<std::uint32_t>(memory_.granules()), limits_),
      target_clients_(random_.between(1, 8)),
      mortality_percent_(random_.between(1, 100)) {
  auto core = std::make_unique<core::RegionCore>(memory_.view(), "default", kTag, limits_, 1,
                                                 memory_.vault());
  core_ = core.get();
  if (deaths_percent > 0) aftermath_ = std::make_unique<CoreAftermath>(memory_, core_->limits());
  service_.add_region(std::move(core), {});
}

void CoreSimulation::run(std::uint32_t steps) {
  for (std::uint32_t i = 1; i <= steps && !testing::Test::HasFailure(); ++i) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "step " + std::to_string(i));
    now_.monotonic_ns += random_.below(5'000'000U);
    now_.unix_ns = 1 + random_.below(1U << 31);  // somebody sets the wall clock all the time
    step();
    if (i % kCheckEverySteps == 0 || i == steps) oracle_.compare(*core_);
    if (i % kAuditEverySteps == 0 || i == steps) oracle_.audit(*core_);
  }
}

void CoreSimulation::step() {
  const std::uint32_t chance = random_.below(100U);
  if (chance < 62) {
    Client* const client = any_client([](const Client& one) { return one.running; });
    if (client == nullptr) return connect();
    if (client->stores.empty()) return start_operation(*client);
    const auto store = std::move(client->stores.front());
    client->stores.pop_front();
    return store();
  }
  if (chance < 70) return finish_commit();
  if (chance < 74) return connect();
  if (chance < 78) {
    Client* const client = any_client([](const Client& one) { return !one.running; });
    if (client == nullptr) return;
    if (client->connected && random_.percent(30)) return read_last_words(*client);
    hear_of_death(*client);
  } else if (chance < 79) {
    if (!random_.percent(mortality_percent_)) return;
    Client* const client = any_client([](const Client& one) { return one.running; });
    if (client != nullptr) kill(*client);
  } else if (chance < 80) {
    if (random_.percent(20)) restart();
  } else if (chance < 91) {
    recover();
  } else if (chance < 94) {
    sweep();
  } else if (chance < 98) {
    punch();
  } else {
    now_.monotonic_ns += random_.below(300'000'000U);
  }
}

CoreSimulation::Client* CoreSimulation::any_client(bool (*fits)(const Client&)) {
  std::vector<Client*> found;
  for (const auto& client : clients_) {
    if (fits(*client)) found.push_back(client.get());
  }
  return found.empty() ? nullptr : found[random_.below(found.size())];
}

// --- messages ---

core::Outcome CoreSimulation::send(const Client& client, const p::Body& body) {
  core::Outcome outcome;
  const auto wire = p::encode({random_.next(), body});
  of_daemon([&] { outcome = service_.handle(client.connection, wire, now_); });
  return outcome;
}

void CoreSimulation::of_daemon(const std::function<void()>& event) {
  constexpr std::uint64_t kMostDeaths = 10;
  if (aftermath_ == nullptr || !random_.percent(deaths_percent_)) return event();
  (*counts_)["death of the daemon"] += aftermath_->kill_everywhere(event, random_, kMostDeaths);
}

Errc CoreSimulation::errc_of(const core::Outcome& outcome) {
  if (outcome.commit) return Errc::kOk;
  if (outcome.sends.empty()) return Errc::kOk;
  const auto* const failure = std::get_if<p::Failure>(&outcome.sends.front().message.body);
  return failure == nullptr ? Errc::kOk : static_cast<Errc>(failure->errc);
}

void CoreSimulation::expect_answer(const core::Outcome& outcome, const std::set<Errc>& obstacles,
                                   const char* what) {
  const Errc errc = errc_of(outcome);
  count(std::string(what) + (errc == Errc::kOk ? "" : " refused"));
  if (errc == Errc::kOk) {
    EXPECT_TRUE(obstacles.empty()) << what << " was served, but: " << describe(*obstacles.begin());
  } else {
    EXPECT_TRUE(obstacles.contains(errc)) << what << " was refused: " << describe(errc);
  }
}

// --- what happens to clients ---

void CoreSimulation::kill(Client& client) {
  // A late notice about somebody who had the id before.
  core::Service::image_gone({core_, client.session, client.incarnation - 1});
  if (random_.percent(25) && client.connected) {
    count("detach");
    return hear_of_death(client);
  }
  count(client.stores.empty() ? "kill between operations" : "kill between stores");
  if (oracle_.fills_a_chunk(client.session)) count("kill of one who fills a chunk");
  if (oracle_.has_chunked_span(client.session)) count("kill of one who made chunks");
  client.running = false;
  client.stores.clear();
}

// A message that a client sent before it died is read when it may be draining already.
void CoreSimulation::read_last_words(Client& client) {
  count("last words");
  switch (random_.below(6U)) {
    case 0: return ask_for_spans(client);
    case 3: return use_reservations(client);
    case 1: return give_back(client);
    case 2: return attach_heap(client);
    case 4: {
      const auto held = any_chunked_of(client.session);
      if (held) clear_chunks(client, held->handle);
      return;
    }
    default: return use_names(client);
  }
}

// The daemon learns that the connection closed, or, of a dead client, that its image is gone.
void CoreSimulation::hear_of_death(Client& client) {
  CoreOracle::Session& session = oracle_.sessions().at(client.session);
  if (client.connected && (client.running || random_.percent(50))) {
    client.connected = false;
    service_.close_connection(client.connection);
    for (auto& [id, connections] : watchers_) connections.erase(client.connection);
    if (session.state == SessionState::kLive) session.state = SessionState::kDetached;
    return;
  }
  if (client.running || client.reported_gone) return;

  core::Service::image_gone({core_, client.session, client.incarnation});
  client.reported_gone = true;
  session.state = SessionState::kDraining;
  count("image gone");
}

// --- what the daemon does ---

void CoreSimulation::finish_commit() {
  if (pending_.empty()) return;
  const std::size_t which = random_.below(pending_.size());
  const Pending pending = std::move(pending_[which]);
  pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(which));
  const core::PendingCommit& commit = pending.commit;
  const bool committed = random_.percent(85);
  const bool live = is_live(*pending.client);
  if (committed) {
    memory_.open(commit.high_water_granules);
    memory_.open_heaps(commit.heap_count);
  }
  const Expected<void> result =
      committed ? Expected<void>() : Expected<void>(Error(Errc::kSystem, "no memory"));
  core::Outcome outcome;
  of_daemon([&] { outcome = service_.finish_commit(commit, result, now_); });
  EXPECT_EQ(outcome.sends.size(), pending.client->connected ? 1U : 0U);
  const Errc errc = errc_of(outcome);
  if (commit.grant) {
    oracle_.finish(*commit.grant, committed && live);
    count(!committed ? "commit failed" : live ? "granted" : "granted too late");
    EXPECT_TRUE(!pending.client->connected || (errc == Errc::kOk) == (committed && live));
  } else if (!committed) {
    oracle_.heaps().erase(commit.heap);
  }
}

void CoreSimulation::recover() {
  constexpr std::uint64_t kBudgets[] = {1, 300, 2000, ~std::uint64_t{0}};
  if (service_.recovery_pending()) count("recovery slice");
  std::vector<core::SessionKey> ended;
  std::vector<core::Send> sends;
  const std::uint64_t budget = kBudgets[random_.below(4U)];
  of_daemon([&] { sends = service_.recover_step(budget, now_, &ended); });
  std::vector<std::uint32_t> ids;
  std::size_t told = 0;
  for (const core::SessionKey& key : ended) {
    ids.push_back(key.id);
    EXPECT_EQ(key.incarnation, oracle_.sessions().at(key.id).incarnation);
    told += watchers_[key.id].size();
    for (const core::Send& one : sends) {
      const auto& gone = std::get<p::PeerGone>(one.message.body);
      EXPECT_TRUE(gone.session != key.id || watchers_[key.id].contains(one.to));
    }
    watchers_.erase(key.id);
    const auto& reservations = oracle_.reservations();
    if (std::any_of(reservations.begin(), reservations.end(),
                    [&](const auto& one) { return one.second.session == key.id; })) {
      count("session ended with a reservation");
    }
    count("session ended");
  }
  EXPECT_EQ(sends.size(), told) << "PeerGone";
  oracle_.after_recovery(*core_, ids, now_.monotonic_ns);
  oracle_.accept_taken_large(core_->view());
  std::erase_if(clients_, [&](const auto& client) {
    const bool over =
        client->reported_gone && std::count(ids.begin(), ids.end(), client->session) > 0;
    if (over && client->connected) {
      service_.close_connection(client->connection);
      for (auto& [id, connections] : watchers_) connections.erase(client->connection);
    }
    return over;
  });
}

void CoreSimulation::punch() {
  const auto ranges = core_->next_punch(random_.between(1, 8), now_.monotonic_ns);
  if (ranges.empty()) return;
  count(ranges.size() == 1 ? "punch of a taken block" : "punch");
  oracle_.punch(ranges, now_.monotonic_ns);
  for (const core::FileRange& range : ranges) memory_.punch(range);
}

void CoreSimulation::sweep() {
  of_daemon([&] { core_->sweep(now_.monotonic_ns); });
  oracle_.sweep(now_.monotonic_ns);
  oracle_.accept_taken_large(core_->view());
}

// The daemon is killed, and another goes on with what is in shared memory and in the vault.
void CoreSimulation::restart() {
  count(pending_.empty() ? "restart" : "restart with commits to come");
  if (service_.recovery_pending()) count("restart inside a recovery");
  for (const Pending& pending : pending_) {
    if (pending.commit.grant) oracle_.finish(*pending.commit.grant, false);
  }
  pending_.clear();
  watchers_.clear();
  service_ = core::Service();
  memory_.open_heaps(core::RegionCore::heaps_to_open(view(), memory_.vault()));
  Expected<std::unique_ptr<core::RegionCore>> restored = Error(Errc::kClosed);
  of_daemon([&] { restored = core::RegionCore::restore(view(), memory_.vault(), limits_); });
  ASSERT_TRUE(restored) << restored.error().message();
  core_ = restored->get();
  service_.add_region(std::move(*restored), {});
  oracle_.restart(static_cast<std::uint32_t>(core_->high_water_granules()));
  for (const auto& client : clients_) {
    const bool was_connected = std::exchange(client->connected, false);
    if (client->running && was_connected && random_.percent(90)) resume(*client);
  }
  oracle_.compare(*core_);
}

void CoreSimulation::resume(Client& client) {
  p::Resume wanted;
  wanted.fingerprint = region::fingerprint();
  p::set_text(wanted.region, "default");
  wanted.region_created_unix_ns = view().header().created_unix_ns;
  wanted.session = client.session;
  wanted.incarnation = client.incarnation;
  const core::ConnectionId connection = service_.open_connection({1, client.uid, 100});
  const auto ask = [&](p::Resume body, bool is_same) {
    core::Outcome outcome = service_.handle(connection, p::encode({1, body}), now_);
    if (outcome.resume) outcome = service_.finish_resume(*outcome.resume, is_same);
    return errc_of(outcome);
  };
  p::Resume of_another = wanted;
  ++of_another.incarnation;
  EXPECT_EQ(ask(of_another, true), Errc::kUnknownSession);
  EXPECT_EQ(ask(wanted, false), Errc::kUnknownSession) << "another process";
  EXPECT_EQ(ask(wanted, true), Errc::kOk);
  EXPECT_EQ(ask(wanted, true), Errc::kSecondHello);
  client.connection = connection;
  client.connected = true;
  oracle_.sessions().at(client.session).state = SessionState::kLive;
  count("resume");
}

void CoreSimulation::drain() {
  for (const auto& client : clients_) {
    client->running = false;
    client->stores.clear();
  }
  while (!pending_.empty()) finish_commit();
  for (int tries = 0; !clients_.empty() && tries < 10'000; ++tries) {
    hear_of_death(*clients_[random_.below(clients_.size())]);
    recover();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_TRUE(clients_.empty()) << "recovery does not come to an end";
  while (!oracle_.names().empty()) {
    const auto name = oracle_.names().begin();
    EXPECT_TRUE(core_->unpublish(0, name->first, name->second.handle, true, now_.monotonic_ns));
    oracle_.hide(std::string(name->first), now_.monotonic_ns);
  }
  sweep();
  now_.monotonic_ns += 1'000'000'000'000;
  while (core_->punch_wanted() && !testing::Test::HasFailure()) punch();
  oracle_.compare(*core_);
  oracle_.audit(*core_);
  EXPECT_TRUE(oracle_.spans().empty());
  EXPECT_EQ(core_->totals().granted_bytes, 0U);
  EXPECT_EQ(core_->dirty_bytes(), 0U);
  EXPECT_EQ(core_->totals().reservation_bytes, 0U);
  EXPECT_EQ(core_->session_count(), 0U);
  EXPECT_EQ(core_->orphan_count(), 0U);
  EXPECT_EQ(core_->extents().extent_count(), 1U);
  EXPECT_TRUE(core_->names().empty() && core_->hidden_names().empty());
  EXPECT_FALSE(core_->sweep_wanted() || core_->punch_wanted() || service_.recovery_pending());
}

bool CoreSimulation::is_live(const Client& client) {
  return oracle_.sessions().at(client.session).state == SessionState::kLive;
}

std::string CoreSimulation::any_name() {
  return "name" + std::to_string(random_.below(limits_.max_names + 2));
}

// --- words ---

void CoreSimulation::store(BlockKey block, std::uint32_t to) {
  view().word(block.first, block.index).store_release(to);
  oracle_.set_word(block, to);
}

void CoreSimulation::set_carve(std::uint32_t first, std::uint64_t to) {
  view().span_ledger(first).carve.store_release(to);
  oracle_.set_carve(first, to);
}

bool CoreSimulation::compare_exchange(BlockKey block, std::uint32_t expected,
                                      std::uint32_t desired) {
  if (!view().word(block.first, block.index).compare_exchange_acq_rel(expected, desired)) {
    return false;
  }
  oracle_.set_word(block, desired);
  return true;
}

Handle CoreSimulation::handle_of(BlockKey block) const {
  const std::uint64_t carve = oracle_.carve(block.first);
  const std::uint64_t in_span =
      CarveWord::kind(carve) == CarveWord::kBlocks
          ? region::block_offset(region::kSizeClasses.at(CarveWord::bin(carve)), block.index)
          : 0;
  return Handle::make(kTag, block.first * kGranuleBytes + in_span,
                      OwnWord::generation(oracle_.word(block)));
}

std::uint32_t CoreSimulation::block_count(std::uint32_t first) const {
  const std::uint64_t carve = oracle_.carve(first);
  if (CarveWord::kind(carve) != CarveWord::kBlocks) return 1;
  return region::kSizeClasses.at(CarveWord::bin(carve)).block_count;
}

bool CoreSimulation::is_idle(std::uint32_t first) const {
  for (std::uint32_t i = 0; i < oracle_.spans().at(first).words; ++i) {
    if (OwnWord::owner(oracle_.word({first, i})) > OwnWord::kFree) return false;
  }
  return true;
}

std::optional<std::uint32_t> CoreSimulation::any_span_of(std::uint32_t session, bool carved) {
  std::vector<std::uint32_t> found;
  for (const auto& [first, span] : oracle_.spans()) {
    if (span.session == session && !span.pending && (oracle_.carve(first) != 0) == carved) {
      found.push_back(first);
    }
  }
  if (found.empty()) return std::nullopt;
  return found[random_.below(found.size())];
}

// Looks in a few spans, wherever the session may own something.
std::optional<BlockKey> CoreSimulation::any_block_of(std::uint32_t session) {
  if (oracle_.spans().empty()) return std::nullopt;
  std::vector<BlockKey> found;
  for (int tries = 0; tries < 3 && found.empty(); ++tries) {
    const auto span = pick(oracle_.spans());
    if (span->second.pending) continue;
    for (std::uint32_t i = 0; i < block_count(span->first); ++i) {
      const BlockKey block{span->first, i};
      if (OwnWord::owner(oracle_.word(block)) == session) found.push_back(block);
    }
  }
  if (found.empty()) return std::nullopt;
  return found[random_.below(found.size())];
}

}  // namespace allot::test
