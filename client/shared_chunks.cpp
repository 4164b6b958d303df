#include <allot/detail/shared_chunks.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "client/place_text.hpp"
#include "client/session_state.hpp"
#include "shared/region/chunk_words.hpp"

namespace allot::detail {

using region::ChunkWords;

namespace {

constexpr std::uint64_t kUsualChunkBytes = std::uint64_t{64} * 1024;
constexpr std::uint64_t kUsualChunks = 1024;

// Word 1 is the first.
using Head = std::array<std::uint32_t, ChunkWords::kFirst - 1>;

Head head_of(const ChunkShape& shape, Place place) {
  Head head{};
  head[ChunkWords::kForm - 1] = static_cast<std::uint32_t>(shape.form);
  head[ChunkWords::kUnitBytes - 1] = shape.unit_bytes;
  head[ChunkWords::kChunkUnits - 1] = shape.chunk_units;
  head[ChunkWords::kChunkCount - 1] = shape.chunk_count;
  const std::string text = place_text(place, std::size_t{2} * ChunkWords::kPlaceWords);
  for (std::uint32_t i = 0; i < ChunkWords::kPlaceWords; ++i) {
    head[ChunkWords::kPlace - 1 + i] = region::text_value(text, i);
  }
  return head;
}

}  // namespace

Expected<ChunkShape> shape_of(ChunkForm form, std::uint64_t unit_bytes, std::uint64_t units,
                              std::uint64_t chunk_units) {
  const auto refuse = [](const std::string& what) { return Error(Errc::kBadArgument, what); };
  if (units == 0 || unit_bytes == 0) return Error(Errc::kSizeZero);
  if (unit_bytes > kMaxChunkUnits) {
    return Error(Errc::kSizeTooLarge, std::to_string(unit_bytes) +
                                          " bytes an element, the most is " +
                                          std::to_string(kMaxChunkUnits));
  }
  if (units > ~std::uint64_t{0} / unit_bytes) return Error(Errc::kSizeTooLarge);
  if (chunk_units == 0) {
    chunk_units = std::max({units / kUsualChunks, kUsualChunkBytes / unit_bytes, std::uint64_t{1}});
    chunk_units = std::min<std::uint64_t>(chunk_units, kMaxChunkUnits);
  }
  if (chunk_units > kMaxChunkUnits) {
    return refuse(std::to_string(chunk_units * unit_bytes) + " bytes a chunk, the most is " +
                  std::to_string(std::uint64_t{kMaxChunkUnits} * unit_bytes));
  }
  const std::uint64_t count = units / chunk_units + (units % chunk_units == 0 ? 0 : 1);
  const std::uint64_t granules =
      count > kMaxChunks ? 1 : (count * chunk_units * unit_bytes - 1) / region::kGranuleBytes + 1;
  if (count > kMaxChunks ||
      ChunkWords::needed(static_cast<std::uint32_t>(count)) > granules * region::kWordsPerGranule) {
    return refuse(std::to_string(units * unit_bytes) + " bytes make more chunks than " +
                  std::to_string(kMaxChunks) + ", or too small ones: take larger chunks");
  }
  return ChunkShape{form, static_cast<std::uint32_t>(unit_bytes),
                    static_cast<std::uint32_t>(chunk_units), static_cast<std::uint32_t>(count)};
}

Expected<SharedChunks> SharedChunks::create(const Session& session, std::string_view name,
                                            const ChunkShape& shape, Place place) {
  SessionState& state = SessionAccess::state(session);
  const std::uint64_t bytes = shape.size_bytes();
  auto published = state.publish_chunked(name, bytes, head_of(shape, place), shape.chunk_count);
  if (!published) return published.error();
  auto chunks = attach(session, name, shape.form, shape.unit_bytes, ShareAccess::kReadWrite);
  // Somebody of our user may have taken the name away, and published another block under it.
  if (chunks && chunks->handle_ != *published)
    chunks = Error(Errc::kNameUnknown, std::string(name));
  if (!chunks) (void)state.unpublish(name, *published);
  return chunks;
}

Expected<SharedChunks> SharedChunks::attach(const Session& session, std::string_view name,
                                            ChunkForm form, std::uint64_t unit_bytes,
                                            ShareAccess access) {
  auto block = SessionAccess::state(session).find_chunked(name);
  if (!block) return block.error();
  SharedChunks chunks;
  chunks.session_ = session;
  chunks.handle_ = block->handle;
  chunks.access_ = access;
  chunks.data_ = block->data;
  chunks.head_words_ = block->words;
  chunks.chunk_words_ = block->words + ChunkWords::kFirst;
  // Once, and checked: others may change it, and then they only fool themselves.
  const auto head = region::read_chunk_head(block->words, block->word_count, block->size_bytes);
  if (!head) return Error(Errc::kCorruptWord, "the head of '" + std::string(name) + "'");
  if (head->form != form || head->unit_bytes != unit_bytes) {
    return Error(head->form != form ? Errc::kArenaKind : Errc::kTypeMismatch,
                 "'" + std::string(name) + "' is " +
                     (head->form == ChunkForm::kArray ? "an array" : "an arena") + " of units of " +
                     std::to_string(head->unit_bytes) + " bytes");
  }
  chunks.shape_ = *head;
  if (access == ShareAccess::kReadOnly) {
    auto view = SessionAccess::state(session).map_read_only(*block);
    if (!view) return view.error();
    chunks.read_only_ = std::move(*view);
    chunks.data_ = chunks.read_only_.get();
  }
  return chunks;
}

void SharedChunks::swap(SharedChunks& other) noexcept {
  std::swap(session_, other.session_);
  std::swap(handle_, other.handle_);
  std::swap(shape_, other.shape_);
  std::swap(access_, other.access_);
  std::swap(data_, other.data_);
  std::swap(read_only_, other.read_only_);
  std::swap(head_words_, other.head_words_);
  std::swap(chunk_words_, other.chunk_words_);
  std::swap(word_, other.word_);
  std::swap(open_, other.open_);
  std::swap(may_be_cleared_, other.may_be_cleared_);
  std::swap(next_, other.next_);
}

void SharedChunks::detach() noexcept {
  if (data_ == nullptr) return;
  close_chunk();
  data_ = nullptr;
  read_only_.reset();
  SessionAccess::state(*session_).end_pin(handle_);
  session_.reset();
}

Errc SharedChunks::check_writer() const noexcept {
  if (data_ == nullptr) return Errc::kClosed;
  if (access_ == ShareAccess::kReadOnly) return Errc::kReadOnly;
  if (may_be_cleared_) return Errc::kDeadline;
  return SessionAccess::state(*session_).life_error();
}

Errc SharedChunks::claim(std::uint32_t units) noexcept {
  if (const Errc errc = check_writer(); errc != Errc::kOk) return errc;
  if (units > shape_.chunk_units) return Errc::kSizeTooLarge;
  for (std::uint32_t looked = 0; looked < shape_.chunk_count; ++looked) {
    if (next_ == shape_.chunk_count) next_ = 0;
    if (try_open(next_++, units)) return Errc::kOk;
  }
  return Errc::kArenaFull;
}

Errc SharedChunks::claim_in_order() noexcept {
  if (const Errc errc = check_writer(); errc != Errc::kOk) return errc;
  const std::uint32_t chunk = first_not_full(word_ == nullptr ? 0 : open_.chunk);
  if (chunk == shape_.chunk_count) return Errc::kArenaFull;
  return try_open(chunk, 1) ? Errc::kOk : Errc::kArenaShared;
}

bool SharedChunks::try_open(std::uint32_t chunk, std::uint32_t units) noexcept {
  Atomic<std::uint32_t>& word = word_of(chunk);
  std::uint32_t was = word.load_acquire();
  const std::uint32_t owner = OwnWord::owner(was);
  const std::uint32_t used = was & kUnitsMask;
  if (owner != OwnWord::kFree && owner != OwnWord::kFreed) return false;
  if (used > shape_.chunk_units || shape_.chunk_units - used < units) return false;
  // A12 pairs with R12 in close_chunk(); exactly one claimant moves the word.
  const std::uint32_t me = OwnWord::make(SessionAccess::state(*session_).id().session, 0);
  if (!word.compare_exchange_acq_rel(was, me | used)) return false;
  close_chunk();
  word_ = &word;
  open_ = {chunk, used, me};
  return true;
}

void SharedChunks::close_chunk() noexcept {
  if (word_ == nullptr) return;
  Atomic<std::uint32_t>& word = *std::exchange(word_, nullptr);
  const SessionState& state = SessionAccess::state(*session_);
  if (state.life_error() != Errc::kOk) return;  // not mapped; recovery closes it, or has
  const std::uint32_t was = word.load_relaxed();
  if (OwnWord::owner(was) == state.id().session) {
    // R12 pairs with A12 in try_open(): what we wrote comes before what the next user writes.
    word.store_release(OwnWord::make(OwnWord::kFreed, was));
  }
}

Expected<void> SharedChunks::clear() {
  if (data_ == nullptr) return Error(Errc::kClosed);
  if (access_ == ShareAccess::kReadOnly) return Error(Errc::kReadOnly);
  // First: the daemon may do it after we have given up waiting, when others fill the chunk.
  close_chunk();
  next_ = 0;
  auto cleared = SessionAccess::state(*session_).clear_chunks(handle_);
  may_be_cleared_ = !cleared && cleared.error() == Errc::kDeadline;
  return cleared;
}

Expected<void> SharedChunks::unpublish(std::string_view name) {
  if (data_ == nullptr) return Error(Errc::kClosed);
  return session_->unpublish(name, handle_);
}

std::uint32_t SharedChunks::epoch() const noexcept {
  return data_ == nullptr ? 0 : region::word_value(head_words_[ChunkWords::kEpoch].load_acquire());
}

ChunkUsage SharedChunks::usage() const noexcept {
  if (data_ == nullptr) return {};
  return region::sum_chunks(head_words_, shape_);
}

}  // namespace allot::detail
