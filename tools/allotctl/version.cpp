// allotctl version: which versions this program and the daemon have.

#include <iostream>

#include <allot/version.hpp>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

Exit run_version(const Options& options) {
  if (!options.json) std::cout << "allotctl " ALLOT_VERSION_STRING "\n";
  return ask_and_print(request_of("version", options), options, [](const json::object& answer) {
    std::cout << "allotd " << text_of(answer, "version") << " in " << text_of(answer, "runtime_dir")
              << ", started " << age_text(number_of(answer, "started_unix_ns")) << " ago, "
              << count_text(number_of(answer, "connections"), "connection") << ", "
              << count_text(number_of(answer, "bad_peers"), "bad peer") << " dropped\n";
  });
}

}  // namespace allot::ctl
