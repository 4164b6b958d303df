// SessionCall: a call that comes in from the program, `SessionCall(state)->offer(block)`.
//
// Until the end of the whole expression it is a DebuggedCall. Calls that the library makes to itself go to
// the SessionState.
#pragma once

#include "client/debug_state.hpp"
#include "client/session_state.hpp"

namespace allot::detail {

class SessionCall {
 public:
  explicit SessionCall(SessionState& state) noexcept : state_(state), call_(state.debug()) {}

  SessionState* operator->() const noexcept { return &state_; }

 private:
  SessionState& state_;
  DebuggedCall call_;
};

}  // namespace allot::detail
