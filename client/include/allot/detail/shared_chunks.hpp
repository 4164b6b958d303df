// SharedChunks: one user's hold on a published block that many processes fill in chunks.
//
// What SharedArena and SharedVlArray stand on. A user has one open chunk: it was claimed by a CAS
// on the chunk's word, and only its user stores to that word: how many units are filled. Others
// read it. A user that dies leaves its word to the recovery, which turns {session, filled} into
// {closed, filled}; whoever needs room next goes on behind what is filled. So nobody waits for
// anybody, and what was filled stays.
//
// Used by one thread at a time. What it reads from shared memory is bounds-checked: another member
// can damage contents, not this process's other memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include <allot/chunk_usage.hpp>
#include <allot/detail/atomic.hpp>
#include <allot/detail/chunk_shape.hpp>
#include <allot/place.hpp>
#include <allot/session.hpp>

namespace allot {

/// What an attached user may do. A read-only one gets a mapping of its own without write
/// permission, so that a stray store faults, until it leaves, also beyond Session::close(); the
/// process as such is a member of the region and could still write.
enum class ShareAccess : std::uint8_t { kReadOnly, kReadWrite };

namespace detail {

/// The shape for `units` units in all, in chunks of `chunk_units` (0: a suitable number).
[[nodiscard]] ALLOT_EXPORT Expected<ChunkShape> shape_of(ChunkForm form, std::uint64_t unit_bytes,
                                                         std::uint64_t units,
                                                         std::uint64_t chunk_units);

class ALLOT_EXPORT SharedChunks {
 public:
  /// Allocates, publishes and attaches.
  [[nodiscard]] static Expected<SharedChunks> create(const Session& session, std::string_view name,
                                                     const ChunkShape& shape, Place place);
  /// kTypeMismatch for another form or unit.
  [[nodiscard]] static Expected<SharedChunks> attach(const Session& session, std::string_view name,
                                                     ChunkForm form, std::uint64_t unit_bytes,
                                                     ShareAccess access);
  SharedChunks() noexcept = default;
  SharedChunks(SharedChunks&& other) noexcept { swap(other); }
  SharedChunks& operator=(SharedChunks&& other) noexcept {
    swap(other);
    return *this;
  }
  SharedChunks(const SharedChunks&) = delete;
  SharedChunks& operator=(const SharedChunks&) = delete;
  ~SharedChunks() { detach(); }

  explicit operator bool() const noexcept { return data_ != nullptr; }
  /// Closes the open chunk and ends the pin. Nothing in a forked child, or once the session is
  /// closed.
  void detach() noexcept;
  /// Claims a chunk with room for `units`, and closes the one that was open; on failure that stays
  /// open: kArenaFull, kReadOnly, kClosed, kForked, kDeadline (a clear() may come yet). O(chunks)
  /// once, then O(1) amortised until the block is full.
  [[nodiscard]] Errc claim(std::uint32_t units) noexcept;
  /// The same for one unit in the first chunk that is not full; kArenaShared if somebody fills it.
  [[nodiscard]] Errc claim_in_order() noexcept;
  void close_chunk() noexcept;
  /// Every chunk untouched again, if nobody else has it. kArenaShared, kNotOwner, kReadOnly. After
  /// kDeadline it may still happen: nothing can be claimed until another clear() is answered.
  [[nodiscard]] Expected<void> clear();
  [[nodiscard]] Expected<void> unpublish(std::string_view name);
  [[nodiscard]] ChunkUsage usage() const noexcept;
  [[nodiscard]] std::uint32_t epoch() const noexcept;

  /// Units that are filled in `chunk`, which is below chunk_count: they may be read.
  [[nodiscard]] std::uint32_t filled(std::uint32_t chunk) const noexcept {
    // A12 pairs with R12: what was written to the units before they count.
    const std::uint32_t units = word_of(chunk).load_acquire() & kUnitsMask;
    return units < shape_.chunk_units ? units : shape_.chunk_units;
  }
  [[nodiscard]] std::byte* chunk_data(std::uint32_t chunk) const noexcept {
    return data_ + chunk * shape_.chunk_bytes();
  }
  [[nodiscard]] const ChunkShape& shape() const noexcept { return shape_; }
  [[nodiscard]] std::byte* data() const noexcept { return data_; }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return shape_.size_bytes(); }

  /// The first chunk from `chunk` on that is not full; chunk_count if all are.
  [[nodiscard]] std::uint32_t first_not_full(std::uint32_t chunk) const noexcept {
    while (chunk < shape_.chunk_count && filled(chunk) == shape_.chunk_units) ++chunk;
    return chunk;
  }

  /// The chunk that claim() opened, as it was then: what lies in shared memory others can change.
  struct Open {
    std::uint32_t chunk = 0;
    std::uint32_t filled = 0;
    std::uint32_t mine = 0;  // {this session, 0}
  };
  [[nodiscard]] const Open& open() const noexcept { return open_; }
  /// Its word, to which this user alone stores; nullptr if none is open.
  [[nodiscard]] Atomic<std::uint32_t>* word() const noexcept { return word_; }

  static constexpr std::uint32_t kUnitsMask = kMaxChunkUnits;

 private:
  [[nodiscard]] Errc check_writer() const noexcept;
  /// Opens `chunk` if nobody fills it and it has room.
  [[nodiscard]] bool try_open(std::uint32_t chunk, std::uint32_t units) noexcept;
  [[nodiscard]] Atomic<std::uint32_t>& word_of(std::uint32_t chunk) const noexcept {
    return chunk_words_[std::size_t{chunk} * kChunkWordStride];
  }
  void swap(SharedChunks& other) noexcept;

  std::optional<Session> session_;
  Handle handle_;
  ChunkShape shape_;
  ShareAccess access_ = ShareAccess::kReadOnly;
  std::byte* data_ = nullptr;
  std::shared_ptr<std::byte> read_only_;  // the mapping of a read-only user
  Atomic<std::uint32_t>* head_words_ = nullptr;
  Atomic<std::uint32_t>* chunk_words_ = nullptr;
  Atomic<std::uint32_t>* word_ = nullptr;
  Open open_;
  bool may_be_cleared_ = false;  // a clear() was not answered, and may come yet
  std::uint32_t next_ = 0;       // where the next claim begins to look
};

}  // namespace detail
}  // namespace allot
