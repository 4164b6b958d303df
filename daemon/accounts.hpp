// Accounts: users and groups of this machine, by the names that administrators write.
//
// Used by the configuration at the start; the answers are those of that moment.
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>

namespace allot::daemon {

/// The uid of user `name`, or nothing if this machine knows none.
[[nodiscard]] std::optional<uid_t> find_user(const std::string& name);

struct Group {
  gid_t gid = 0;
  std::set<uid_t> members;  // who is in it beside those whose primary group it is
};

/// Group `name`, or nothing if this machine knows none.
[[nodiscard]] std::optional<Group> find_group(const std::string& name);

}  // namespace allot::daemon
