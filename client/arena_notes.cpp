#include "client/arena_notes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "client/place_text.hpp"
#include "client/session_state.hpp"
#include "shared/region/chunk_words.hpp"

namespace allot::detail {

using region::ArenaNoteWords;
using region::NotedKind;

static_assert(static_cast<int>(ArenaKind::kFixed) + 1 == static_cast<int>(NotedKind::kFixed));
static_assert(static_cast<int>(ArenaKind::kChainedVirtual) + 1 ==
              static_cast<int>(NotedKind::kChainedVirtual));

namespace {

constexpr std::size_t kMostAtOnce = 8;  // blocks that threads make at the same time

}  // namespace

// A record in one of the blocks that there are.
ArenaNotes::Record ArenaNotes::take_record() noexcept {
  const ScopedLock<std::mutex> lock(mutex_);
  for (Block& block : blocks_) {
    if (block.taken == kAllTaken) continue;
    const auto index = static_cast<std::uint32_t>(std::countr_one(block.taken));
    block.taken |= std::uint64_t{1} << index;
    return block.words + ArenaNoteWords::of_record(index);
  }
  return nullptr;
}

ArenaNotes::Record ArenaNotes::begin(ArenaKind kind, std::string_view name, Place made_at) {
  if (session_->life_error() != Errc::kOk) return nullptr;
  const std::string place = place_text(made_at, std::size_t{2} * ArenaNoteWords::kPlaceWords);
  Record record = take_record();
  if (record == nullptr) {
    {
      const ScopedLock<std::mutex> lock(mutex_);
      blocks_.reserve(blocks_.size() + kMostAtOnce);
    }
    // Without the mutex: the daemon may take its time. Two threads at once make two blocks.
    std::array<std::uint32_t, region::ChunkWords::kForm> head{};
    head.back() = ArenaNoteWords::kForm;
    auto block =
        session_->make_chunked({region::kGranuleBytes, region::kWordsPerGranule, 0, true}, head);
    if (!block) return nullptr;
    {
      const ScopedLock<std::mutex> lock(mutex_);
      blocks_.push_back({block->data, block->words, 0});
    }
    record = take_record();
    if (record == nullptr) return nullptr;
  }
  begin_note(record, static_cast<NotedKind>(static_cast<int>(kind) + 1), name, place);
  return record;
}

void ArenaNotes::update(Record record, const region::ArenaFigures& figures) noexcept {
  if (session_->life_error() == Errc::kOk) update_note(record, figures);
}

void ArenaNotes::end(Record record) noexcept {
  if (session_->life_error() != Errc::kOk) return;
  region::end_note(record);
  std::byte* unused = nullptr;
  {
    const ScopedLock<std::mutex> lock(mutex_);
    const auto found = std::find_if(blocks_.begin(), blocks_.end(), [&](const Block& block) {
      return record > block.words && record < block.words + region::kWordsPerGranule;
    });
    const auto index = (record - found->words - ArenaNoteWords::kFirst) / ArenaNoteWords::kStride;
    found->taken &= ~(std::uint64_t{1} << index);
    if (found->taken == 0) {
      unused = found->data;
      blocks_.erase(found);
    }
  }
  if (unused != nullptr) session_->free_chunked(unused, region::kWordsPerGranule);
}

}  // namespace allot::detail
