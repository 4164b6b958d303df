#include "shared/region/arena_note.hpp"

#include <algorithm>

#include "shared/region/chunk_words.hpp"
#include "shared/region/value_words.hpp"

namespace allot::region {

namespace {

using Words = ArenaNoteWords;
using Word = detail::Atomic<std::uint32_t>;

constexpr unsigned kValueBits = 18;
constexpr std::uint32_t kValueMask = (1U << kValueBits) - 1;
constexpr std::uint32_t kWordsOfNumber = 3;
// Each read takes less than a microsecond; a writer that is just at it is done then.
constexpr int kTries = 4;

// R13 pairs with A13 in read_number(): no value is seen before the odd sequence.
void write_value(Word& word, std::uint32_t value) noexcept {
  word.store_release(value_word(value & kValueMask));
}

void write_number(Word* words, std::uint64_t number) noexcept {
  for (unsigned i = 0; i < kWordsOfNumber; ++i) {
    write_value(words[i], static_cast<std::uint32_t>(number >> (i * kValueBits)));
  }
}

std::uint64_t read_number(const Word* words) noexcept {
  std::uint64_t number = 0;
  for (unsigned i = 0; i < kWordsOfNumber; ++i) {
    // A13 pairs with R13 in write_value(): a later writing's value, and before it its odd sequence.
    number |= std::uint64_t{word_value(words[i].load_acquire())} << (i * kValueBits);
  }
  return number;
}

// One writer: the arena's thread.
class Writing {
 public:
  explicit Writing(Word* record) noexcept
      : sequence_(record[Words::kSequence]), was_(word_value(sequence_.load_relaxed()) & ~1U) {
    sequence_.store_relaxed(value_word((was_ + 1) & kValueMask));
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  // R14 pairs with A14 in read_note(): the values before the even sequence.
  ~Writing() { sequence_.store_release(value_word((was_ + 2) & kValueMask)); }

 private:
  Word& sequence_;
  std::uint32_t was_;
};

}  // namespace

void begin_note(Word* record, NotedKind kind, std::string_view name,
                std::string_view made_at) noexcept {
  const Writing writing(record);
  for (std::uint32_t i = 0; i < Words::kNameWords; ++i) {
    write_value(record[Words::kName + i], text_value(name, i));
  }
  for (std::uint32_t i = 0; i < Words::kPlaceWords; ++i) {
    write_value(record[Words::kPlace + i], text_value(made_at, i));
  }
  for (const std::uint32_t number : {Words::kUsed, Words::kCommitted, Words::kReserved}) {
    write_number(record + number, 0);
  }
  write_value(record[Words::kKind], static_cast<std::uint32_t>(kind));
}

void update_note(Word* record, const ArenaFigures& figures) noexcept {
  const Writing writing(record);
  write_number(record + Words::kUsed, figures.used_bytes);
  write_number(record + Words::kCommitted, figures.committed_bytes);
  write_number(record + Words::kReserved, figures.reserved_bytes);
}

void end_note(Word* record) noexcept {
  const Writing writing(record);
  write_value(record[Words::kKind], static_cast<std::uint32_t>(NotedKind::kUnused));
}

const Word* find_notes(const RegionView& view, std::uint64_t first) noexcept {
  const auto span = view.find_span(first, view.granules());
  if (!span || span->first != first || span->word_count < Words::of_record(Words::kRecords) ||
      !view.carving_of(*span).chunked) {
    return nullptr;
  }
  const Word* const words = &view.word(first, 0);
  const std::uint32_t form = word_value(words[ChunkWords::kForm].load_relaxed());
  return form == Words::kForm ? words + Words::kFirst : nullptr;
}

std::optional<ArenaNote> read_note(const Word* record) {
  for (int tries = 0; tries < kTries; ++tries) {
    // A14 pairs with R14 in Writing: the values that belong to this sequence.
    const std::uint32_t sequence = record[Words::kSequence].load_acquire();
    if ((word_value(sequence) & 1U) != 0) continue;
    const std::uint32_t kind = word_value(record[Words::kKind].load_acquire());
    if (kind == static_cast<std::uint32_t>(NotedKind::kUnused) ||
        kind > static_cast<std::uint32_t>(NotedKind::kChainedVirtual)) {
      return std::nullopt;
    }
    ArenaNote note;
    note.kind = static_cast<NotedKind>(kind);
    note.figures = {read_number(record + Words::kUsed), read_number(record + Words::kCommitted),
                    read_number(record + Words::kReserved)};
    note.name = read_text(record + Words::kName, Words::kNameWords);
    note.made_at = read_text(record + Words::kPlace, Words::kPlaceWords);
    // Relaxed: a value of a later writing, loaded above, brings that one's odd sequence with it.
    if (record[Words::kSequence].load_relaxed() == sequence) return note;
  }
  return std::nullopt;
}

}  // namespace allot::region
