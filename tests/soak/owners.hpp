// Owners: who has which block, written down beside the region by the clients of one soak.
//
// A memory file that all of them map: the marks (which life has the block at this offset), the dead
// (soak.py enters a life there before it kills it) and a few places for handles on their way from one
// life to another. A life marks a block after it got it and clears the mark before it lets go of it, so
// whoever gets a block that is marked by one who lives has found a block with two owners.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include <allot/handle.hpp>

namespace allot::soak {

using Life = std::uint32_t;  // 1 .. kMostLives - 1; 0: nobody

inline constexpr std::size_t kMostLives = std::size_t{1} << 24;
inline constexpr std::size_t kClients = 16;
inline constexpr std::size_t kPlacesOfOne = 8;
inline constexpr std::size_t kMostDataBytes = std::size_t{1} << 36;

/// What is not used of it has no pages. soak.py knows where `is_dead` lies.
struct OwnersFile {
  std::array<std::atomic<std::uint8_t>, kMostLives> is_dead;
  std::array<std::atomic<Life>, kClients> giver;  // who offers at the places of this client
  std::array<std::array<std::atomic<std::uint64_t>, kPlacesOfOne>, kClients> places;  // handles; 0
  std::array<std::atomic<Life>, kMostDataBytes / Handle::kAddressUnitBytes> owner;
};

class Owners {
 public:
  Owners(int file, Life life, std::size_t client) : life_(life), client_(client) {
    void* const mapped =
        ::ftruncate(file, sizeof(OwnersFile)) != 0
            ? MAP_FAILED
            : ::mmap(nullptr, sizeof(OwnersFile), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "owners");
    file_ = static_cast<OwnersFile*>(mapped);
    // What the life before left at its places was freed with it.
    for (auto& place : file_->places.at(client_)) place = 0;
    file_->giver.at(client_) = life_;
  }

  /// Notes that the block at `offset` is ours. False: somebody has it who lives.
  [[nodiscard]] bool enter(std::size_t offset) {
    const Life before = file_->owner.at(offset / Handle::kAddressUnitBytes).exchange(life_);
    return before == 0 || is_dead(before);
  }
  /// Notes that it is nobody's. False: it was not ours.
  [[nodiscard]] bool leave(std::size_t offset) {
    return file_->owner.at(offset / Handle::kAddressUnitBytes).exchange(0) == life_;
  }

  /// Puts an offered block where others look for one. False: no place of ours is free.
  [[nodiscard]] bool put(Handle handle) {
    for (auto& place : file_->places.at(client_)) {
      std::uint64_t none = 0;
      if (place.compare_exchange_strong(none, handle.bits())) return true;
    }
    return false;
  }

  struct Gift {
    Handle handle;
    Life giver = 0;
  };
  /// A handle that was put at a place of `client`, for the caller alone; an empty one: there is none.
  [[nodiscard]] Gift take_from(std::size_t client) {
    const Life giver = file_->giver.at(client);
    for (auto& place : file_->places.at(client)) {
      if (const Handle handle = Handle::from_bits(place.exchange(0))) return {handle, giver};
    }
    return {};
  }
  /// The same, of the first client behind ours that has one; never of ours.
  [[nodiscard]] Gift take() {
    Gift gift;
    for (std::size_t i = 1; i < kClients && !gift.handle; ++i) {
      gift = take_from((client_ + i) % kClients);
    }
    return gift;
  }
  [[nodiscard]] std::size_t client() const noexcept { return client_; }
  [[nodiscard]] bool is_dead(Life life) const { return file_->is_dead.at(life) != 0; }

 private:
  OwnersFile* file_ = nullptr;
  Life life_;
  std::size_t client_;
};

}  // namespace allot::soak
