#include <allot/arena_log.hpp>

#include <spdlog/spdlog.h>

namespace allot {

namespace {

spdlog::level::level_enum level_of(ArenaEvent::Kind kind) noexcept {
  switch (kind) {
    case ArenaEvent::Kind::kPush:
    case ArenaEvent::Kind::kPop: return spdlog::level::trace;
    case ArenaEvent::Kind::kScopeBegin:
    case ArenaEvent::Kind::kScopeEnd: return spdlog::level::debug;
    case ArenaEvent::Kind::kGrow:
    case ArenaEvent::Kind::kClear:
    case ArenaEvent::Kind::kRelease: break;
  }
  return spdlog::level::info;
}

void write(void* context, const ArenaEvent& event) noexcept {
  try {
    auto* const logger = static_cast<spdlog::logger*>(context);
    logger->log(level_of(event.kind), "arena {}: {} of {} bytes, {} in use ({}:{})", event.arena,
                describe(event.kind), event.size_bytes, event.used_bytes, event.place.file,
                event.place.line);
  } catch (...) {
    // An arena works on although its log does not.
    return;
  }
}

}  // namespace

ArenaHook arena_log(spdlog::logger& logger) noexcept { return {&write, &logger}; }

}  // namespace allot
