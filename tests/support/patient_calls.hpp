// PatientCalls: what a client does with its session while the daemon may have too little of something.
//
// For tests that make the daemon's system calls fail. A call that is refused for that reason is made again,
// and what it was refused as is kept for the test to judge; any other refusal, and what is not as it was
// written, throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <utility>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/agent.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/served_region.hpp"

namespace allot::test {

inline constexpr std::array<std::size_t, 4> kParcelSizes{64, 3000, 100'000, std::size_t{3} << 20};
using Parcel = std::array<Handle, kParcelSizes.size()>;  // of blocks of these sizes

// What a call may be refused as when the daemon has too little of something.
[[nodiscard]] inline bool is_fair(const Error& error) {
  const Errc errc = error.errc();
  return errc == Errc::kSystem || errc == Errc::kMachineFull || errc == Errc::kTooManySessions;
}

class PatientCalls {
 public:
  template <class Call>
  auto make(const char* what, const Call& call) {
    for (int left = 3;; --left) {
      auto result = call();
      if (result) return std::move(result).value();
      refusals += std::string(what) + ": " + result.error().message() + "\n";
      if (left == 0 || !is_fair(result.error())) throw std::runtime_error(refusals);
    }
  }
  void* allocate(Session& session, std::size_t size, std::uint64_t seed) {
    void* const block = make("allocate", [&]() -> Expected<void*> {
      if (void* const got = session.allocate(size)) return got;
      return Session::last_error();
    });
    fill_block(block, size, seed);
    return block;
  }
  void grow(Arena& arena, std::size_t size, std::uint64_t seed) {
    void* const place = make("push", [&]() -> Expected<void*> {
      if (void* const got = arena.try_push(size)) return got;
      return Error(Arena::last_error());
    });
    fill_block(place, size, seed);
  }
  Session connect(const std::string& socket) {
    return make("connect", [&] { return Session::connect(options_for(socket)); });
  }
  Parcel offer(Session& session, std::uint64_t seed) {
    Parcel parcel;
    for (std::size_t i = 0; i < kParcelSizes.size(); ++i) {
      void* const block = allocate(session, kParcelSizes.at(i), seed + i);
      parcel.at(i) = make("offer", [&] { return session.offer(block); });
    }
    return parcel;
  }
  void accept(Session& session, const Parcel& parcel, std::uint64_t seed) {
    for (std::size_t i = 0; i < kParcelSizes.size(); ++i) {
      void* const block = make("adopt", [&] { return session.adopt(parcel.at(i)); });
      require(holds_pattern(block, kParcelSizes.at(i), seed + i), "other contents");
      require(session.free(block) == Errc::kOk, "not ours");
    }
  }
  // Reads what is published, and ends its pin.
  Handle read(Session& session, const char* name, std::size_t size, std::uint64_t seed) {
    const auto found = make("find", [&] { return session.find(name); });
    require(holds_pattern(found.address, size, seed), "other contents");
    make("unpin", [&] { return session.unpin(found.handle); });
    return found.handle;
  }
  void publish(Session& session, const char* name, std::size_t size, std::uint64_t seed) {
    void* const block = allocate(session, size, seed);
    make("publish", [&] { return session.publish(name, block); });
  }

  std::string refusals;
};

// A session's end, of which the daemon tells.
class End {
 public:
  End(PatientCalls& calls, Session& session, const SessionId& other) {
    calls.make("on_exit",
               [&] { return session.on_exit(other, [told = told_] { told->release(); }); });
  }
  [[nodiscard]] bool wait() const { return told_->try_acquire_for(kPatience); }

 private:
  std::shared_ptr<std::counting_semaphore<>> told_ = std::make_shared<std::counting_semaphore<>>(0);
};

}  // namespace allot::test
