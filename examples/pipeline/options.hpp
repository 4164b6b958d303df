// Options: the command line. `run` is for users; the roles are for the program itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "examples/pipeline/role.hpp"

namespace pipeline {

struct RunOptions {
  std::vector<std::string> paths = {"/usr/share"};
  std::string allotd = "allotd";
  std::string allotctl = "allotctl";
  std::size_t workers = 3;
  std::uint64_t max_bytes = std::uint64_t{256} << 20;
  bool no_kill = false;
  std::optional<std::uint64_t> seed;
  std::uint32_t timeout_s = 600;
  bool json = false;
  Plant plant = Plant::kNone;
  DieAt die_at = DieAt::kNowhere;
};

/// What the command line asks for: a run, or a role in one.
struct Options {
  std::function<int(Role)> role_main;  // empty: a run
  std::string role_name;
  Role role;
  RunOptions run;
};

/// Either what to do, or the status to exit with (help was shown, or a mistake was reported).
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = 0;
};
[[nodiscard]] ParsedOptions parse_options(int argc, char** argv);

}  // namespace pipeline
