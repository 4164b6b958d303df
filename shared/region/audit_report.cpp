#include "shared/region/audit_report.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>

namespace allot::region {

namespace {

using detail::OwnWord;

struct FaultText {
  Fault fault;
  std::string_view name;
  std::string_view what;
};

constexpr std::array<FaultText, 19> kFaultTexts = {{
    {Fault::kDescriptorMalformed, "descriptor_malformed", "the descriptor makes no sense"},
    {Fault::kInteriorStray, "interior_stray",
     "the descriptor points back to a span that does not reach here"},
    {Fault::kSpanOfAbsentSession, "span_of_absent_session",
     "the span is granted to a session that is not there"},
    {Fault::kCarveInvalid, "carve_invalid", "the carve word makes no sense for the span"},
    {Fault::kWordInvalid, "word_invalid", "a block of a carved span has an invalid own word"},
    {Fault::kWordBeyondBlocks, "word_beyond_blocks", "an own word behind the last block is in use"},
    {Fault::kOwnerAbsent, "owner_absent", "a block is owned by a session that is not there"},
    {Fault::kOwnerReserved, "owner_reserved", "a block has an owner that nothing uses"},
    {Fault::kTakenSmallBlock, "taken_small_block", "a block is taken in a span of many blocks"},
    {Fault::kFlagsWrong, "flags_wrong", "the own word has flags that its owner cannot have"},
    {Fault::kKeptWithoutName, "kept_without_name", "a block is kept but no name holds it"},
    {Fault::kNameWithoutBlock, "name_without_block", "a name's block is not kept"},
    {Fault::kTableState, "table_state",
     "session table and daemon disagree on whether a session is there"},
    {Fault::kTableDiffers, "table_differs",
     "the session table differs from what the daemon accounts for"},
    {Fault::kSessionDiffers, "session_differs",
     "the spans of a session differ from what the daemon accounts for"},
    {Fault::kRegionDiffers, "region_differs",
     "the spans of the region differ from what the daemon accounts for"},
    {Fault::kOrphansDiffer, "orphans_differ",
     "the orphans differ from what the daemon accounts for"},
    {Fault::kCountersDiffer, "counters_differ",
     "live blocks by own words differ from the heaps' counters"},
    {Fault::kEquation, "equation", "live + cached + free + tail is not what was granted"},
}};

constexpr bool faults_in_order() {
  for (std::size_t i = 0; i < kFaultTexts.size(); ++i) {
    if (static_cast<std::size_t>(kFaultTexts.at(i).fault) != i) return false;
  }
  return true;
}
static_assert(faults_in_order());
static_assert(static_cast<std::size_t>(Fault::kEquation) + 1 == kFaultTexts.size());

std::string hex(std::uint64_t value) {
  std::array<char, 24> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "0x%" PRIx64, value);
  return buffer.data();
}

// "session 17, generation 5, exposed".
std::string own_word_text(std::uint64_t bits) {
  const auto word = static_cast<std::uint32_t>(bits);
  static constexpr std::array<std::string_view, 5> kSpecial = {"invalid", "free", "freed", "kept",
                                                               "taken"};
  const std::uint32_t owner = OwnWord::owner(word);
  std::string out = owner < kSpecial.size()     ? std::string(kSpecial.at(owner))
                    : OwnWord::is_session(word) ? "session " + std::to_string(owner)
                                                : "owner " + std::to_string(owner);
  out += ", generation " + std::to_string(OwnWord::generation(word));
  if (OwnWord::is_exposed(word)) out += ", exposed";
  if (OwnWord::is_offered(word)) out += ", offered";
  return out;
}

std::string found_and_expected(const Violation& violation, std::string_view unit) {
  return std::to_string(violation.word) + " " + std::string(unit) + " found, " +
         std::to_string(violation.expected) + " expected";
}

std::string details(const Violation& violation) {
  const std::string granule = "granule " + std::to_string(violation.granule);
  switch (violation.fault) {
    case Fault::kDescriptorMalformed:
    case Fault::kInteriorStray:
    case Fault::kCarveInvalid: return granule + ", " + hex(violation.word);
    case Fault::kSpanOfAbsentSession:
      return granule + ", session " + std::to_string(violation.word);
    case Fault::kNameWithoutBlock:
      return "name slot " + std::to_string(violation.index) + ", " + granule + ", " +
             own_word_text(violation.word);
    case Fault::kTableState:
      return "session " + std::to_string(violation.index) + ", state " +
             std::to_string(violation.word) + " in the table, " +
             (violation.expected != 0 ? "known" : "unknown") + " to the daemon";
    case Fault::kTableDiffers:
    case Fault::kSessionDiffers:
      return "session " + std::to_string(violation.index) + ", " +
             found_and_expected(violation, "bytes");
    case Fault::kRegionDiffers: return found_and_expected(violation, "bytes");
    case Fault::kOrphansDiffer: return found_and_expected(violation, "orphans");
    case Fault::kCountersDiffer: return found_and_expected(violation, "blocks");
    case Fault::kEquation: return granule + ", " + found_and_expected(violation, "bytes");
    default:
      return granule + ", word " + std::to_string(violation.index) + " = " + hex(violation.word) +
             " (" + own_word_text(violation.word) + ")";
  }
}

}  // namespace

SpaceSums& SpaceSums::operator+=(const SpaceSums& other) noexcept {
  granted_bytes += other.granted_bytes;
  live_bytes += other.live_bytes;
  cached_bytes += other.cached_bytes;
  free_bytes += other.free_bytes;
  tail_bytes += other.tail_bytes;
  live_blocks += other.live_blocks;
  spans += other.spans;
  return *this;
}

OwnerSums& OwnerSums::operator+=(const OwnerSums& other) noexcept {
  blocks += other.blocks;
  live_bytes += other.live_bytes;
  offered_blocks += other.offered_blocks;
  exposed_blocks += other.exposed_blocks;
  return *this;
}

std::string_view fault_name(Fault fault) noexcept {
  return kFaultTexts[static_cast<std::size_t>(fault)].name;
}

std::string violation_text(const Violation& violation) {
  return std::string(kFaultTexts.at(static_cast<std::size_t>(violation.fault)).what) + ": " +
         details(violation);
}

}  // namespace allot::region
