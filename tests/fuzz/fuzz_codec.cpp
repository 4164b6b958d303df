// Whatever bytes a peer sends, decode() gives a message or an error. What it takes has texts with an
// end, and is the encoding of what it says: nothing is dropped, nothing is read twice as two things.

#include <algorithm>
#include <string>
#include <variant>

#include <gtest/gtest.h>

#include "shared/protocol/message.hpp"
#include "tests/fuzz/fuzz_input.hpp"

namespace allot {
namespace {

namespace p = protocol;

template <std::size_t N>
void expect_end(const std::array<char, N>& field) {
  EXPECT_LT(p::text(field).size(), N);
}

void check(std::span<const std::byte> bytes) {
  const auto message = p::decode(bytes);
  if (!message) {
    EXPECT_FALSE(message.error().message().empty());
    const p::Failure failure = p::make_failure(message.error());
    EXPECT_EQ(p::to_error(failure).errc(), message.error().errc());
    return;
  }
  std::visit(
      [](const auto& body) {
        if constexpr (requires { body.region; }) expect_end(body.region);
        if constexpr (requires { body.label; }) expect_end(body.label);
        if constexpr (requires { body.name; }) expect_end(body.name);
        if constexpr (requires { body.detail; }) expect_end(body.detail);
        if constexpr (requires { body.errc; }) {
          EXPECT_FALSE(p::to_error(body).message().empty());
        }
      },
      message->body);
  const p::Wire wire = p::encode(*message);
  EXPECT_TRUE(std::ranges::equal(wire, bytes));
  const auto again = p::decode(wire);
  EXPECT_TRUE(again && again->request == message->request &&
              again->body.index() == message->body.index());
}

}  // namespace
}  // namespace allot

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allot::test::FuzzInput input(data, size);
  const auto bytes = input.take(size);
  allot::check(bytes);
  // Filled up to a message's length: a fuzzer finds that length rarely.
  allot::protocol::Wire wire{};
  std::ranges::copy(bytes.first(std::min(size, wire.size())), wire.begin());
  allot::check(wire);
  return 0;
}
