#include "daemon/accounts.hpp"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

namespace allot::daemon {

namespace {

constexpr std::size_t kFirstRoomBytes = 1024;
constexpr std::size_t kMostRoomBytes = std::size_t{16} << 20;

// Calls `look_up(room)` with more room until it does not ask for more.
template <class LookUp>
void with_room(const LookUp& look_up) {
  std::vector<char> room(kFirstRoomBytes);
  while (look_up(room) == ERANGE && room.size() < kMostRoomBytes) room.resize(room.size() * 2);
}

}  // namespace

std::optional<uid_t> find_user(const std::string& name) {
  std::optional<uid_t> uid;
  with_room([&](std::vector<char>& room) {
    passwd entry{};
    passwd* found = nullptr;
    const int status = ::getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
    if (found != nullptr) uid = found->pw_uid;
    return status;
  });
  return uid;
}

std::optional<Group> find_group(const std::string& name) {
  std::optional<Group> out;
  with_room([&](std::vector<char>& room) {
    group entry{};
    group* found = nullptr;
    const int status = ::getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
    if (found == nullptr) return status;
    out = Group{found->gr_gid, {}};
    for (char** member = found->gr_mem; *member != nullptr; ++member) {
      if (const auto uid = find_user(*member)) out->members.insert(*uid);
    }
    return status;
  });
  return out;
}

}  // namespace allot::daemon
