#include "shared/region/layout.hpp"

#include <string>

#include "shared/region/arena_note.hpp"
#include "shared/region/chunk_words.hpp"
#include "shared/region/size_class.hpp"

namespace allot::region {

namespace {

void line(std::string& out, const char* name, std::uint64_t value) {
  out += name;
  out += ' ';
  out += std::to_string(value);
  out += '\n';
}

}  // namespace

#define ALLOT_SIZE(Type) line(out, "sizeof " #Type, sizeof(Type))
#define ALLOT_FIELD(Type, field) line(out, "offsetof " #Type "." #field, offsetof(Type, field))
#define ALLOT_CONSTANT(name) line(out, #name, name)

// NOLINTNEXTLINE(readability-function-size): a table, a line a fact
std::string layout_text() {
  std::string out;
  ALLOT_CONSTANT(kMagic);
  ALLOT_CONSTANT(kGranuleBytes);
  ALLOT_CONSTANT(kWordsPerGranule);
  ALLOT_CONSTANT(kWordsPerUnit);
  ALLOT_CONSTANT(kFirstSession);
  ALLOT_CONSTANT(kSessionLimit);
  ALLOT_CONSTANT(kHeapLimit);
  ALLOT_CONSTANT(kNameLimit);
  ALLOT_CONSTANT(kBinsPerHeap);
  ALLOT_CONSTANT(kNameBytes);
  ALLOT_CONSTANT(kRegionNameBytes);
  ALLOT_CONSTANT(kLabelBytes);
  ALLOT_CONSTANT(kPoolNameBytes);
  ALLOT_CONSTANT(kFirstPoolBin);
  ALLOT_SIZE(DirectoryHeader);
  ALLOT_FIELD(DirectoryHeader, magic);
  ALLOT_FIELD(DirectoryHeader, fingerprint);
  ALLOT_FIELD(DirectoryHeader, granules);
  ALLOT_FIELD(DirectoryHeader, region_tag);
  ALLOT_FIELD(DirectoryHeader, created_unix_ns);
  ALLOT_FIELD(DirectoryHeader, high_water_granules);
  ALLOT_FIELD(DirectoryHeader, pressure);
  ALLOT_FIELD(DirectoryHeader, boot_epoch);
  ALLOT_FIELD(DirectoryHeader, name);
  ALLOT_FIELD(DirectoryHeader, orphan_news);
  ALLOT_SIZE(SessionEntry);
  ALLOT_FIELD(SessionEntry, state);
  ALLOT_FIELD(SessionEntry, pid);
  ALLOT_FIELD(SessionEntry, uid);
  ALLOT_FIELD(SessionEntry, heap_count);
  ALLOT_FIELD(SessionEntry, incarnation);
  ALLOT_FIELD(SessionEntry, connected_unix_ns);
  ALLOT_FIELD(SessionEntry, granted_bytes);
  ALLOT_FIELD(SessionEntry, granted_spans);
  ALLOT_FIELD(SessionEntry, label);
  ALLOT_SIZE(HeapEntry);
  ALLOT_FIELD(HeapEntry, session);
  ALLOT_SIZE(NameEntry);
  ALLOT_FIELD(NameEntry, state);
  ALLOT_FIELD(NameEntry, handle);
  ALLOT_FIELD(NameEntry, size_bytes);
  ALLOT_FIELD(NameEntry, published_unix_ns);
  ALLOT_FIELD(NameEntry, uid);
  ALLOT_FIELD(NameEntry, name);
  ALLOT_SIZE(BinCounters);
  ALLOT_FIELD(BinCounters, allocations);
  ALLOT_FIELD(BinCounters, frees);
  ALLOT_FIELD(BinCounters, fills);
  ALLOT_FIELD(BinCounters, granted);
  ALLOT_FIELD(BinCounters, peak);
  ALLOT_FIELD(BinCounters, block_bytes);
  ALLOT_FIELD(BinCounters, pool);
  ALLOT_SIZE(HeapLedger);
  ALLOT_SIZE(SpanLedger);
  ALLOT_FIELD(SpanLedger, carve);
  ALLOT_FIELD(SpanLedger, hint);
  ALLOT_CONSTANT(FileLayout::kSessionsOffset);
  ALLOT_CONSTANT(FileLayout::kHeapsOffset);
  ALLOT_CONSTANT(FileLayout::kNamesOffset);
  ALLOT_CONSTANT(FileLayout::kDescriptorsOffset);
  ALLOT_CONSTANT(FileLayout::kSpanLedgersOffset);
  line(out, "descriptor.session", SpanDescriptor{SpanState::kAbsent, 1, 0, 0}.encode());
  line(out, "descriptor.granules", SpanDescriptor{SpanState::kAbsent, 0, 1, 0}.encode());
  line(out, "descriptor.word_units", SpanDescriptor{SpanState::kAbsent, 0, 0, 1}.encode());
  line(out, "descriptor.granted", static_cast<std::uint64_t>(SpanState::kGranted));
  line(out, "descriptor.orphan", static_cast<std::uint64_t>(SpanState::kOrphan));
  line(out, "descriptor.interior", static_cast<std::uint64_t>(SpanState::kInterior));
  line(out, "session.live", static_cast<std::uint64_t>(SessionState::kLive));
  line(out, "session.detached", static_cast<std::uint64_t>(SessionState::kDetached));
  line(out, "session.draining", static_cast<std::uint64_t>(SessionState::kDraining));
  line(out, "carve.large", CarveWord::kLarge);
  line(out, "carve.chunked", CarveWord::kChunked);
  line(out, "carve.first_bin", CarveWord::blocks(0));
  line(out, "carve.second_bin", CarveWord::blocks(1));
  line(out, "carve.pool", CarveWord::pool(1, 1));
  line(out, "own.generation_mask", detail::OwnWord::kGenerationMask);
  line(out, "own.offered", detail::OwnWord::kOffered);
  line(out, "own.exposed", detail::OwnWord::kExposed);
  line(out, "own.owner_mask", detail::OwnWord::kOwnerMask);
  line(out, "own.free", detail::OwnWord::kFree);
  line(out, "own.freed", detail::OwnWord::kFreed);
  line(out, "own.kept", detail::OwnWord::kKept);
  line(out, "own.taken", detail::OwnWord::kTaken);
  ALLOT_CONSTANT(ChunkWords::kEpoch);
  ALLOT_CONSTANT(ChunkWords::kForm);
  ALLOT_CONSTANT(ChunkWords::kUnitBytes);
  ALLOT_CONSTANT(ChunkWords::kChunkUnits);
  ALLOT_CONSTANT(ChunkWords::kChunkCount);
  ALLOT_CONSTANT(ChunkWords::kPlace);
  ALLOT_CONSTANT(ChunkWords::kPlaceWords);
  ALLOT_CONSTANT(ChunkWords::kFirst);
  ALLOT_CONSTANT(ChunkWords::kStride);
  ALLOT_CONSTANT(ArenaNoteWords::kForm);
  ALLOT_CONSTANT(ArenaNoteWords::kFirst);
  ALLOT_CONSTANT(ArenaNoteWords::kStride);
  ALLOT_CONSTANT(ArenaNoteWords::kSequence);
  ALLOT_CONSTANT(ArenaNoteWords::kKind);
  ALLOT_CONSTANT(ArenaNoteWords::kUsed);
  ALLOT_CONSTANT(ArenaNoteWords::kCommitted);
  ALLOT_CONSTANT(ArenaNoteWords::kReserved);
  ALLOT_CONSTANT(ArenaNoteWords::kName);
  ALLOT_CONSTANT(ArenaNoteWords::kPlace);
  for (const SizeClass& one : kSizeClasses) {
    line(out, "class.block_bytes", one.block_bytes);
    line(out, "class.cell_bytes", one.cell_bytes);
    line(out, "class.span_granules", one.span_granules);
    line(out, "class.block_count", one.block_count);
  }
  return out;
}

#undef ALLOT_SIZE
#undef ALLOT_FIELD
#undef ALLOT_CONSTANT

std::uint64_t fingerprint() {
  static const std::uint64_t kHash = [] {
    std::uint64_t hash = 0xCBF29CE484222325ULL;
    for (const char c : layout_text()) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ULL;
    }
    return hash;
  }();
  return kHash;
}

}  // namespace allot::region
