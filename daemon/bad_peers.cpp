#include "daemon/bad_peers.hpp"

namespace allot::daemon {

namespace {

std::string_view verb(BadPeers::Fate fate) noexcept {
  switch (fate) {
    case BadPeers::Fate::kRefused: return "refused";
    case BadPeers::Fate::kDropped: return "dropped";
    case BadPeers::Fate::kStays: break;
  }
  return "noted";
}

}  // namespace

std::optional<std::string> BadPeers::note(pid_t pid, uid_t uid, Fate fate, std::string_view why,
                                          Clock::time_point now) {
  ++count_;
  if (users_.size() >= kMaxUsers && !users_.contains(uid)) {
    std::erase_if(users_,
                  [now](const auto& one) { return now - one.second.window_start >= kWindow; });
    if (users_.size() >= kMaxUsers) return std::nullopt;
  }
  User& user = users_.try_emplace(uid, User{now}).first->second;
  if (now - user.window_start >= kWindow) {
    user.window_start = now;
    user.lines = 0;
  }
  if (user.lines == kLinesPerWindow) {
    ++user.left_out;
    return std::nullopt;
  }
  ++user.lines;
  std::string line(verb(fate));
  line += " pid " + std::to_string(pid) + " of uid " + std::to_string(uid) + ": ";
  line += why;
  if (user.left_out > 0) {
    line += " (" + std::to_string(user.left_out) + " more of this uid were not logged)";
    user.left_out = 0;
  }
  return line;
}

}  // namespace allot::daemon
