// What allotd answers to good and bad messages on the client socket.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "shared/platform/memfd.hpp"
#include "shared/region/region_files.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

TEST(ClientMessages, HelloIsAnsweredWithTheFourFilesOfARegion) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession session(daemon.client_socket());
  EXPECT_GE(session.welcome.session, region::kFirstSession);
  EXPECT_GE(session.welcome.region_tag, 1U);
  EXPECT_LE(session.welcome.region_tag, 1023U);
  EXPECT_EQ(session.welcome.granules, (std::uint64_t{64} << 30) / region::kGranuleBytes);

  region::RegionFiles files{std::move(session.directory), std::move(session.ledger),
                            std::move(session.data)};
  EXPECT_TRUE(files.check(session.welcome.granules));  // sizes and seals
  for (const auto* const file : {&files.directory, &files.ledger, &files.data}) {
    struct stat status {};
    ASSERT_EQ(::fstat(file->get(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
  }
  // The directory is read-only through what we got; ledger and data are not.
  EXPECT_EQ(::fcntl(files.directory.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_EQ(::fcntl(files.ledger.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  EXPECT_EQ(::fcntl(files.data.get(), F_GETFL) & O_ACCMODE, O_RDWR);
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, files.directory.get(), 0),
            MAP_FAILED);
  EXPECT_EQ(::pwrite(files.directory.get(), "x", 1, 0), -1);

  // The presence file has no byte and keeps the seal that tells of death open.
  struct stat presence {};
  ASSERT_EQ(::fstat(session.presence.get(), &presence), 0);
  EXPECT_EQ(presence.st_size, 0);
  EXPECT_EQ(::fcntl(session.presence.get(), F_GET_SEALS) & ~0x20 /* F_SEAL_EXEC */,
            F_SEAL_SHRINK | F_SEAL_GROW);
  EXPECT_EQ(::ftruncate(session.presence.get(), 1), -1);
}

TEST(ClientMessages, WelcomeMatchesTheDirectory) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession session(daemon.client_socket());
  const auto entry = read_session(session.directory, session.welcome.session);
  EXPECT_EQ(entry.state.load_acquire(), static_cast<std::uint32_t>(region::SessionState::kLive));
  EXPECT_EQ(entry.pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(entry.uid, ::getuid());
  EXPECT_EQ(entry.incarnation, session.welcome.incarnation);
  EXPECT_STREQ(entry.label.data(), "raw");
}

TEST(ClientMessages, GrantIsCommittedAndInTheDirectoryBeforeItsAnswer) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession session(daemon.client_socket());
  const std::uint64_t before = committed_bytes(session.data);
  const auto granted = session.grant(2, 3).as<protocol::Granted>();
  EXPECT_EQ(granted.granules, 2U);
  EXPECT_EQ(granted.count, 3U);
  EXPECT_EQ(committed_bytes(session.data) - before, 6 * region::kGranuleBytes);
  for (std::uint64_t i = 0; i < 3; ++i) {
    std::uint64_t word = 0;
    const auto offset = region::FileLayout::kDescriptorsOffset + (granted.first + 2 * i) * 8;
    ASSERT_EQ(::pread(session.directory.get(), &word, sizeof(word), static_cast<off_t>(offset)), 8);
    const auto head = region::SpanDescriptor::decode(word);
    EXPECT_EQ(head.state, region::SpanState::kGranted);
    EXPECT_EQ(head.session, session.welcome.session);
    EXPECT_EQ(head.granules, 2U);
  }
  EXPECT_EQ(read_session(session.directory, session.welcome.session).granted_spans.load_relaxed(),
            3U);
}

TEST(ClientMessages, ReturnedMemoryGoesBackToTheMachine) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "[[region]]\n"
                                                           "name = \"default\"\n"
                                                           "punch_delay_ms = 1\n"});
  RawSession session(daemon.client_socket());
  const auto granted = session.grant(48).as<protocol::Granted>();  // 3 MiB: three slices
  ASSERT_EQ(committed_bytes(session.data), 48 * region::kGranuleBytes);
  session.client.request(protocol::ReturnSpan{granted.first}).as<protocol::Done>();
  ask_until(session.client, "the data file is empty",
            [&] { return committed_bytes(session.data) == 0; });
}

TEST(ClientMessages, LargeGrantsTakeManySlicesAndAllArrive) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession a(daemon.client_socket());
  RawSession b(daemon.client_socket());
  // Requests go out together; the answers come in any order, each with its number.
  ASSERT_TRUE(a.client.send({101, protocol::GrantRequest{1024, 1, 1024, 1}}));
  ASSERT_TRUE(a.client.send({102, protocol::GrantRequest{1, 1, 1024, 1}}));
  ASSERT_TRUE(b.client.send({201, protocol::GrantRequest{1024, 1, 1024, 1}}));
  std::vector<std::uint64_t> firsts;
  for (RawSession* const session : {&a, &a, &b}) {
    const auto reply = session->client.receive();
    ASSERT_TRUE(reply);
    firsts.push_back(reply->as<protocol::Granted>().first);
  }
  EXPECT_EQ(committed_bytes(a.data), 2049 * region::kGranuleBytes);
}

TEST(ClientMessages, LargeGrantOfAClosedConnectionIsGivenUp) {
  constexpr std::uint32_t kGranules = 8192;  // 512 MiB
  // So that nothing is read from the connection while the grant waits.
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "max_pending_bytes = 0\n"});
  RawSession bystander(daemon.client_socket());
  RawSession session(daemon.client_socket());
  const PresenceMapping presence = session.map_presence();  // the image lives on
  // The daemon sees the request and the end at once.
  daemon.signal(SIGSTOP);
  ASSERT_TRUE(
      session.client.send({1, protocol::GrantRequest{kGranules, 1, region::kDefaultWords, 1}}));
  session.client.close();
  daemon.signal(SIGCONT);
  ask_until(bystander.client, "the session is detached", [&] {
    return read_session(session.directory, session.welcome.session).state.load_acquire() ==
           static_cast<std::uint32_t>(region::SessionState::kDetached);
  });
  EXPECT_LT(committed_bytes(session.data), kGranules / 2 * region::kGranuleBytes);
}

TEST(ClientMessages, BadRequestsForReservationsCostNobodyAnything) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession owner(daemon.client_socket());
  RawSession stranger(daemon.client_socket());
  const auto reserved = owner.client.request(protocol::Reserve{64, 64}).as<protocol::Reserved>();
  const auto refusal = [](RawSession& session, const protocol::Body& body) {
    return session.client.request(body).errc();
  };
  const auto grow = [](std::uint64_t at, std::uint32_t granules) {
    return protocol::GrantRequest{granules, 1, 256, 1, at};
  };
  constexpr std::uint64_t kMany = ~std::uint64_t{0} - 1;
  EXPECT_EQ(refusal(stranger, grow(reserved.first, 1)), Errc::kNotOwner);
  EXPECT_EQ(refusal(stranger, protocol::Unreserve{reserved.first}), Errc::kNotOwner);
  EXPECT_EQ(refusal(owner, grow(reserved.first + 1, 1)), Errc::kNotOwner);
  EXPECT_EQ(refusal(owner, grow(kMany, 1)), Errc::kNotOwner);
  EXPECT_EQ(refusal(owner, grow(reserved.first, 65)), Errc::kSizeTooLarge);
  EXPECT_EQ(refusal(owner, grow(reserved.first, 0)), Errc::kSizeZero);
  EXPECT_EQ(refusal(owner, protocol::Reserve{0, 0}), Errc::kSizeZero);
  EXPECT_EQ(refusal(owner, protocol::Reserve{1, 2}), Errc::kBadArgument);
  EXPECT_EQ(refusal(owner, protocol::Reserve{kMany, kMany}), Errc::kSizeTooLarge);
  EXPECT_EQ(refusal(owner, protocol::Reserve{1 << 20, 1 << 20}), Errc::kReserveLimit);
  EXPECT_EQ(refusal(owner, protocol::Unreserve{reserved.first + 1}), Errc::kNotOwner);
  EXPECT_EQ(refusal(owner, protocol::Unreserve{kMany}), Errc::kNotOwner);
  // Both go on.
  EXPECT_EQ(owner.client.request(grow(reserved.first, 64)).as<protocol::Granted>().first,
            reserved.first);
  EXPECT_NE(stranger.grant(1).as<protocol::Granted>().first, reserved.first);
  owner.client.request(protocol::Unreserve{reserved.first}).as<protocol::Done>();
  EXPECT_EQ(refusal(owner, protocol::Unreserve{reserved.first}), Errc::kNotOwner) << "stale";
}

// A message that decode() refuses, each for its own reason.
struct BadBytes {
  const char* name;
  Errc errc;
  std::function<std::vector<std::byte>()> make;
};

// NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's name
void PrintTo(const BadBytes& one, std::ostream* out) { *out << one.name; }

std::vector<std::byte> hello_with(std::size_t at, std::uint8_t value) {
  const auto wire = protocol::encode({1, make_hello()});
  std::vector<std::byte> bytes(wire.begin(), wire.end());
  bytes.at(at) = std::byte{value};
  return bytes;
}

std::vector<std::byte> resized(std::size_t size) {
  auto bytes = hello_with(0, 0x41);
  bytes.resize(size);
  return bytes;
}

const std::vector<BadBytes>& bad_bytes() {
  static const std::vector<BadBytes> kAll = {
      {"Short", Errc::kBadMessage, [] { return resized(127); }},
      {"OneByte", Errc::kBadMessage, [] { return resized(1); }},
      {"OneTooLong", Errc::kBadMessage, [] { return resized(129); }},
      {"VeryLong", Errc::kBadMessage, [] { return resized(100'000); }},
      {"Magic", Errc::kBadMessage, [] { return hello_with(0, 0xFF); }},
      {"Version", Errc::kProtocolVersion, [] { return hello_with(4, 99); }},
      {"UnknownKind", Errc::kBadMessage, [] { return hello_with(7, 0x7F); }},
      {"ReservedHeader", Errc::kBadMessage, [] { return hello_with(20, 1); }},
      {"UnusedBytes", Errc::kBadMessage, [] { return hello_with(127, 1); }},
      {"KindOfTheDaemon", Errc::kUnknownSession,
       [] {
         const auto wire = protocol::encode({1, protocol::Granted{}});
         return std::vector<std::byte>(wire.begin(), wire.end());
       }},
      {"TextWithoutEnd", Errc::kBadMessage,
       [] {
         auto hello = make_hello();
         hello.region.fill('a');
         const auto wire = protocol::encode({1, hello});
         return std::vector<std::byte>(wire.begin(), wire.end());
       }},
  };
  return kAll;
}

class BadMessage : public testing::TestWithParam<BadBytes> {};
INSTANTIATE_TEST_SUITE_P(ClientMessages, BadMessage, testing::ValuesIn(bad_bytes()),
                         [](const auto& one) { return one.param.name; });

TEST_P(BadMessage, CostsTheSenderItsConnectionAndNobodyElseAnything) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession bystander(daemon.client_socket());
  RawClient bad(daemon.client_socket());
  ASSERT_TRUE(bad.send(GetParam().make()));
  const auto answer = bad.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->errc(), GetParam().errc) << answer->describe();
  if (GetParam().errc != Errc::kUnknownSession) {
    EXPECT_FALSE(bad.receive().has_value());
    EXPECT_THAT(daemon.log(), HasSubstr("dropped pid " + std::to_string(::getpid())));
  }
  EXPECT_NO_THROW(bystander.grant(1).as<protocol::Granted>());
}

TEST(ClientMessages, BadMessageEndsASession) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession watcher(daemon.client_socket());
  RawSession bad(daemon.client_socket());
  watcher.client.request(bad.watch_request()).as<protocol::Done>();
  // What it sent before still counts, what follows does not.
  ASSERT_TRUE(bad.client.send({7, protocol::GrantRequest{1, 1, 1024, 1}}));
  ASSERT_TRUE(bad.client.send(hello_with(0, 0)));
  ASSERT_TRUE(bad.client.send({8, protocol::GrantRequest{1, 1, 1024, 1}}));
  EXPECT_EQ(bad.client.receive()->message.request, 7U);
  EXPECT_EQ(bad.client.receive()->errc(), Errc::kBadMessage);
  EXPECT_FALSE(bad.client.receive().has_value());
  EXPECT_EQ(watcher.client.receive()->as<protocol::PeerGone>().session, bad.welcome.session);
}

TEST(ClientMessages, FloodOfBadPeersIsCountedAndHardlyLogged) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  for (int i = 0; i < 200; ++i) {
    RawClient bad(daemon.client_socket());
    ASSERT_TRUE(bad.send(hello_with(0, 0)));
    EXPECT_EQ(bad.receive()->errc(), Errc::kBadMessage);
  }
  const std::string log = daemon.log();
  std::size_t lines = 0;
  for (std::size_t at = log.find("dropped"); at != std::string::npos;
       at = log.find("dropped", at + 1)) {
    ++lines;
  }
  EXPECT_GE(lines, 1U);
  EXPECT_LE(lines, 5U);
}

TEST(ClientMessages, RefusalsHaveNames) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH,
                             {.config = "[[region]]\nname = \"default\"\n"
                                        "[[region]]\nname = \"private\"\nallow_uids = [12345]\n"
                                        "[[region]]\nname = \"ours\"\nallow_uids = [" +
                                        std::to_string(::getuid()) + "]\n"});
  RawClient client(daemon.client_socket());
  EXPECT_EQ(client.request(protocol::GrantRequest{1, 1, 1024, 1}).errc(), Errc::kUnknownSession);
  EXPECT_EQ(client.request(protocol::Bye{}).errc(), Errc::kUnknownSession);
  auto other_layout = make_hello();
  ++other_layout.fingerprint;
  EXPECT_EQ(client.request(other_layout).errc(), Errc::kLayoutMismatch);
  EXPECT_EQ(client.hello("nowhere").errc(), Errc::kUnknownRegion);
  const auto refused = client.hello("private");
  EXPECT_EQ(refused.errc(), Errc::kNotAllowed);
  EXPECT_TRUE(refused.descriptors.empty());
  EXPECT_THAT(refused.describe(), HasSubstr("uid " + std::to_string(::getuid())));
  // The same connection may still be welcomed, once.
  EXPECT_NO_THROW(client.hello("ours").as<protocol::Welcome>());
  EXPECT_EQ(client.hello("default").errc(), Errc::kSecondHello);
  EXPECT_NO_THROW(client.request(protocol::GrantRequest{1, 1, 1024, 1}).as<protocol::Granted>());
}

TEST(ClientMessages, WatchOfNobodyIsRefused) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession session(daemon.client_socket());
  auto watch = session.watch_request();
  ++watch.incarnation;
  EXPECT_EQ(session.client.request(watch).errc(), Errc::kUnknownSession);
}

}  // namespace
}  // namespace allot::test
