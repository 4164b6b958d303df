#include "shared/protocol/message.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"
#include "tests/unit/protocol/recorded_version_3.hpp"

namespace allot::protocol {
namespace {

constexpr std::size_t kHeaderBytes = 24;

// Where a text lies in a body, and which bytes of the body mean something.
struct Shape {
  const char* name = nullptr;
  std::size_t used_bytes = 0;
  std::vector<std::pair<std::size_t, std::size_t>> texts;  // offset, length
};

// From the tables in docs/protocol.md, not from the structs.
const std::map<std::uint16_t, Shape>& shapes() {
  static const std::map<std::uint16_t, Shape> kShapes = {
      {1, {"Hello", 56, {{8, 32}, {40, 16}}}},
      {2, {"ChallengeAnswer", 8, {}}},
      {3, {"GrantRequest", 24, {}}},
      {4, {"ReturnSpan", 16, {}}},
      {5, {"AttachHeap", 0, {}}},
      {6, {"Publish", 72, {{8, 64}}}},
      {7, {"Unpublish", 72, {{8, 64}}}},
      {8, {"Find", 64, {{0, 64}}}},
      {9, {"Unpin", 8, {}}},
      {10, {"Watch", 48, {{0, 32}}}},
      {11, {"FreedElsewhere", 8, {}}},
      {12, {"Bye", 0, {}}},
      {13, {"Reserve", 16, {}}},
      {14, {"Unreserve", 8, {}}},
      {15, {"ClearChunks", 8, {}}},
      {16, {"AdoptOrphan", 8, {}}},
      {17, {"Resume", 64, {{8, 32}}}},
      {18, {"NextReservation", 8, {}}},
      {19, {"NextPin", 8, {}}},
      {65, {"Welcome", 32, {}}},
      {66, {"Challenge", 8, {}}},
      {67, {"Granted", 40, {}}},
      {68, {"HeapAttached", 8, {}}},
      {69, {"Found", 16, {}}},
      {70, {"Done", 0, {}}},
      {71, {"PeerGone", 16, {}}},
      {72, {"Failure", 104, {{8, 96}}}},
      {73, {"Reserved", 16, {}}},
      {74, {"Adopted", 16, {}}},
      {75, {"Resumed", 8, {}}},
  };
  return kShapes;
}

Wire from_hex(std::string_view hex) {
  Wire wire{};
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    wire.at(i / 2) = static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return wire;
}

Wire header_of(std::uint16_t kind) {
  Wire wire = from_hex("414c544d03000000");
  wire[6] = static_cast<std::byte>(kind & 0xFF);
  wire[7] = static_cast<std::byte>(kind >> 8);
  return wire;
}

// A valid message of `kind` with random bytes wherever bytes may be random.
Wire random_message(std::uint16_t kind, test::Random& random) {
  Wire wire = header_of(kind);
  for (std::size_t i = 8; i < 16; ++i) wire.at(i) = static_cast<std::byte>(random.next());
  const Shape& shape = shapes().at(kind);
  for (std::size_t i = 0; i < shape.used_bytes; ++i) {
    wire.at(kHeaderBytes + i) = static_cast<std::byte>(random.next());
  }
  for (const auto& [offset, length] : shape.texts) {
    wire.at(kHeaderBytes + offset + random.below(length)) = std::byte{0};
  }
  return wire;
}

bool same(const Message& a, const Message& b) {
  return a.request == b.request && a.body.index() == b.body.index() &&
         std::visit(
             [&]<class T>(const T& body) {
               if constexpr (std::is_empty_v<T>) {
                 return true;
               } else {
                 return std::memcmp(&body, &std::get<T>(b.body), sizeof(T)) == 0;
               }
             },
             a.body);
}

testing::AssertionResult refused(const Wire& wire, Errc errc) {
  const auto message = decode(wire);
  if (message) return testing::AssertionFailure() << "was accepted";
  if (message.error() != errc) {
    return testing::AssertionFailure() << "refused as: " << message.error().message();
  }
  if (message.error().detail.empty()) return testing::AssertionFailure() << "no detail";
  return testing::AssertionSuccess();
}

TEST(Message, DecodesTheRecordedBytesOfVersion3) {
  for (const Recorded& recorded : recorded_version_3()) {
    const auto message = decode(from_hex(recorded.hex));
    ASSERT_TRUE(message) << recorded.hex << ' ' << message.error().message();
    EXPECT_TRUE(same(*message, recorded.message)) << recorded.hex;
  }
}

TEST(Message, EncodesTheRecordedBytesOfVersion3) {
  for (const Recorded& recorded : recorded_version_3()) {
    EXPECT_EQ(encode(recorded.message), from_hex(recorded.hex)) << recorded.hex;
  }
}

TEST(Message, EveryKindWasRecorded) {
  std::map<std::size_t, int> seen;
  for (const Recorded& recorded : recorded_version_3()) ++seen[recorded.message.body.index()];
  EXPECT_EQ(seen.size(), std::variant_size_v<Body>);
  EXPECT_EQ(shapes().size(), std::variant_size_v<Body>);
}

TEST(Message, EveryKindComesBackAsItWasSent) {
  const test::SeedRange range = test::seeds(200);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    for (const auto& [kind, shape] : shapes()) {
      const Wire wire = random_message(kind, random);
      const auto message = decode(wire);
      ASSERT_TRUE(message) << shape.name << ' ' << message.error().message();
      ASSERT_EQ(encode(*message), wire) << shape.name;
      const auto again = decode(encode(*message));
      ASSERT_TRUE(again && same(*again, *message)) << shape.name;
    }
  }
}

TEST(Message, RefusesEveryOtherLength) {
  for (const Recorded& recorded : recorded_version_3()) {
    const Wire wire = encode(recorded.message);
    std::array<std::byte, 2 * kMessageBytes> longer{};
    std::copy(wire.begin(), wire.end(), longer.begin());
    for (std::size_t length = 0; length <= longer.size(); ++length) {
      // A copy of exactly this length, so that a sanitizer sees a read behind it.
      const std::vector<std::byte> bytes(longer.begin(),
                                         longer.begin() + static_cast<std::ptrdiff_t>(length));
      const auto message = decode(bytes);
      ASSERT_EQ(message.has_value(), length == kMessageBytes) << length;
      if (!message) {
        ASSERT_EQ(message.error(), Errc::kBadMessage);
        ASSERT_NE(message.error().detail.find(std::to_string(length)), std::string::npos);
      }
    }
  }
}

TEST(Message, RefusesEachSetBitWhereNoneMayBe) {
  for (const auto& [kind, shape] : shapes()) {
    for (std::size_t byte = 0; byte < kMessageBytes; ++byte) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        Wire wire = header_of(kind);
        wire.at(byte) ^= std::byte{1} << bit;
        const bool magic = byte < 4;
        const bool version = byte == 4 || byte == 5;
        const bool reserved = byte >= 16 && byte < kHeaderBytes;
        const bool unused = byte >= kHeaderBytes + shape.used_bytes;
        if (magic || reserved || unused) {
          ASSERT_TRUE(refused(wire, Errc::kBadMessage)) << shape.name << ' ' << byte << '.' << bit;
        } else if (version) {
          ASSERT_TRUE(refused(wire, Errc::kProtocolVersion)) << shape.name << ' ' << byte;
        } else if (byte != 6 && byte != 7) {
          ASSERT_TRUE(decode(wire)) << shape.name << ' ' << byte << '.' << bit;
        }
      }
    }
  }
}

TEST(Message, RefusesTextsWithoutAnEnd) {
  std::size_t texts = 0;
  for (const auto& [kind, shape] : shapes()) {
    for (const auto& [offset, length] : shape.texts) {
      ++texts;
      Wire wire = header_of(kind);
      for (std::size_t i = 0; i < length; ++i) {
        wire.at(kHeaderBytes + offset + i) = std::byte{'x'};
      }
      EXPECT_TRUE(refused(wire, Errc::kBadMessage)) << shape.name << '+' << offset;
      wire.at(kHeaderBytes + offset + length - 1) = std::byte{0};
      EXPECT_TRUE(decode(wire)) << shape.name << '+' << offset;
    }
  }
  EXPECT_EQ(texts, 8U);
}

TEST(Message, KnowsItsKindsAndNoOtherOfAll65536) {
  for (std::uint32_t kind = 0; kind <= 0xFFFF; ++kind) {
    const Wire wire = header_of(static_cast<std::uint16_t>(kind));
    if (shapes().contains(static_cast<std::uint16_t>(kind))) {
      ASSERT_TRUE(decode(wire)) << kind;
    } else {
      ASSERT_TRUE(refused(wire, Errc::kBadMessage)) << kind;
      ASSERT_NE(decode(wire).error().detail.find(std::to_string(kind)), std::string::npos);
    }
  }
}

TEST(Message, NamesBothVersionsIfTheyDiffer) {
  Wire wire = header_of(12);
  wire[4] = std::byte{9};
  const auto message = decode(wire);
  ASSERT_FALSE(message);
  EXPECT_EQ(message.error(), Errc::kProtocolVersion);
  EXPECT_EQ(message.error().detail, "peer speaks version 9, this side 3");
}

// Anything may arrive. What is accepted says the same after another round trip.
TEST(Message, SurvivesRandomBytes) {
  std::uint64_t accepted = 0;
  const test::SeedRange range = test::seeds(100'000);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    auto kind = shapes().begin();
    std::advance(kind, random.below(shapes().size()));
    Wire wire = random_message(kind->first, random);
    if (random.percent(10)) {
      for (std::byte& byte : wire) byte = static_cast<std::byte>(random.next());
    } else {
      for (std::uint32_t flips = random.below(4U); flips > 0; --flips) {
        wire.at(random.below(kMessageBytes)) ^= static_cast<std::byte>(1U << random.below(8U));
      }
    }
    const auto message = decode(wire);
    if (!message) {
      ASSERT_TRUE(message.error() == Errc::kBadMessage ||
                  message.error() == Errc::kProtocolVersion);
      continue;
    }
    ++accepted;
    ASSERT_EQ(encode(*message), wire);
  }
  if (range.count > 1) {  // not for one seed that is replayed
    EXPECT_GT(accepted, range.count / 10) << "too few were valid";
  }
}

TEST(Text, IsCutToItsFieldWithARoomForTheEnd) {
  Label label;
  label.fill('!');
  set_text(label, "0123456789abcdefgh");
  EXPECT_EQ(text(label), "0123456789abcde");
  set_text(label, "x");
  EXPECT_EQ(text(label), "x");
  EXPECT_EQ(label.back(), '\0') << "what was there before must not be sent";
  set_text(label, "");
  EXPECT_EQ(text(label), "");
}

TEST(ValidName, IsPrintableAsciiWithoutSpacesBelowTheLimit) {
  EXPECT_TRUE(is_valid_name("a", 2));
  EXPECT_TRUE(is_valid_name("camera/left~!", 64));
  EXPECT_FALSE(is_valid_name("", 64));
  EXPECT_FALSE(is_valid_name("ab", 2)) << "no room for the NUL";
  EXPECT_TRUE(is_valid_name(std::string(63, 'x'), 64));
  EXPECT_FALSE(is_valid_name(std::string(64, 'x'), 64));
  for (int c = 0; c < 256; ++c) {
    const std::string name(1, static_cast<char>(c));
    EXPECT_EQ(is_valid_name(name, 64), c > 0x20 && c < 0x7F) << c;
  }
}

TEST(ProtocolPage, HasARowForEveryKind) {
  std::ifstream file(ALLOT_SOURCE_DIR "/docs/protocol.md");
  const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  for (const auto& [kind, shape] : shapes()) {
    const std::string row = "\n| " + std::to_string(kind) + " | `" + shape.name + "` | ";
    EXPECT_NE(page.find(row), std::string::npos) << row;
  }
  EXPECT_NE(page.find("version " + std::to_string(kProtocolVersion)), std::string::npos);
}

}  // namespace
}  // namespace allot::protocol
