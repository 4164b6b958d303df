#include "tests/support/control_client.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

namespace json = boost::json;

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

json::object ask_for_region(const std::filesystem::path& socket, const char* request,
                            std::string_view region, std::string& text) {
  text = ask_control_socket(socket, R"({"request":")" + std::string(request) + R"(","region":")" +
                                        std::string(region) + "\"}");
  const json::value answer = json::parse(text);
  if (!answer.at("ok").as_bool()) fail("the control socket answers " + text);
  return answer.at("regions").as_array().at(0).as_object();
}

std::uint64_t number(const json::object& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

}  // namespace

platform::Descriptor connect_stream(const std::filesystem::path& path) {
  platform::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fail("connect " + path.native() + ": " + std::strerror(errno));
  }
  return socket;
}

void await_sessions(const std::filesystem::path& control_socket, std::uint64_t wanted) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const std::uint64_t there = stats_of_region(control_socket).sessions;
    if (there == wanted) return;
    if (std::chrono::steady_clock::now() > deadline) {
      fail(std::to_string(there) + " sessions, and not " + std::to_string(wanted));
    }
  }
}

std::uint64_t connection_count(const std::filesystem::path& control_socket) {
  const json::value answer =
      json::parse(ask_control_socket(control_socket, R"({"request":"version"})"));
  return answer.at("connections").to_number<std::uint64_t>();
}

std::string ask_control_socket(const std::filesystem::path& control_socket, std::string_view line) {
  const auto socket = connect_stream(control_socket);
  const std::string request = std::string(line) + "\n";
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    fail("the control socket does not take a request");
  }
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  std::string answer;
  while (!answer.ends_with('\n')) {
    if (!platform::wait_readable(socket, deadline)) fail("no answer from the control socket");
    std::array<char, 16384> part{};
    const ssize_t got = ::recv(socket.get(), part.data(), part.size(), MSG_DONTWAIT);
    if (got <= 0) fail("the control socket closed the connection after: " + answer);
    answer.append(part.data(), static_cast<std::size_t>(got));
  }
  return answer;
}

RegionCheck check_region(const std::filesystem::path& control_socket, std::string_view region) {
  RegionCheck out;
  const json::object found = ask_for_region(control_socket, "check", region, out.text);
  out.is_clean = found.at("clean").as_bool();
  out.is_exact = found.at("exact").as_bool();
  out.violations = number(found, "violation_count");
  out.granted_bytes = number(found, "granted_bytes");
  out.live_bytes = number(found, "live_bytes");
  out.live_blocks = number(found, "live_blocks");
  out.cached_bytes = number(found, "cached_bytes");
  out.free_bytes = number(found, "free_bytes");
  out.tail_bytes = number(found, "tail_bytes");
  out.orphans = number(found, "orphans");
  out.kept_blocks = number(found, "kept_blocks");
  out.block_difference = found.at("block_difference").to_number<std::int64_t>();
  return out;
}

RegionStats stats_of_region(const std::filesystem::path& control_socket, std::string_view region) {
  std::string text;
  const json::object found = ask_for_region(control_socket, "stats", region, text);
  RegionStats out;
  out.sessions = number(found, "sessions");
  out.heaps = number(found, "heaps");
  out.orphans = number(found, "orphans");
  out.names = number(found, "names");
  out.hidden_names = number(found, "hidden_names");
  out.granted_bytes = number(found, "granted_bytes");
  out.data_bytes = number(found.at("committed").as_object(), "data_bytes");
  out.recoveries = number(found, "recoveries");
  out.grants = number(found, "grants");
  out.reservation_bytes = number(found, "reservation_bytes");
  return out;
}

}  // namespace allot::test
