// An administrator's `unpublish` gives memory back though no client says anything.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/control_client.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr const char* kConfig =
    "[[region]]\n"
    "name = \"default\"\n"
    "large_reclaim_delay_ms = 1\n"
    "punch_delay_ms = 1\n";

std::string hex(Handle handle) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%lx", handle.bits());
  return text.data();
}

TEST(Unpublish, OfAnIdleRegionGivesTheBlockBack) {
  const test::DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  Session session = Session::connect(test::options_for(daemon.client_socket())).value();
  // Large: it is the daemon, and not the session, that must give it back.
  const Handle handle = session.publish("frame", session.allocate(4 * kMiB)).value();
  const auto committed = [&] { return test::stats_of_region(daemon.control_socket()).data_bytes; };
  const std::uint64_t before = committed();
  ASSERT_GE(before, 4 * kMiB);

  const std::string answer = test::ask_control_socket(
      daemon.control_socket(),
      R"({"request":"unpublish","region":"default","name":"frame","handle":")" + hex(handle) +
          "\"}");
  ASSERT_NE(answer.find("\"ok\":true"), std::string::npos) << answer;
  // Questions on the control socket start no work of the daemon's.
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (committed() > before - 4 * kMiB && std::chrono::steady_clock::now() < deadline) {
  }
  EXPECT_LE(committed(), before - 4 * kMiB);
}

}  // namespace
}  // namespace allot
