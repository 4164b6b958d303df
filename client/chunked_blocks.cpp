// Blocks of chunks: large blocks with chunk words behind their own word, published and found.
//
// One is ours until publish; killed before, its words are recovered like any others. From publish
// on it is the service's, and nobody but the daemon changes its carve word.

#include <algorithm>
#include <utility>

#include "client/process.hpp"
#include "client/session_state.hpp"
#include "shared/region/chunk_words.hpp"

namespace allot::detail {

namespace p = protocol;
using region::BlockRef;
using region::CarveWord;
using region::ChunkWords;
using region::kGranuleBytes;

namespace {

constexpr std::chrono::milliseconds kHelpDeadline{10};

}  // namespace

Expected<SessionState::ChunkedBlock> SessionState::make_chunked(
    const ChunkedWanted& wanted, std::span<const std::uint32_t> head) {
  const std::uint64_t granules = (wanted.size_bytes + kGranuleBytes - 1) / kGranuleBytes;
  if (granules > view_.granules()) return Error(Errc::kSizeTooLarge);
  CallDeadline deadline(wanted.is_help ? std::min(parts_.deadline, kHelpDeadline)
                                       : parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  auto span = obtain_large_locked(
      {static_cast<std::uint32_t>(granules), 1, wanted.words, !wanted.is_help}, deadline);
  if (!span) return span.error();
  const auto [first, generation] = *span;
  debug_forget(first, granules);
  // Of a cached span: free words behind the first are nobody's while it is not cut.
  view_.span_ledger(first).carve.store_release(CarveWord::kNone);
  for (std::uint32_t i = 0; i < head.size(); ++i) {
    view_.word(first, i + 1).store_relaxed(region::value_word(head[i]));
  }
  for (std::uint32_t i = 0; i < wanted.chunk_count; ++i) {
    view_.word(first, ChunkWords::of_chunk(i)).store_relaxed(region::value_word(0));
  }
  own_span_locked(first, generation, CarveWord::kChunked);
  return ChunkedBlock{Handle(), mapping_.data() + first * kGranuleBytes, &view_.word(first, 0),
                      wanted.words, granules * kGranuleBytes};
}

void SessionState::free_chunked(std::byte* block, std::uint32_t words) noexcept {
  const std::uint32_t first = granule_of(block);
  if (OwnWord::owner(view_.word(first, 0).load_acquire()) != id_) return;
  for (std::uint32_t i = 1; i < words; ++i) view_.word(first, i).store_relaxed(0);
  view_.span_ledger(first).carve.store_release(CarveWord::kLarge);
  (void)free(block);
}

Expected<Handle> SessionState::publish_chunked(std::string_view name, std::uint64_t size_bytes,
                                               std::span<const std::uint32_t> head,
                                               std::uint32_t chunk_count) {
  if (!p::is_valid_name(name, region::kNameBytes)) return Error(Errc::kBadName, std::string(name));
  const std::uint32_t needed = ChunkWords::needed(chunk_count);
  const std::uint32_t words =
      (needed + region::kWordsPerUnit - 1) / region::kWordsPerUnit * region::kWordsPerUnit;
  auto block = make_chunked({size_bytes, words, chunk_count}, head);
  if (!block) return block.error();
  auto published = publish(name, block->data);
  if (!published) free_chunked(block->data, words);  // unless the daemon has it all the same
  return published;
}

Expected<SessionState::ChunkedBlock> SessionState::find_chunked(std::string_view name) {
  auto found = find(name);
  if (!found) return found.error();
  CallDeadline deadline(parts_.deadline);
  BlockRef block;
  Errc errc = locate(found->address, block, deadline);
  if (errc == Errc::kOk && !block.carving.chunked) errc = Errc::kArenaKind;
  if (errc != Errc::kOk) {
    end_pin(found->handle, deadline);
    return Error(errc, "'" + std::string(name) + "' is not shared in chunks");
  }
  return ChunkedBlock{found->handle, mapping_.data() + block.span.first * kGranuleBytes, block.word,
                      block.span.word_count, block.carving.block_bytes};
}

Expected<std::shared_ptr<std::byte>> SessionState::map_read_only(const ChunkedBlock& block) {
  if (is_private()) return Error(Errc::kNotAllowed, "private memory cannot be mapped twice");
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  platform::Window::Options options;
  options.file_offset_bytes = static_cast<std::uint64_t>(block.data - mapping_.data());
  options.reserve_bytes = options.minimum_bytes = block.size_bytes;
  options.alignment_bytes = kGranuleBytes;  // as the block
  options.access = platform::Window::Access::kReadOnly;
  auto window = platform::Window::reserve(options);
  if (!window) return window.error();
  if (auto mapped = window->extend(parts_.files.data, block.size_bytes); !mapped) {
    return mapped.error();
  }
  // In a forked child it is not mapped: forgotten without unmapping what may lie there now.
  const auto end = [forks = process::fork_count()](platform::Window* mapped) {
    if (forks == process::fork_count()) delete mapped;
  };
  const std::shared_ptr<platform::Window> kept(new platform::Window(std::move(*window)), end);
  return std::shared_ptr<std::byte>(kept, kept->base());
}

Expected<void> SessionState::clear_chunks(Handle handle) {
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  book_late_answers_locked();
  const auto pin = pins_.find(handle);
  if (pin != pins_.end() && pin->second.finds > 1) {
    return Error(Errc::kArenaShared,
                 "this process has attached it " + std::to_string(pin->second.finds) + " times");
  }
  auto answer = request_locked(p::ClearChunks{handle.bits()}, deadline);
  if (!answer) return answer.error();
  return {};
}

}  // namespace allot::detail
