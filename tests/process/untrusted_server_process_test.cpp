// A server that hands over files which are no sealed region is refused, before anything in them is
// believed: whoever keeps a way to shrink a file could end its users by SIGBUS.

#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/platform/memfd.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/region_files.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

constexpr std::uint64_t kGranules = 64;

struct HandedOver {
  region::RegionFiles files = region::RegionFiles::create("fake", kGranules).value();
  protocol::Welcome welcome{.session = region::kFirstSession,
                            .region_tag = 1,
                            .incarnation = 1,
                            .granules = kGranules,
                            .session_quota_bytes = 1 << 20};
};

// Takes one connection and one message, and answers with what the test made.
void serve_once(const platform::Descriptor& listening, const HandedOver& handed) {
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  if (!platform::wait_readable(listening, deadline)) return;
  const platform::Descriptor socket(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!platform::wait_readable(socket, deadline)) return;
  protocol::Wire wire{};
  (void)platform::receive_message(socket, wire, platform::Descriptors::kRefuse);
  const auto hello = protocol::decode(wire);
  if (!hello) return;
  const auto presence = platform::make_presence_file("fake:presence").value();
  const std::array<int, 4> descriptors = {handed.files.directory.get(), handed.files.ledger.get(),
                                          handed.files.data.get(), presence.get()};
  (void)platform::send_message(socket, protocol::encode({hello->request, handed.welcome}),
                               descriptors);
  (void)platform::wait_readable(socket, deadline);  // until the client has left
}

platform::Descriptor file_of(std::uint64_t size_bytes) {
  platform::Descriptor file(::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size_bytes)), 0);
  return file;
}

// What a directory begins with, so that the rest of it is what is looked at.
void write_header(const platform::Descriptor& directory, std::uint64_t granules = kGranules) {
  region::DirectoryHeader header{};
  header.magic = region::kMagic;
  header.fingerprint = region::fingerprint();
  header.granules = granules;
  ASSERT_EQ(::pwrite(directory.get(), &header, sizeof(header), 0),
            static_cast<ssize_t>(sizeof(header)));
}

struct Fake {
  const char* name;
  std::function<void(HandedOver&)> make;
  // NOLINTNEXTLINE(readability-identifier-naming): GoogleTest's name
  friend void PrintTo(const Fake& fake, std::ostream* out) { *out << fake.name; }
};

class UntrustedServer : public testing::TestWithParam<Fake> {};
INSTANTIATE_TEST_SUITE_P(
    Process, UntrustedServer,
    testing::Values(Fake{"UnsealedData",
                         [](HandedOver& handed) {
                           handed.files.data = file_of(region::FileLayout{kGranules}.data_bytes());
                         }},
                    Fake{"UnsealedLedger",
                         [](HandedOver& handed) {
                           handed.files.ledger =
                               file_of(region::FileLayout{kGranules}.ledger_bytes());
                         }},
                    Fake{"UnsealedDirectory",
                         [](HandedOver& handed) {
                           handed.files.directory =
                               file_of(region::FileLayout{kGranules}.directory_bytes());
                           write_header(handed.files.directory);
                         }},
                    Fake{"LessDataThanItSays",
                         [](HandedOver& handed) {
                           const auto bytes = region::FileLayout{kGranules}.data_bytes();
                           handed.files.data =
                               platform::make_sealed_memfd("short", bytes / 2).value();
                         }},
                    Fake{"MoreGranulesThanItsFilesHave",
                         [](HandedOver& handed) {
                           handed.welcome.granules = 2 * kGranules;
                           write_header(handed.files.directory, 2 * kGranules);
                         }},
                    Fake{"NoGranules", [](HandedOver& handed) { handed.welcome.granules = 0; }},
                    Fake{"ANumberBeyondAnyRegion",
                         [](HandedOver& handed) { handed.welcome.granules = ~std::uint64_t{0}; }},
                    Fake{"AHeaderOfNoLayout",
                         [](HandedOver& handed) {
                           handed.files = region::RegionFiles::create("blank", kGranules).value();
                         }}),
    [](const auto& one) { return one.param.name; });

TEST_P(UntrustedServer, IsRefused) {
  const test::TemporaryDir directory;
  const auto path = directory.path() / "client.sock";
  const auto listening = platform::listen_seqpacket(path, 0600, 1).value();
  HandedOver handed;
  write_header(handed.files.directory);
  GetParam().make(handed);
  std::thread server([&] { serve_once(listening, handed); });
  const auto session = Session::connect(test::options_for(path));
  server.join();
  EXPECT_TRUE(test::refused(session, Errc::kUntrustedRegion));
}

}  // namespace
}  // namespace allot
