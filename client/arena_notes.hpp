// ArenaNotes: what this session's arenas say of themselves in the region, so that `allotctl arenas`
// lists them.
//
// Used by the region's arenas on their cold paths; a note is written by its arena's thread alone.
// The notes of a session lie in blocks of its own, 64 KiB each, of which there are as many as its
// arenas need and none if it has no arena: a note is a help, so without memory for it there is
// none, and nothing else fails. In a forked child and after close() nothing is written.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include <allot/arena_options.hpp>
#include <allot/detail/atomic.hpp>

#include "shared/region/arena_note.hpp"

namespace allot::detail {

class SessionState;

class ArenaNotes {
 public:
  explicit ArenaNotes(SessionState& session) noexcept : session_(&session) {}

  using Record = Atomic<std::uint32_t>*;
  /// nullptr if there is no room for it, or the daemon takes longer than an arena should wait for a
  /// note. Any thread; a message if a block is needed. May throw std::bad_alloc.
  [[nodiscard]] Record begin(ArenaKind kind, std::string_view name, Place made_at);
  void update(Record record, const region::ArenaFigures& figures) noexcept;
  /// The block goes back with its last note.
  void end(Record record) noexcept;
  /// In a forked child: another thread may have been in the middle of a change.
  void forget() noexcept { (void)new std::vector<Block>(std::move(blocks_)); }
  // Of the private heap, whose notes go on in the child.
  void lock_for_fork() { mutex_.lock(); }
  void unlock_after_fork() { mutex_.unlock(); }

 private:
  struct Block {
    std::byte* data = nullptr;
    Record words = nullptr;
    std::uint64_t taken = 0;  // a bit a record
  };
  static_assert(region::ArenaNoteWords::kRecords < 64);
  static constexpr std::uint64_t kAllTaken =
      (std::uint64_t{1} << region::ArenaNoteWords::kRecords) - 1;

  [[nodiscard]] Record take_record() noexcept;

  SessionState* session_;
  std::mutex mutex_;
  std::vector<Block> blocks_;
};

}  // namespace allot::detail
