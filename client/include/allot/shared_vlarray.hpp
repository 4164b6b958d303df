// SharedVlArray<T>: a vector in a region that processes append to and read at once; nothing moves.
//
// Published under a name; attached by finding it. Elements lie in chunks, and each chunk's word
// says how many of them are ready: an append writes the element, then that word (release); a reader
// loads the word (acquire), then reads. Two ways to append:
//   push_back()         one appender at a time; elements are in order, [0, size()) by index
//   push_back_shared()  any number; each fills chunks of its own; order within an appender is kept
// Readers of the second see each chunk's ready elements: chunk(i), for_each(), ready().
//
// An appender that is killed, anywhere, stops nobody: the recovery of its session closes its chunk,
// and the next appender goes on behind the last ready element. There is no shrinking.
//
// An object is for one thread at a time; attach once more for each thread. In a forked child, and
// after Session::close(), only destructors may be called.
#pragma once

#include <span>
#include <type_traits>

#include <allot/arena.hpp>
#include <allot/detail/own_word.hpp>
#include <allot/detail/shared_chunks.hpp>

namespace allot {

template <class T>
class SharedVlArray {
  static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>,
                "an array in a region holds plain bytes: no destructor runs when a process is "
                "killed, and pointers mean nothing in another process");
  static_assert(sizeof(T) <= detail::kMaxChunkUnits, "at most 256 KiB an element");
  static_assert(alignof(T) <= 65'536, "blocks begin at multiples of 64 KiB");

 public:
  using value_type = T;

  /// Makes an array of `capacity` elements, rounded up to chunks, committed now, and publishes it
  /// as `name` (1 .. 63 printable characters). `chunk_elements`: how many an appender claims at a
  /// time; 0: 64 KiB of them, or a thousandth of the capacity if that is more. Errors as
  /// SharedArena::create().
  [[nodiscard]] static Expected<SharedVlArray> create(const Session& session, std::string_view name,
                                                      std::uint64_t capacity,
                                                      std::uint64_t chunk_elements = 0,
                                                      Place place = Place::here()) {
    auto shape = detail::shape_of(detail::ChunkForm::kArray, sizeof(T), capacity, chunk_elements);
    if (!shape) return shape.error();
    return made_of(detail::SharedChunks::create(session, name, *shape, place));
  }
  /// kTypeMismatch for elements of another size. Errors else as SharedArena::attach().
  [[nodiscard]] static Expected<SharedVlArray> attach(
      const Session& session, std::string_view name, ShareAccess access = ShareAccess::kReadWrite) {
    return made_of(
        detail::SharedChunks::attach(session, name, detail::ChunkForm::kArray, sizeof(T), access));
  }

  SharedVlArray() noexcept = default;
  SharedVlArray(SharedVlArray&& other) noexcept { swap(other); }
  SharedVlArray& operator=(SharedVlArray&& other) noexcept {
    swap(other);
    return *this;
  }
  SharedVlArray(const SharedVlArray&) = delete;
  SharedVlArray& operator=(const SharedVlArray&) = delete;
  ~SharedVlArray() = default;

  explicit operator bool() const noexcept { return static_cast<bool>(chunks_); }

  // --- appending ---

  /// Appends in order, as the only appender. nullptr and last_error(): kArenaShared while another
  /// one, of either kind, is at the end of the array; kArenaFull, kReadOnly, kClosed, kForked.
  [[gnu::always_inline]] const T* push_back(const T& value) noexcept { return append(value, true); }
  /// Appends among others. nullptr and last_error(): kArenaFull, kReadOnly, kClosed, kForked.
  [[gnu::always_inline]] const T* push_back_shared(const T& value) noexcept {
    return append(value, false);
  }
  /// Lets another appender go on where this one is; the next append claims anew.
  void close_chunk() noexcept {
    chunks_.close_chunk();
    next_ = end_ = nullptr;
  }

  // --- reading ---

  /// Elements that can be read by index. Those of push_back_shared() count once all before them do.
  [[nodiscard]] std::uint64_t size() const noexcept {
    if (!chunks_) return 0;
    full_ = chunks_.first_not_full(full_);
    const std::uint64_t units = chunks_.shape().chunk_units;
    return full_ * units + (full_ < chunk_count() ? chunks_.filled(full_) : 0);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// `index` below a size() that was seen.
  [[nodiscard]] const T& operator[](std::uint64_t index) const noexcept {
    return reinterpret_cast<const T*>(chunks_.data())[index];
  }
  /// [0, size()).
  [[nodiscard]] std::span<const T> span() const noexcept {
    return {reinterpret_cast<const T*>(chunks_.data()), static_cast<std::size_t>(size())};
  }
  [[nodiscard]] std::uint32_t chunk_count() const noexcept { return chunks_.shape().chunk_count; }
  /// The ready elements of a chunk.
  [[nodiscard]] std::span<const T> chunk(std::uint32_t index) const noexcept {
    return {reinterpret_cast<const T*>(chunks_.chunk_data(index)), chunks_.filled(index)};
  }
  /// Ready elements of all chunks.
  [[nodiscard]] std::uint64_t ready() const noexcept {
    std::uint64_t count = 0;
    for (std::uint32_t i = 0; i < chunk_count(); ++i) count += chunks_.filled(i);
    return count;
  }
  /// Calls `visitor` for each element that is ready, chunk by chunk.
  template <class Visitor>
  void for_each(Visitor&& visitor) const {
    for (std::uint32_t i = 0; i < chunk_count(); ++i) {
      for (const T& element : chunk(i)) visitor(element);
    }
  }

  // --- the array itself ---

  /// Elements there is room for in all.
  [[nodiscard]] std::uint64_t capacity() const noexcept {
    return std::uint64_t{chunk_count()} * chunks_.shape().chunk_units;
  }
  /// Empties it, as SharedArena::clear().
  [[nodiscard]] Expected<void> clear() {
    next_ = end_ = nullptr;
    full_ = 0;
    return chunks_.clear();
  }
  /// As SharedArena::unpublish().
  [[nodiscard]] Expected<void> unpublish(std::string_view name) { return chunks_.unpublish(name); }
  [[nodiscard]] std::uint32_t epoch() const noexcept { return chunks_.epoch(); }
  [[nodiscard]] ChunkUsage usage() const noexcept { return chunks_.usage(); }
  [[nodiscard]] static Errc last_error() noexcept { return Arena::last_error(); }

 private:
  static Expected<SharedVlArray> made_of(Expected<detail::SharedChunks> chunks) {
    if (!chunks) return chunks.error();
    SharedVlArray array;
    array.chunks_ = std::move(*chunks);
    return array;
  }
  void swap(SharedVlArray& other) noexcept {
    std::swap(chunks_, other.chunks_);
    std::swap(next_, other.next_);
    std::swap(end_, other.end_);
    std::swap(word_value_, other.word_value_);
    std::swap(in_order_, other.in_order_);
    std::swap(full_, other.full_);
  }
  [[gnu::always_inline]] const T* append(const T& value, bool in_order) noexcept {
    if (next_ == end_ || in_order_ != in_order) [[unlikely]] {
      if (!open(in_order)) return nullptr;
    }
    T* const element = ::new (static_cast<void*>(next_)) T(value);
    ++next_;
    // R12 pairs with A12 in SharedChunks::filled(): the element before it is ready.
    chunks_.word()->store_release(++word_value_);
    return element;
  }
  [[nodiscard, gnu::noinline]] bool open(bool in_order) noexcept {
    if (in_order_ != in_order) close_chunk();
    const Errc errc = in_order ? chunks_.claim_in_order() : chunks_.claim(1);
    if (errc != Errc::kOk) {
      detail::set_last_arena_error(errc);
      return false;
    }
    T* const first = reinterpret_cast<T*>(chunks_.chunk_data(chunks_.open().chunk));
    next_ = first + chunks_.open().filled;
    end_ = first + chunks_.shape().chunk_units;
    word_value_ = chunks_.open().mine + chunks_.open().filled;
    in_order_ = in_order;
    return true;
  }

  T* next_ = nullptr;
  T* end_ = nullptr;
  std::uint32_t word_value_ = 0;  // of the open chunk: {this session, ready elements}
  bool in_order_ = false;
  mutable std::uint32_t full_ = 0;  // chunks before it are full
  detail::SharedChunks chunks_;
};

}  // namespace allot
