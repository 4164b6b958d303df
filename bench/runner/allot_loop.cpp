// Ours, called and inlined.

#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "bench/runner/loop.hpp"

namespace allot::bench {

namespace {

class AllotLoop final : public Loop {
 public:
  void run(std::uint64_t pairs, std::size_t size_bytes) override {
    Session& session = session_;
    run_pairs(
        pairs, [&session, size_bytes] { return session.allocate(size_bytes); },
        [&session](void* block) { (void)session.free(block); });
  }

 private:
  Session session_ = Session::connect().value();
};

class AllotInlineLoop final : public Loop {
 public:
  void run(std::uint64_t pairs, std::size_t size_bytes) override {
    Session& session = session_;
    run_pairs(
        pairs, [&session, size_bytes] { return fast::allocate(session, size_bytes); },
        [&session](void* block) { (void)fast::free(session, block); });
  }

 private:
  Session session_ = Session::connect().value();
};

}  // namespace

std::unique_ptr<Loop> make_allot_loop() { return std::make_unique<AllotLoop>(); }

std::unique_ptr<Loop> make_allot_inline_loop() { return std::make_unique<AllotInlineLoop>(); }

}  // namespace allot::bench
