#include "tests/support/client_life.hpp"

#include <csignal>
#include <string>
#include <thread>

#include "tests/support/agent.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/ledger_areas.hpp"
#include "tests/support/store_trace.hpp"

namespace allot::test {

namespace {

Arena reserve_arena(const Session& session) {
  ArenaOptions options;
  options.source = session;
  return Arena::reserve(std::size_t{1} << 20, options);
}

}  // namespace

FilledBlock allocate_filled(Session& session, std::size_t size_bytes, std::uint64_t seed) {
  void* const block = session.allocate(size_bytes);
  require(block != nullptr, "no memory: " + Session::last_error().message());
  fill_block(block, size_bytes, seed);
  return {block, size_bytes, seed};
}

void free_filled(Session& session, const FilledBlock& block) {
  require(holds_pattern(block.address, block.size_bytes, block.seed), "our block was written to");
  const Errc errc = session.free(block.address);
  require(errc == Errc::kOk, "our block is not ours: " + std::string(describe(errc)));
}

Arena open_windows(Session& session) {
  for (const std::size_t size : {16UL, 64UL, 1000UL}) {
    free_filled(session, allocate_filled(session, size, size));
  }
  Arena arena = reserve_arena(session);
  require(arena.push(1) != nullptr, "no memory for an arena");
  return arena;
}

std::vector<FilledBlock> allocate_and_free(Session& session) {
  std::vector<FilledBlock> blocks;
  for (const std::size_t size : {16UL, 64UL, 1000UL, 5000UL, 40'000UL, 200'000UL}) {
    for (int i = 0; i < 4; ++i) blocks.push_back(allocate_filled(session, size, blocks.size()));
  }
  std::vector<FilledBlock> kept;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (i % 2 == 0) {
      free_filled(session, blocks[i]);
    } else {
      kept.push_back(blocks[i]);
    }
  }
  return kept;
}

void allocate_in_a_thread(Session& session) {
  std::thread([&] { free_filled(session, allocate_filled(session, 500, 1)); }).join();
}

void use_an_arena(Session& session) {
  Arena arena = reserve_arena(session);
  for (int i = 0; i < 10; ++i) require(arena.push(30'000) != nullptr, "the arena is full");
}

std::uint64_t run_to_store(std::uint64_t at, int signal, const std::function<void()>& life) {
  std::uint64_t stores = 0;
  trace_each_store(ledger_areas(), life, [&](const StoredBytes&) {
    if (++stores == at) (void)::raise(signal);
  });
  return stores;
}

}  // namespace allot::test
