// describe(Misuse): the line that a report is on standard error.

#include <iomanip>
#include <sstream>

#include <allot/debug.hpp>
#include <allot/detail/own_word.hpp>

#include "client/call_stack.hpp"

namespace allot {

namespace {

// Of each stack; a line is to be read.
constexpr std::size_t kPlaces = 6;

const char* what(Misuse::Kind kind) noexcept {
  switch (kind) {
    case Misuse::Kind::kDoubleFree: return "double free of";
    case Misuse::Kind::kForeignFree: return "free of somebody else's block";
    case Misuse::Kind::kBadPointer: return "free where no block begins:";
    case Misuse::Kind::kWrongPool: return "free to a pool that is not the block's:";
    case Misuse::Kind::kCorruptWord: return "corrupt own word of";
    case Misuse::Kind::kWrittenAfterFree: return "written after free:";
  }
  return "misuse of";
}

// The label is another program's text.
std::string printable(std::string text) {
  for (char& letter : text) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  return text;
}

void put_owner(std::ostream& out, const Misuse& misuse) {
  using detail::OwnWord;
  switch (misuse.owner) {
    case OwnWord::kInvalid: out << "nobody"; return;
    case OwnWord::kFree: out << "nobody (free)"; return;
    case OwnWord::kFreed: out << "nobody (freed, not yet collected)"; return;
    case OwnWord::kKept: out << "the service (published)"; return;
    case OwnWord::kTaken: out << "the service (reclaimed)"; return;
    default: break;
  }
  if (misuse.owner < OwnWord::kFirstSession) {
    out << "none (" << misuse.owner << ")";
    return;
  }
  out << "session " << misuse.owner;
  if (misuse.owner_pid == 0) {
    out << " (not there)";
  } else {
    out << " (pid " << misuse.owner_pid << ", " << printable(misuse.owner_label) << ")";
  }
}

}  // namespace

std::string describe(const Misuse& misuse) {
  std::ostringstream out;
  out << what(misuse.kind) << " " << misuse.block;
  if (misuse.size_bytes != 0) {
    out << " (" << misuse.size_bytes << " bytes)";
    if (misuse.kind == Misuse::Kind::kWrittenAfterFree) out << " at offset " << misuse.offset_bytes;
    out << ", own word 0x" << std::hex << std::setw(8) << std::setfill('0') << misuse.own_word
        << std::dec << ": owner ";
    put_owner(out, misuse);
    out << ", generation " << misuse.generation;
  }
  if (!misuse.allocated_at.empty()) {
    out << "; allocated at " << detail::places_text(misuse.allocated_at, kPlaces);
  }
  if (!misuse.freed_at.empty()) {
    out << "; freed at " << detail::places_text(misuse.freed_at, kPlaces);
  }
  return std::move(out).str();
}

}  // namespace allot
