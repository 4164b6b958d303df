#include <allot/offset_allocator.hpp>

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>

#include "client/process.hpp"
#include "shared/platform/random.hpp"

namespace allot {

namespace {

struct Lent {
  std::uint64_t key = 0;  // 0: a free place
  SharedArena* shared = nullptr;
  Arena* arena = nullptr;
  std::thread::id thread;
};

// Looked up when a container grows, not when it is used.
class Lending {
 public:
  [[nodiscard]] std::uint64_t add(SharedArena* shared, Arena* arena) noexcept {
    const std::lock_guard lock(mutex_);
    Lent* const place = find(0);
    if (place == nullptr) return 0;
    do {
      place->key = platform::random_u64();
    } while (place->key == 0);
    place->shared = shared;
    place->arena = arena;
    place->thread = std::this_thread::get_id();
    return place->key;
  }
  void remove(std::uint64_t key) noexcept {
    const std::lock_guard lock(mutex_);
    if (Lent* const place = key == 0 ? nullptr : find(key); place != nullptr) *place = Lent{};
  }
  [[nodiscard]] Lent get(std::uint64_t key) noexcept {
    const std::lock_guard lock(mutex_);
    const Lent* const place = key == 0 ? nullptr : find(key);
    return place == nullptr || place->thread != std::this_thread::get_id() ? Lent{} : *place;
  }

 private:
  [[nodiscard]] Lent* find(std::uint64_t key) noexcept {
    const auto found =
        std::find_if(lent_.begin(), lent_.end(), [key](const Lent& one) { return one.key == key; });
    return found == lent_.end() ? nullptr : &*found;
  }

  std::mutex mutex_;
  std::array<Lent, 64> lent_{};
};

Lending& lending() noexcept {
  static auto* const kLending = new Lending;  // for destructors that run late
  return *kLending;
}

}  // namespace

void* detail::push_to_lent(std::uint64_t key, std::size_t size, std::size_t alignment) {
  const Lent lent = lending().get(key);
  void* block = nullptr;
  if (lent.shared != nullptr) block = lent.shared->push(size, alignment);
  if (lent.arena != nullptr) block = lent.arena->try_push(size, alignment);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

OffsetArena::OffsetArena(SharedArena& arena) noexcept
    : key_(lending().add(&arena, nullptr)), forks_(process::fork_count()) {}

OffsetArena::OffsetArena(Arena& arena) noexcept
    : key_(lending().add(nullptr, &arena)), forks_(process::fork_count()) {}

OffsetArena::~OffsetArena() {
  // In a forked child another thread of the parent may have held the mutex for ever.
  if (forks_ == process::fork_count()) lending().remove(key_);
}

}  // namespace allot
