// What the clients of a CoreSimulation do with blocks that many fill in chunks: a store at a time,
// as the library's SharedChunks does it.

#include <algorithm>

#include <gtest/gtest.h>

#include "shared/region/chunk_words.hpp"
#include "tests/support/core_simulation.hpp"

namespace allot::test {

namespace p = protocol;
using detail::OwnWord;
using region::CarveWord;
using region::ChunkWords;

namespace {

constexpr std::uint32_t kUnitBytes = 16;
constexpr std::uint32_t kUnits = 1U << 18;

std::uint32_t units_of(std::uint32_t word) { return word % kUnits; }
std::uint32_t head_word(std::uint32_t value) { return (OwnWord::kFree << 20) + value; }

}  // namespace

void CoreSimulation::use_chunks(Client& client) {
  const std::uint32_t chance = random_.below(100U);
  const auto held = any_chunked_of(client.session);
  if (!held || chance < 12) {
    if (!client.connected) return;
    if (random_.percent(50)) return publish_chunked(client);
    return attach_chunked(client);
  }
  const std::uint32_t first = held->block.first;
  if (chance < 50) return claim_chunk(client, first);
  if (chance < 85) return fill_chunk(client, first);
  if (chance < 90) return queue_closes(client, first);
  if (!client.connected) return;
  if (!random_.percent(10)) queue_closes(client, first);  // or another thread of it fills one
  client.stores.emplace_back([this, &client, handle = held->handle] {
    if (client.connected) clear_chunks(client, handle);
  });
}

// One that it has found.
std::optional<CoreOracle::Name> CoreSimulation::any_chunked_of(std::uint32_t session) {
  std::vector<CoreOracle::Name> found;
  const auto consider = [&](const CoreOracle::Name& name) {
    if (oracle_.is_chunked(name.block.first) && name.pins.contains(session)) found.push_back(name);
  };
  for (const auto& [name, record] : oracle_.names()) consider(record);
  for (const CoreOracle::Name& record : oracle_.hidden()) consider(record);
  if (found.empty()) return std::nullopt;
  return found[random_.below(found.size())];
}

void CoreSimulation::publish_chunked(Client& client) {
  const auto first = any_span_of(client.session, random_.percent(50));
  if (!first || !is_idle(*first)) return;
  const CoreOracle::Span span = oracle_.spans().at(*first);
  constexpr std::uint32_t kMaxChunks = 8;  // few, so that clients meet
  const std::uint32_t chunks = random_.between(
      1, std::min(kMaxChunks, (span.words - ChunkWords::kFirst) / ChunkWords::kStride));
  std::vector<std::uint32_t> words(span.words);
  const std::uint32_t generation = random_.below(kUnits);
  words[0] = head_word(generation);
  words[ChunkWords::kEpoch] = head_word(0);
  words[ChunkWords::kForm] = head_word(random_.between(1, 2));
  words[ChunkWords::kUnitBytes] = head_word(kUnitBytes);
  words[ChunkWords::kChunkUnits] = head_word(random_.between(1, 40));
  words[ChunkWords::kChunkCount] = head_word(chunks);
  for (std::uint32_t i = 0; i < chunks; ++i) words[ChunkWords::of_chunk(i)] = head_word(0);

  const BlockKey block{*first, 0};
  const std::uint32_t mine = OwnWord::make(client.session, generation);
  client.stores.emplace_back([this, block] { set_carve(block.first, CarveWord::kNone); });
  client.stores.emplace_back([this, block, words] {
    for (std::uint32_t i = 0; i < words.size(); ++i) store({block.first, i}, words[i]);
  });
  client.stores.emplace_back([this, block, mine] { store(block, mine); });
  client.stores.emplace_back([this, block] { set_carve(block.first, CarveWord::kChunked); });
  client.stores.emplace_back([this, block, mine] {
    // Nobody else has seen its handle.
    EXPECT_TRUE(compare_exchange(block, mine, mine | OwnWord::kExposed | OwnWord::kOffered));
  });
  client.stores.emplace_back([this, &client, block] {
    const auto name = client.connected ? send_publish(client, block) : std::nullopt;
    if (!name) return unmake_chunked(client, block);
    count("publish of chunks");
    client.stores.emplace_back([this, &client, name] {
      if (client.connected) find(client, *name);
    });
  });
}

// Not published: an ordinary large block again, and free.
void CoreSimulation::unmake_chunked(Client& client, BlockKey block) {
  const std::uint32_t offered = oracle_.word(block);
  const std::uint32_t mine = offered & ~OwnWord::kOffered;
  client.stores.emplace_back(
      [this, block, offered, mine] { EXPECT_TRUE(compare_exchange(block, offered, mine)); });
  client.stores.emplace_back([this, block] {
    for (std::uint32_t i = 1; i < oracle_.spans().at(block.first).words; ++i) {
      store({block.first, i}, 0);
    }
  });
  client.stores.emplace_back([this, block] { set_carve(block.first, CarveWord::kLarge); });
  client.stores.emplace_back([this, block, mine] {
    store(block, head_word(units_of(mine + 1)));
    count("chunks unmade");
  });
}

void CoreSimulation::attach_chunked(Client& client) {
  std::vector<std::string> found;
  for (const auto& [name, record] : oracle_.names()) {
    if (oracle_.is_chunked(record.block.first)) found.push_back(name);
  }
  if (!found.empty()) find(client, found[random_.below(found.size())]);
}

void CoreSimulation::claim_chunk(Client& client, std::uint32_t first) {
  const std::uint32_t units = units_of(oracle_.word({first, ChunkWords::kChunkUnits}));
  const std::uint32_t chunks = units_of(oracle_.word({first, ChunkWords::kChunkCount}));
  const BlockKey chunk{first, ChunkWords::of_chunk(random_.below(chunks))};
  client.stores.emplace_back([this, &client, chunk, units] {
    const std::uint32_t was = view().word(chunk.first, chunk.index).load_acquire();
    const std::uint32_t owner = OwnWord::owner(was);
    if (owner != OwnWord::kFree && owner != OwnWord::kFreed) return count("claim of an open chunk");
    if (units_of(was) >= units) return count("claim of a full chunk");
    client.stores.emplace_front([this, &client, chunk, was] {
      if (!compare_exchange(chunk, was, OwnWord::make(client.session, units_of(was)))) {
        return count("claim lost");
      }
      count(units_of(was) > 0 ? "claim of a rest" : "claim");
    });
  });
  // As one thread does; several of one process have one open each.
  if (random_.percent(70)) queue_closes(client, first);
}

void CoreSimulation::fill_chunk(Client& client, std::uint32_t first) {
  const auto open = oracle_.open_chunks(client.session, first);
  if (open.empty()) return;
  const BlockKey chunk = open[random_.below(open.size())];
  const std::uint32_t units = units_of(oracle_.word({first, ChunkWords::kChunkUnits}));
  for (std::uint32_t pushes = random_.between(1, 3); pushes > 0; --pushes) {
    client.stores.emplace_back([this, chunk, units] {
      const std::uint32_t word = oracle_.word(chunk);
      if (units_of(word) == units) return;
      store(chunk, word + random_.between(1, units - units_of(word)));
      count("fill");
    });
  }
}

void CoreSimulation::queue_closes(Client& client, std::uint32_t first) {
  for (const BlockKey chunk : oracle_.open_chunks(client.session, first)) {
    client.stores.emplace_back([this, chunk] {
      store(chunk, (OwnWord::kFreed << 20) + units_of(oracle_.word(chunk)));
      count("close");
    });
  }
}

void CoreSimulation::clear_chunks(Client& client, Handle handle) {
  const std::set<Errc> obstacles = oracle_.clear_obstacles(client.session, handle);
  if (obstacles.contains(Errc::kArenaShared)) count("clear of what others hold");
  const core::Outcome outcome = send(client, p::ClearChunks{handle.bits()});
  expect_answer(outcome, obstacles, "clear");
  if (errc_of(outcome) == Errc::kOk) oracle_.clear_chunks(handle);
}

}  // namespace allot::test
