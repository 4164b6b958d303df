// The public calls of Session: the fast paths, and doors to SessionState.

#include <allot/session.hpp>

// program_invocation_short_name is GNU's.
#include <errno.h>  // NOLINT(modernize-deprecated-headers)

#include <allot/detail/fast_heap.hpp>

#include "client/debug_options.hpp"
#include "client/heap_table.hpp"
#include "client/process.hpp"
#include "client/session_call.hpp"
#include "client/session_state.hpp"
#include "client/socket_channel.hpp"

namespace allot {

namespace detail {

const std::array<std::uint8_t, kMaxFastBytes / 128> kMediumBins = region::kBinTables.by_128;

namespace {

constinit thread_local bool last_error_is_gone = false;

struct LastError {
  LastError() noexcept = default;
  LastError(const LastError&) = delete;
  LastError& operator=(const LastError&) = delete;
  ~LastError() { last_error_is_gone = true; }
  Error error;
};

// nullptr in the destructors of a thread's other objects that run after this one's.
Error* last_error_slot() noexcept {
  if (last_error_is_gone) return nullptr;
  static thread_local LastError last;
  return &last.error;
}

}  // namespace

void set_last_error(Error error) noexcept {
  if (Error* const slot = last_error_slot(); slot != nullptr) *slot = std::move(error);
}

}  // namespace detail

namespace {

// The descriptors of a Welcome, in their order on the wire.
enum WelcomeFile : std::uint8_t { kDirectoryFile, kLedgerFile, kDataFile, kPresenceFile };

Expected<std::shared_ptr<detail::SessionState>> open_session(
    const ConnectOptions& options, const std::vector<std::filesystem::path>& sockets,
    const DebugOptions& debug, platform::Deadline deadline) {
  protocol::Hello hello;
  hello.fingerprint = region::fingerprint();
  protocol::set_text(hello.region, options.region);
  protocol::set_text(hello.label,
                     options.label.empty() ? program_invocation_short_name : options.label);
  std::shared_ptr<detail::SessionState> state;
  const auto attempt = [&]() -> Expected<void> {
    auto socket = connect_to_daemon(sockets, deadline);
    if (!socket) return socket.error();
    auto channel = std::make_unique<SocketChannel>(std::move(*socket));
    auto greeting = channel->greet(hello, deadline);
    if (!greeting) return greeting.error();
    detail::SessionState::Parts parts;
    parts.welcome = greeting->welcome;
    parts.region_name = options.region;
    parts.files.directory = std::move(greeting->files[kDirectoryFile]);
    parts.files.ledger = std::move(greeting->files[kLedgerFile]);
    parts.files.data = std::move(greeting->files[kDataFile]);
    parts.presence = std::move(greeting->files[kPresenceFile]);
    parts.channel = std::move(channel);
    parts.exit_watch = std::make_unique<ExitWatch>(
        sockets, options.region, SessionId{parts.welcome.session, 0, parts.welcome.incarnation});
    parts.deadline = options.deadline;
    parts.trim_every = options.trim_every;
    parts.debug = debug;
    auto opened = detail::SessionState::open(std::move(parts));
    // The daemon died meanwhile, and the next one found that nobody had the session as yet.
    if (!opened && opened.error() == Errc::kUnknownSession) return Error(Errc::kDaemonGone);
    if (!opened) return opened.error();
    state = std::move(*opened);
    return {};
  };
  if (auto connected = until_answered(attempt, deadline); !connected) return connected.error();
  return state;
}

}  // namespace

Session::Session(std::shared_ptr<detail::SessionState> state) noexcept
    : state_(std::move(state)), heap_entry_(heap_table::entry_of(state_->slot())) {}

Expected<Session> Session::connect(const ConnectOptions& options) {
  if (!protocol::is_valid_name(options.region, region::kRegionNameBytes)) {
    return Error(Errc::kBadName, "region '" + options.region + "'");
  }
  if (options.trim_every.count() < 0) {
    return Error(Errc::kBadArgument,
                 "trim_every " + std::to_string(options.trim_every.count()) + " ms is negative");
  }
  const auto debug = detail::with_debug_environment(options.debug);
  if (!debug) return debug.error();
  const auto sockets = socket_candidates(options.socket_path);
  std::string key = options.region;
  for (const auto& path : sockets) key += "\n" + path.native();
  detail::CallDeadline deadline(options.deadline);
  auto state = process::find_or_make(
      key, deadline, [&] { return open_session(options, sockets, *debug, deadline.at()); });
  if (!state) return state.error();
  return Session(std::move(*state));
}

void* Session::allocate(std::size_t size_bytes) noexcept {
  void* block = nullptr;
  if (detail::try_pop_bytes(detail::this_threads_fast_heap(heap_entry_), size_bytes, block))
      [[likely]]
    return block;
  return detail::SessionCall(*state_)->allocate(size_bytes, 1);
}

void* Session::allocate_aligned(std::size_t size_bytes, std::size_t alignment) noexcept {
  if (alignment <= region::kMinBlockBytes && alignment != 0 && (alignment & (alignment - 1)) == 0) {
    return allocate(size_bytes);
  }
  return detail::SessionCall(*state_)->allocate(size_bytes, alignment);
}

Errc Session::free(void* block) noexcept {
  if (detail::try_push(detail::this_threads_fast_heap(heap_entry_), block)) [[likely]]
    return Errc::kOk;
  return detail::SessionCall(*state_)->free(block);
}

void* Session::reallocate(void* block, std::size_t size_bytes) noexcept {
  return block == nullptr ? allocate(size_bytes)
                          : detail::SessionCall(*state_)->reallocate(block, size_bytes);
}

std::size_t Session::usable_size(const void* block) const noexcept {
  return state_->usable_size(block);
}

const Error& Session::last_error() noexcept {
  static const Error kEnding(Errc::kClosed, "the thread is ending");
  const Error* const slot = detail::last_error_slot();
  return slot != nullptr ? *slot : kEnding;
}

std::size_t Session::trim() noexcept { return detail::SessionCall(*state_)->trim(); }

Expected<Handle> Session::handle_of(const void* block) noexcept {
  return detail::SessionCall(*state_)->expose(block, false);
}

Expected<void*> Session::resolve(Handle handle) noexcept { return state_->resolve(handle); }

Expected<Handle> Session::offer(const void* block) noexcept {
  return detail::SessionCall(*state_)->expose(block, true);
}

Expected<void*> Session::adopt(Handle handle) noexcept {
  return detail::SessionCall(*state_)->adopt(handle);
}

Expected<void*> Session::retract(Handle handle) noexcept {
  return detail::SessionCall(*state_)->retract(handle);
}

std::vector<Handle> Session::offers() const { return detail::SessionCall(*state_)->offers(); }

Expected<Handle> Session::publish(std::string_view name, void* block) {
  return detail::SessionCall(*state_)->publish(name, block);
}

Expected<FoundBlock> Session::find(std::string_view name) {
  return detail::SessionCall(*state_)->find(name);
}

Expected<void> Session::unpin(Handle handle) { return detail::SessionCall(*state_)->unpin(handle); }

void Session::end_pin(Handle handle) noexcept { state_->end_pin(handle); }

Expected<void> Session::unpublish(std::string_view name, Handle handle) {
  return detail::SessionCall(*state_)->unpublish(name, handle);
}

SessionId Session::id() const noexcept { return state_->id(); }

Expected<void> Session::on_exit(const SessionId& other, std::function<void()> callback) {
  return detail::SessionCall(*state_)->on_exit(other, std::move(callback));
}

void Session::close() noexcept { state_->close(); }

}  // namespace allot
