// CoreSimulation: one daemon's Service, a few clients, and chance.
//
// Every step is one event that cannot be divided: one store of one client, one message, one commit
// that finished, one slice of recovery, one punch. Clients follow the own-word protocol by stores
// straight into the words; their operations are queues of such stores, so a client can be killed
// between any two of them. Notices of a death come late and in any order. A CoreOracle follows and
// says what each answer must be; a seed decides all.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/service.hpp"
#include "tests/support/core_aftermath.hpp"
#include "tests/support/core_oracle.hpp"
#include "tests/support/memory_region.hpp"
#include "tests/support/seed.hpp"

namespace allot::test {

/// What happened how often, so that a test can see that its seeds reach everything.
using EventCounts = std::map<std::string, std::uint64_t>;

class CoreSimulation {
 public:
  /// `deaths_percent` of the daemon's events are followed store by store, and what a kill of the
  /// daemon leaves there is looked at.
  CoreSimulation(std::uint64_t seed, EventCounts* counts, std::uint32_t deaths_percent = 0);

  /// Runs and compares every so many steps. Stops at the first failure.
  void run(std::uint32_t steps);
  /// Everybody dies, all is recovered and punched: nothing may be left.
  void drain();

 private:
  struct Client {
    core::ConnectionId connection = 0;
    bool connected = true;
    bool running = true;
    bool reported_gone = false;
    uid_t uid = 0;
    std::uint32_t session = 0;
    std::uint64_t incarnation = 0;
    std::deque<std::function<void()>> stores;  // what is left of the operation it is in
  };
  struct Offer {
    Handle handle;
    BlockKey block;
  };
  struct Pending {
    core::PendingCommit commit;
    Client* client = nullptr;
  };

  void step();
  void count(const std::string& event) { ++(*counts_)[event]; }
  Client* any_client(bool (*fits)(const Client&));
  template <class Map>
  auto pick(Map& map) {
    auto it = map.begin();
    std::advance(it, random_.below(map.size()));
    return it;
  }

  // Messages.
  core::Outcome send(const Client& client, const protocol::Body& body);
  /// Every event of the daemon goes through here.
  void of_daemon(const std::function<void()>& event);
  static Errc errc_of(const core::Outcome& outcome);
  void expect_answer(const core::Outcome& outcome, const std::set<Errc>& obstacles,
                     const char* what);

  // What clients do.
  void connect();
  void start_operation(Client& client);
  void start_block_operation(Client& client);
  void ask_for_spans(Client& client);
  void use_reservations(Client& client);
  void reserve(Client& client);
  void unreserve(Client& client);
  void attach_heap(Client& client);
  void give_back(Client& client);
  void carve(Client& client);
  void allocate(Client& client);
  void free_block(Client& client, BlockKey block);
  void offer(Client& client, BlockKey block);
  void adopt(Client& client);
  void collect(Client& client);
  void publish(Client& client, BlockKey block);
  /// The name, if it was published.
  std::optional<std::string> send_publish(Client& client, BlockKey block);
  void use_names(Client& client);
  void find(Client& client, const std::string& name);
  void unpublish(Client& client);
  void unpin(Client& client);
  void send_unpin(Client& client, Handle handle);
  void watch(Client& client);
  void misbehave(Client& client);

  // What clients do with blocks that many fill in chunks (core_simulation_chunks.cpp).
  void use_chunks(Client& client);
  void publish_chunked(Client& client);
  void unmake_chunked(Client& client, BlockKey block);
  void attach_chunked(Client& client);
  void claim_chunk(Client& client, std::uint32_t first);
  void fill_chunk(Client& client, std::uint32_t first);
  void clear_chunks(Client& client, Handle handle);
  void queue_closes(Client& client, std::uint32_t first);
  [[nodiscard]] std::optional<CoreOracle::Name> any_chunked_of(std::uint32_t session);

  // What happens to clients, and what the daemon does by itself.
  void kill(Client& client);
  void read_last_words(Client& client);
  void hear_of_death(Client& client);
  void finish_commit();
  void recover();
  void punch();
  void sweep();
  void restart();
  void resume(Client& client);

  [[nodiscard]] bool is_live(const Client& client);
  [[nodiscard]] std::string any_name();

  // Words.
  [[nodiscard]] region::RegionView view() const { return memory_.view(); }
  void store(BlockKey block, std::uint32_t to);
  void set_carve(std::uint32_t first, std::uint64_t to);
  bool compare_exchange(BlockKey block, std::uint32_t expected, std::uint32_t desired);
  [[nodiscard]] Handle handle_of(BlockKey block) const;
  [[nodiscard]] std::optional<std::uint32_t> any_span_of(std::uint32_t session, bool carved);
  [[nodiscard]] std::optional<BlockKey> any_block_of(std::uint32_t session);
  [[nodiscard]] std::uint32_t block_count(std::uint32_t first) const;
  /// Nothing of it is in use, or waits to be collected.
  [[nodiscard]] bool is_idle(std::uint32_t first) const;

  Random random_;
  EventCounts* counts_;
  core::Limits limits_;
  MemoryRegion memory_;
  std::uint32_t deaths_percent_;
  std::unique_ptr<CoreAftermath> aftermath_;
  CoreOracle oracle_;
  core::Service service_;
  core::RegionCore* core_ = nullptr;
  core::Instant now_{1'000'000'000'000, 1'000'000'000'000};
  std::uint32_t target_clients_ = 0;
  std::uint32_t mortality_percent_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Pending> pending_;
  std::vector<Offer> offers_;  // handles on their way to somebody
  std::map<std::uint32_t, std::set<core::ConnectionId>> watchers_;
};

}  // namespace allot::test
