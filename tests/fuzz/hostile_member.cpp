#include "tests/fuzz/hostile_member.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace allot::test {

namespace p = protocol;
using detail::OwnWord;
using region::CarveWord;
using region::Carving;

namespace {

constexpr std::uint32_t kRegionTag = 1;

std::uint64_t high_water(const region::RegionView& view) {
  return view.header().high_water_granules.load_relaxed();
}

// Mostly small, since most requests with large numbers are refused at once.
std::uint64_t any_number(FuzzInput& input) {
  const std::uint8_t first = input.byte();
  return first < 0xE0 ? first % 0x48 : input.number<std::uint64_t>();
}

std::uint32_t any_count(FuzzInput& input) { return static_cast<std::uint32_t>(any_number(input)); }

// Of a block that is there, as its word says; or of none.
std::uint64_t any_handle(FuzzInput& input, const region::RegionView& view) {
  const std::uint64_t granule = any_number(input);
  const std::uint32_t index = input.byte() & 3;
  const auto span = view.find_span(granule, high_water(view));
  if (!span) return granule;
  const Carving carving = view.carving_of(*span);
  const std::uint64_t in_span =
      carving.kind == Carving::Kind::kBlocks ? region::block_offset(carving.cut, index) : 0;
  const std::uint32_t word = view.word(span->first, in_span == 0 ? 0 : index).load_relaxed();
  return Handle::make(kRegionTag, span->first * region::kGranuleBytes + in_span,
                      OwnWord::generation(word))
      .bits();
}

template <class Text>
Text any_text(FuzzInput& input) {
  Text text{};
  const std::uint8_t first = input.byte();
  p::set_text(text, std::string(first % 4, static_cast<char>('a' + first / 4 % 4)));
  return text;
}

p::RegionName any_region(FuzzInput& input) {
  p::RegionName name{};
  p::set_text(name, input.byte() < 0xF0 ? "default" : "another");
  return name;
}

std::uint64_t any_fingerprint(FuzzInput& input) {
  return input.byte() < 0xF0 ? region::fingerprint() : 0;
}

}  // namespace

p::Body HostileMember::request(FuzzInput& input, const region::RegionView& view) const {
  const auto number = [&] { return any_number(input); };
  const auto handle = [&] { return any_handle(input, view); };
  const bool honest = input.byte() < 0xF0;
  const std::uint64_t of_session = honest ? session : number();
  const std::uint64_t of_incarnation = honest ? incarnation : number();
  switch (input.below(20)) {
    case 0:
    case 1: return p::Hello{any_fingerprint(input), any_region(input), any_text<p::Label>(input)};
    case 2: return p::ChallengeAnswer{number()};
    case 3:
    case 4: {
      const std::uint64_t at = input.byte() < 0xA0 ? p::kAnywhere : number();
      const std::uint32_t words = (any_count(input) & 7U) * region::kWordsPerUnit;
      return p::GrantRequest{any_count(input), any_count(input) % 16, words, any_count(input), at};
    }
    case 5: return p::ReturnSpan{number(), number()};
    case 6: return p::AttachHeap{};
    case 7: return p::Publish{handle(), any_text<p::Name>(input)};
    case 8: return p::Unpublish{handle(), any_text<p::Name>(input)};
    case 9: return p::Find{any_text<p::Name>(input)};
    case 10: return p::Unpin{handle()};
    case 11: return p::Watch{any_region(input), of_session, of_incarnation};
    case 12: return p::FreedElsewhere{number()};
    case 13: return p::Bye{};
    case 14: return p::Reserve{number(), number()};
    case 15: return p::Unreserve{number()};
    case 16: return p::ClearChunks{handle()};
    case 17: return p::AdoptOrphan{number()};
    case 18:
      return p::Resume{any_fingerprint(input), any_region(input), view.header().created_unix_ns,
                       of_session, of_incarnation};
    default:
      if (honest) return p::NextPin{number()};
      return p::NextReservation{number()};
  }
}

void HostileMember::move_block(FuzzInput& input, const region::RegionView& view) const {
  const auto span = view.find_span(any_number(input), high_water(view));
  const std::uint32_t index = input.byte() & 3;
  const std::uint32_t kind = input.byte();
  if (session == 0 || !span) return;
  const bool mine = span->head.session == session;
  const Carving carving = view.carving_of(*span);
  auto& carve = view.span_ledger(span->first).carve;
  if (carving.kind == Carving::Kind::kNone) {
    if (!mine || span->word_count == 0) return;
    const auto* const fits = std::find_if(
        region::kSizeClasses.begin() + kind % region::kClassCount, region::kSizeClasses.end(),
        [&](const region::SizeClass& one) {
          return one.span_granules == span->head.granules && one.block_count <= span->word_count;
        });
    const bool large = fits == region::kSizeClasses.end();
    for (std::uint32_t i = 0; i < (large ? 1 : fits->block_count); ++i) {
      view.word(span->first, i).store_relaxed(OwnWord::make(OwnWord::kFree, kind));
    }
    const auto bin = static_cast<std::uint32_t>(fits - region::kSizeClasses.begin());
    carve.store_release(large ? CarveWord::kLarge : CarveWord::blocks(bin));
    return;
  }
  if (index >= carving.block_count) return;
  auto& word = view.word(span->first, index);
  const std::uint32_t now = word.load_acquire();
  if (OwnWord::owner(now) == OwnWord::kFree && mine) {
    word.store_release(OwnWord::make(session, OwnWord::generation(now)));
  } else if (OwnWord::owner(now) == session && kind % 2 == 0) {
    word.store_release(now | OwnWord::kExposed | OwnWord::kOffered);
  } else if (OwnWord::owner(now) == session) {
    word.store_release(OwnWord::after_free(now, mine ? OwnWord::kFree : OwnWord::kFreed));
  } else if (OwnWord::is_session(now) && OwnWord::is_offered(now)) {
    word.store_release(OwnWord::make(session, OwnWord::generation(now)) | OwnWord::kExposed);
  }
}

void HostileMember::scribble(FuzzInput& input, const region::RegionView& view,
                             std::uint32_t heaps) {
  const std::uint32_t kind = input.below(8);
  const std::uint64_t granule = input.byte() % std::max<std::uint64_t>(high_water(view), 1);
  const auto place = input.number<std::uint16_t>();
  if (kind == 0 && heaps > 0) {
    view.heap_ledger(input.byte() % heaps)
        .bins[place % region::kBinsPerHeap]
        .allocations.store_relaxed(input.number<std::uint64_t>());
  } else if (kind == 1) {
    view.span_ledger(granule).carve.store_relaxed(input.number<std::uint64_t>());
  } else if (kind == 2) {
    view.span_ledger(granule).carve.store_relaxed(input.byte());
  } else if (kind == 3) {
    view.span_ledger(granule).carve.store_relaxed(CarveWord::blocks(input.byte()));
  } else {
    const std::uint32_t owner = kind < 6 ? input.below(24) : input.number<std::uint16_t>() & 0xFFFU;
    view.word(granule, kind == 4 ? place % 8U : place % region::kWordsPerGranule)
        .store_relaxed(OwnWord::make(owner, 5) | input.number<std::uint32_t>());
  }
}

}  // namespace allot::test
