#include "tools/allotctl/answer.hpp"

#include <iostream>
#include <string_view>
#include <utility>

#include <boost/json/serialize.hpp>

#include "tools/allotctl/control_client.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

template <class Number>
Number any_number(const json::object& object, const char* key) {
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_number()) return {};
  boost::system::error_code failed;
  const auto value = found->to_number<Number>(failed);
  return failed ? Number{} : value;
}

// Answers nest a few levels; whatever comes, this ends.
constexpr std::size_t kMaxDepth = 32;

void append_pretty(std::string& out, const json::value& value, std::size_t depth) {
  const auto indent = [&out](std::size_t levels) { out += '\n' + std::string(2 * levels, ' '); };
  const auto append_list = [&](const auto& list, char open, char close, const auto& append) {
    out += open;
    bool any = false;
    for (const auto& item : list) {
      if (std::exchange(any, true)) out += ',';
      indent(depth + 1);
      append(item);
    }
    if (any) indent(depth);
    out += close;
  };
  if (depth < kMaxDepth && value.is_object()) {
    append_list(value.get_object(), '{', '}', [&](const json::key_value_pair& member) {
      out += json::serialize(member.key()) + ": ";
      append_pretty(out, member.value(), depth + 1);
    });
  } else if (depth < kMaxDepth && value.is_array()) {
    append_list(value.get_array(), '[', ']',
                [&](const json::value& item) { append_pretty(out, item, depth + 1); });
  } else {
    out += json::serialize(value);
  }
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7F') c = '?';
  }
  return out;
}

}  // namespace

std::uint64_t number_of(const json::object& object, const char* key) {
  return any_number<std::uint64_t>(object, key);
}

std::int64_t signed_of(const json::object& object, const char* key) {
  return any_number<std::int64_t>(object, key);
}

double real_of(const json::object& object, const char* key) {
  return any_number<double>(object, key);
}

bool flag_of(const json::object& object, const char* key) {
  const json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_bool() && found->get_bool();
}

std::string text_of(const json::object& object, const char* key) {
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_string()) return {};
  return printable({found->get_string().data(), found->get_string().size()});
}

const json::object& object_of(const json::object& object, const char* key) {
  static const json::object kNone;
  const json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_object() ? found->get_object() : kNone;
}

std::vector<const json::object*> list_of(const json::object& object, const char* key) {
  std::vector<const json::object*> out;
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_array()) return out;
  for (const json::value& item : found->get_array()) {
    if (item.is_object()) out.push_back(&item.get_object());
  }
  return out;
}

std::vector<std::string> texts_of(const json::object& object, const char* key) {
  std::vector<std::string> out;
  const json::value* const found = object.if_contains(key);
  if (found == nullptr || !found->is_array()) return out;
  for (const json::value& item : found->get_array()) {
    if (item.is_string())
      out.push_back(printable({item.get_string().data(), item.get_string().size()}));
  }
  return out;
}

json::object request_of(const char* name, const Options& options) {
  json::object request;
  request["request"] = name;
  if (!options.region.empty()) request["region"] = options.region;
  return request;
}

Expected<void> check_ok(const json::object& answer) {
  if (flag_of(answer, "ok")) return {};
  const json::object& error = object_of(answer, "error");
  const auto code = static_cast<Errc>(number_of(error, "code"));
  if (error.empty()) return Error(Errc::kBadMessage, "the answer is neither ok nor an error");
  return Error(code, text_of(error, "detail"));
}

Exit fail(const Error& error) {
  std::cerr << "allotctl: " << printable(error.message()) << '\n';
  const Errc errc = error.errc();
  return errc == Errc::kNoDaemon || errc == Errc::kDeadline || errc == Errc::kDaemonGone
             ? Exit::kNoDaemon
             : Exit::kRefused;
}

void print_json(const json::value& value) {
  std::string out;
  append_pretty(out, value, 0);
  std::cout << out << '\n';
}

Exit ask_and_print(const json::object& request, const Options& options,
                   const std::function<void(const json::object&)>& print,
                   const std::function<Exit(const json::object&)>& judge) {
  auto client = ControlClient::connect(options);
  if (!client) return fail(client.error());
  const auto answer = client->ask(request);
  if (!answer) return fail(answer.error());
  const auto ok = check_ok(*answer);
  if (options.json) print_json(*answer);
  if (!ok) return fail(ok.error());
  if (!options.json) print(*answer);
  return judge ? judge(*answer) : Exit::kOk;
}

}  // namespace allot::ctl
