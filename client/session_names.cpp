// Names: what a session publishes, finds, pins and unpublishes.
//
// Each is a request to the daemon, which keeps names and pins; pins_ counts the finds behind each
// pin. The daemon answers in order, so that what was sent is done before what is sent after it.

#include <utility>
#include <vector>

#include "client/session_state.hpp"

namespace allot::detail {

namespace p = protocol;
using region::BlockRef;

Expected<Handle> SessionState::publish(std::string_view name, void* block) {
  if (!p::is_valid_name(name, region::kNameBytes)) {
    return Error(Errc::kBadName, std::string(name));
  }
  CallDeadline deadline(parts_.deadline);
  BlockRef found;
  if (const Errc errc = locate(block, found, deadline); errc != Errc::kOk) return Error(errc);
  const bool was_offered = OwnWord::is_offered(found.word->load_acquire());
  auto handle = expose(block, true, deadline);
  if (!handle) return handle;
  p::Publish body;
  body.handle = handle->bits();
  p::set_text(body.name, name);
  auto published = request(body, deadline);
  if (!published) {
    // As before, unless the daemon kept it and only its answer came too late. A daemon that has not
    // read the request as yet must find no offer.
    if (!was_offered || published.error() == Errc::kDeadline) (void)retract(*handle);
    return published.error();
  }
  return handle;
}

Expected<FoundBlock> SessionState::find(std::string_view name) {
  if (!p::is_valid_name(name, region::kNameBytes)) return Error(Errc::kBadName, std::string(name));
  p::Find body;
  p::set_text(body.name, name);
  CallDeadline deadline(parts_.deadline);
  Handle handle;
  {
    auto lock = lock_open(deadline);
    if (!lock) return lock.error();
    book_late_answers_locked();
    auto answer = request_locked(body, deadline);
    if (!answer) return answer.error();
    const auto* const found = std::get_if<p::Found>(&*answer);
    if (found == nullptr) return Error(Errc::kBadMessage);
    handle = Handle::from_bits(found->handle);
    // The daemon answers in order: an end that was sent before this find is done.
    if (Pin& pin = pins_[handle]; std::exchange(pin.ended, false)) {
      pin.finds = 1;
    } else {
      ++pin.finds;
    }
    std::erase(late_pins_, handle);
  }
  auto address = resolve(handle, deadline);
  if (!address) {
    end_pin(handle, deadline);
    return address.error();
  }
  return FoundBlock{*address, usable_size(*address), handle};
}

Expected<void> SessionState::unpin(Handle handle) {
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  return unpin_locked(handle, deadline);
}

Expected<void> SessionState::unpin_locked(Handle handle, CallDeadline& deadline) {
  book_late_answers_locked();
  const auto pin = pins_.find(handle);
  if (pin == pins_.end()) return Error(Errc::kNameUnknown, "this session has not found the block");
  if (pin->second.finds > 1) {
    --pin->second.finds;
    return {};
  }
  auto answer = request_locked(p::Unpin{handle.bits()}, deadline);
  const bool is_unknown = !answer && latest_outcome_ == Outcome::kUnknown;
  const bool has_ended = answer || (pin->second.ended && answer.error() == Errc::kNameUnknown);
  if (is_unknown) pin->second.ended = true;
  if (has_ended || (!is_unknown && answer.error() == Errc::kNameUnknown)) pins_.erase(pin);
  if (!has_ended) return answer.error();
  return {};
}

void SessionState::end_pin(Handle handle) noexcept {
  CallDeadline deadline(parts_.deadline);
  end_pin(handle, deadline);
}

void SessionState::end_pin(Handle handle, CallDeadline& deadline) noexcept {
  if (auto lock = lock_open(deadline); lock) {
    const auto ended = unpin_locked(handle, deadline);
    if (ended || latest_outcome_ != Outcome::kNotSent) return;
  } else if (lock.error() != Errc::kDeadline) {
    return;  // pins end with the session
  }
  owed_pins_->add(handle);
  // Who was in the way may be gone by now, and make no more requests.
  if (auto lock = lock_open(deadline); lock) book_late_answers_locked();
}

// Each is one find less; of the last one the daemon is to be told.
void SessionState::book_owed_pins_locked() {
  for (const Handle handle : owed_pins_->take()) {
    const auto pin = pins_.find(handle);
    if (pin == pins_.end() || pin->second.ended || --pin->second.finds > 0) continue;
    pins_.erase(pin);
    late_pins_.push_back(handle);
  }
}

Expected<void> SessionState::unpublish(std::string_view name, Handle handle) {
  if (!p::is_valid_name(name, region::kNameBytes)) return Error(Errc::kBadName, std::string(name));
  p::Unpublish body;
  body.handle = handle.bits();
  p::set_text(body.name, name);
  CallDeadline deadline(parts_.deadline);
  auto answer = request(body, deadline);
  if (!answer) return answer.error();
  return {};
}

}  // namespace allot::detail
