// OffsetAllocator: containers in a region that are read by processes which map it elsewhere.
//
// An allocator in the style of Boost.Interprocess: its pointers are offset_ptr, so containers that
// keep the allocator's pointer type hold no addresses. Memory comes from a SharedArena or from an
// Arena over a region; freeing one thing does nothing, all of it goes with the arena.
//
//   allot::OffsetArena lent(arena);                    // to allocators, while this lives
//   auto* map = lent.make<boost::container::map<int, Text, std::less<int>,
//   Alloc>>(lent.allocator<Pair>()); send(arena.offset_of(map));                        // another
//   process: arena.at(offset)
//
// The container may be changed by the thread that lent the arena and while it is lent; elsewhere
// allocating throws std::bad_alloc. Anybody attached may read it while nobody changes it. Do not
// destroy it in the arena: no destructor is needed.
//
// Offsets lie in shared memory: whoever reads such a container trusts the members of the region,
// who can make an offset lead anywhere in the reader's own memory. Between parties that do not,
// pass plain data.
//
// Not every container that compiles is safe: std::unordered_map, std::forward_list and, in Boost
// 1.81, boost::unordered_flat_map store raw pointers all the same. make() refuses what is not known
// to be safe; see kHoldsOffsetPointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/container/container_fwd.hpp>
#include <boost/interprocess/offset_ptr.hpp>

#include <allot/arena.hpp>
#include <allot/shared_arena.hpp>

namespace allot {

template <class T>
class OffsetAllocator;

/// True for containers over an OffsetAllocator that keep its pointers in all they store, of
/// elements that hold no pointers, or again such containers. Specialise it for others of which you
/// know that.
template <class Container>
inline constexpr bool kHoldsOffsetPointers = false;

namespace detail {
// Trivially copyable is not pointer-free, but a pointer itself is seen.
template <class T>
inline constexpr bool kIsOffsetElement = kHoldsOffsetPointers<T> ||
                                         (std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>);
template <class A, class B>
inline constexpr bool kIsOffsetElement<std::pair<A, B>> =
    kIsOffsetElement<std::remove_const_t<A>>&& kIsOffsetElement<B>;
}  // namespace detail

template <class T, class U>
inline constexpr bool kHoldsOffsetPointers<std::vector<T, OffsetAllocator<U>>> =
    detail::kIsOffsetElement<T> && !std::is_same_v<T, bool>;  // bits hang on a raw pointer
template <class T, class U>
inline constexpr bool kHoldsOffsetPointers<std::deque<T, OffsetAllocator<U>>> =
    detail::kIsOffsetElement<T>;
template <class T, class U, class O>
inline constexpr bool kHoldsOffsetPointers<boost::container::vector<T, OffsetAllocator<U>, O>> =
    detail::kIsOffsetElement<T>;
template <class T, class U, class O>
inline constexpr bool kHoldsOffsetPointers<boost::container::deque<T, OffsetAllocator<U>, O>> =
    detail::kIsOffsetElement<T>;
template <class T, class U>
inline constexpr bool kHoldsOffsetPointers<boost::container::list<T, OffsetAllocator<U>>> =
    detail::kIsOffsetElement<T>;
template <class T, class U>
inline constexpr bool kHoldsOffsetPointers<boost::container::slist<T, OffsetAllocator<U>>> =
    detail::kIsOffsetElement<T>;
template <class K, class C, class U, class O>
inline constexpr bool kHoldsOffsetPointers<boost::container::set<K, C, OffsetAllocator<U>, O>> =
    detail::kIsOffsetElement<K>;
template <class K, class C, class U, class O>
inline constexpr bool
    kHoldsOffsetPointers<boost::container::multiset<K, C, OffsetAllocator<U>, O>> =
        detail::kIsOffsetElement<K>;
template <class K, class T, class C, class U, class O>
inline constexpr bool kHoldsOffsetPointers<boost::container::map<K, T, C, OffsetAllocator<U>, O>> =
    detail::kIsOffsetElement<K>&& detail::kIsOffsetElement<T>;
template <class K, class T, class C, class U, class O>
inline constexpr bool
    kHoldsOffsetPointers<boost::container::multimap<K, T, C, OffsetAllocator<U>, O>> =
        detail::kIsOffsetElement<K>&& detail::kIsOffsetElement<T>;
template <class K, class C, class U>
inline constexpr bool kHoldsOffsetPointers<boost::container::flat_set<K, C, OffsetAllocator<U>>> =
    detail::kIsOffsetElement<K>;
template <class K, class T, class C, class U>
inline constexpr bool
    kHoldsOffsetPointers<boost::container::flat_map<K, T, C, OffsetAllocator<U>>> =
        detail::kIsOffsetElement<K>&& detail::kIsOffsetElement<T>;
template <class C, class T, class U>
inline constexpr bool
    kHoldsOffsetPointers<boost::container::basic_string<C, T, OffsetAllocator<U>>> = true;

namespace detail {

/// Pushes to the arena that this process lends under `key`; throws std::bad_alloc if there is none,
/// or no room. The key is a random number: no address of any process lies in shared memory.
[[nodiscard]] ALLOT_EXPORT void* push_to_lent(std::uint64_t key, std::size_t size,
                                              std::size_t alignment);

}  // namespace detail

/// 8 bytes; copies lend the same arena. Freeing does nothing.
template <class T>
class OffsetAllocator {
 public:
  using value_type = T;
  using pointer = boost::interprocess::offset_ptr<T>;
  using const_pointer = boost::interprocess::offset_ptr<const T>;
  using void_pointer = boost::interprocess::offset_ptr<void>;
  using const_void_pointer = boost::interprocess::offset_ptr<const void>;
  using difference_type = std::ptrdiff_t;
  using size_type = std::size_t;

  template <class U>
  OffsetAllocator(const OffsetAllocator<U>& other) noexcept  // NOLINT(google-explicit-constructor)
      : key_(other.key()) {}

  /// Throws std::bad_alloc: no room, or the arena is not lent by this process.
  [[nodiscard]] pointer allocate(size_type count) {
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, sizeof(T), &bytes)) throw std::bad_alloc();
    return pointer(static_cast<T*>(detail::push_to_lent(key_, bytes, alignof(T))));
  }
  void deallocate(const pointer& /*block*/, size_type /*count*/) noexcept {}

  [[nodiscard]] std::uint64_t key() const noexcept { return key_; }

  template <class U>
  friend bool operator==(const OffsetAllocator& a, const OffsetAllocator<U>& b) noexcept {
    return a.key() == b.key();
  }

 private:
  friend class OffsetArena;
  explicit OffsetAllocator(std::uint64_t key) noexcept : key_(key) {}

  std::uint64_t key_;
};

/// Lends an arena of a region to allocators of this thread, from its beginning to its end. At most
/// 64 arenas of a process are lent at a time; beyond that key() is 0, and allocating throws.
class ALLOT_EXPORT OffsetArena {
 public:
  /// To this thread; `arena` must outlive this and not be moved.
  explicit OffsetArena(SharedArena& arena) noexcept;
  explicit OffsetArena(Arena& arena) noexcept;
  OffsetArena(const OffsetArena&) = delete;
  OffsetArena& operator=(const OffsetArena&) = delete;
  ~OffsetArena();

  template <class T>
  [[nodiscard]] OffsetAllocator<T> allocator() const noexcept {
    return OffsetAllocator<T>(key_);
  }
  /// A container in the arena. Throws std::bad_alloc without room, and what its constructor throws.
  template <class Container, class... Args>
  [[nodiscard]] Container* make(Args&&... args) {
    static_assert(kHoldsOffsetPointers<Container>,
                  "not known to store offset pointers only; std::unordered_map, std::forward_list "
                  "and boost::unordered_flat_map do not");
    void* const place = detail::push_to_lent(key_, sizeof(Container), alignof(Container));
    return ::new (place) Container(std::forward<Args>(args)...);
  }
  [[nodiscard]] std::uint64_t key() const noexcept { return key_; }

 private:
  std::uint64_t key_ = 0;
  std::uint32_t forks_ = 0;  // in a forked child it is nobody's
};

}  // namespace allot
