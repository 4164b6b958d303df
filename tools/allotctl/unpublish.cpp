// allotctl unpublish: takes a name away; its block is freed once nobody has it pinned.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/control_client.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

constexpr const char* kDefaultRegion = "default";

// The handle that the name has now.
Expected<std::string> handle_of_name(const Options& options, const std::string& region) {
  auto client = ControlClient::connect(options);
  if (!client) return client.error();
  json::object request;
  request["request"] = "names";
  request["region"] = region;
  const auto answer = client->ask(request);
  if (!answer) return answer.error();
  if (auto ok = check_ok(*answer); !ok) return ok.error();
  for (const json::object* const one : list_of(*answer, "regions")) {
    for (const json::object* const name : list_of(*one, "names")) {
      if (text_of(*name, "name") == options.name) return text_of(*name, "handle");
    }
  }
  return Error(Errc::kNameUnknown, options.name);
}

}  // namespace

Exit run_unpublish(const Options& options) {
  const std::string region = options.region.empty() ? kDefaultRegion : options.region;
  std::string handle = options.handle;
  if (handle.empty()) {
    auto found = handle_of_name(options, region);
    if (!found) return fail(found.error());
    handle = *found;
  }
  json::object request;
  request["request"] = "unpublish";
  request["region"] = region;
  request["name"] = options.name;
  request["handle"] = handle;
  return ask_and_print(request, options, [&](const json::object& /*answer*/) {
    std::cout << "unpublished " << options.name << " (" << handle << ") in " << region << '\n';
  });
}

}  // namespace allot::ctl
