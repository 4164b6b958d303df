#include "tests/support/raw_session.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "shared/platform/page_size.hpp"

namespace allot::test {

PresenceMapping::PresenceMapping(const platform::Descriptor& presence)
    : address_(::mmap(nullptr, platform::page_size_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
                      presence.get(), 0)) {
  if (address_ == MAP_FAILED) throw std::runtime_error("the presence file cannot be mapped");
  ::madvise(address_, platform::page_size_bytes(), MADV_DONTFORK);
}

PresenceMapping::PresenceMapping(PresenceMapping&& other) noexcept
    : address_(std::exchange(other.address_, nullptr)) {}

PresenceMapping& PresenceMapping::operator=(PresenceMapping&& other) noexcept {
  std::swap(address_, other.address_);
  return *this;
}

PresenceMapping::~PresenceMapping() {
  if (address_ != nullptr) ::munmap(address_, platform::page_size_bytes());
}

RawSession::RawSession(const std::filesystem::path& socket, std::string_view region)
    : client(socket) {
  RawClient::Reply reply = client.hello(region);
  welcome = reply.as<protocol::Welcome>();
  if (reply.descriptors.size() != 4) throw std::runtime_error("not four descriptors");
  directory = std::move(reply.descriptors[0]);
  ledger = std::move(reply.descriptors[1]);
  data = std::move(reply.descriptors[2]);
  presence = std::move(reply.descriptors[3]);
}

RawClient::Reply RawSession::grant(std::uint32_t granules, std::uint32_t count,
                                   std::uint32_t words) {
  return client.request(protocol::GrantRequest{granules, count, words, 1});
}

protocol::Watch RawSession::watch_request(std::string_view region) const {
  protocol::Watch watch;
  protocol::set_text(watch.region, region);
  watch.session = welcome.session;
  watch.incarnation = welcome.incarnation;
  return watch;
}

region::SessionEntry read_session(const platform::Descriptor& directory, std::uint32_t id) {
  region::SessionEntry entry{};
  const auto offset = region::FileLayout::kSessionsOffset + id * sizeof(entry);
  if (::pread(directory.get(), &entry, sizeof(entry), static_cast<off_t>(offset)) !=
      sizeof(entry)) {
    throw std::runtime_error("the session table cannot be read");
  }
  return entry;
}

void ask_until(RawClient& client, const std::string& what, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("never: " + what);
    (void)client.request(protocol::Unpin{0});  // answered whatever the session's state
  }
}

}  // namespace allot::test
