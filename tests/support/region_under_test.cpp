#include "tests/support/region_under_test.hpp"

#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <variant>

#include <allot/embedded.hpp>

#include "tests/support/control_client.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

namespace p = protocol;

namespace {

class EmbeddedUnderTest final : public RegionUnderTest {
 public:
  explicit EmbeddedUnderTest(const RegionLimits& limits)
      : region_(EmbeddedRegion::create({limits.size_bytes, limits.commit_limit_bytes}).value()) {}

  Expected<Session> try_connect(const DebugOptions& debug) override {
    return region_.connect(debug);
  }
  void end(Session& session) override {
    session.close();
    (void)region_.audit();  // recovers
  }
  RegionSums audit() override {
    const EmbeddedAudit found = region_.audit();
    return {found.violations, found.granted_bytes, found.live_bytes, found.live_blocks, ""};
  }

 private:
  EmbeddedRegion region_;
};

std::string config_of(const RegionLimits& limits) {
  std::ostringstream out;
  out << "[[region]]\nname = \"default\"\nsize_bytes = " << limits.size_bytes
      << "\ncommit_limit_bytes = " << limits.commit_limit_bytes << "\n";
  out << "session_quota_bytes = " << limits.session_quota_bytes.value_or(limits.commit_limit_bytes)
      << "\n"
      << "uid_quota_bytes = " << limits.uid_quota_bytes.value_or(limits.commit_limit_bytes) << "\n";
  if (limits.max_heaps) out << "max_heaps = " << *limits.max_heaps << "\n";
  return out.str();
}

class DaemonUnderTest final : public RegionUnderTest {
 public:
  DaemonUnderTest(const std::string& allotd, const RegionLimits& limits)
      : daemon_(allotd, options_of(limits)), observer_(daemon_.client_socket()) {}

  Expected<Session> try_connect(const DebugOptions& debug) override {
    int spelling = 0;
    while (open_.contains(spelling)) ++spelling;
    ConnectOptions options;
    options.socket_path = daemon_.runtime_dir();
    for (int i = 0; i < spelling; ++i) options.socket_path /= ".";
    options.socket_path /= "client.sock";
    options.deadline = kPatience;
    options.debug = debug;
    auto session = Session::connect(options);
    if (!session) return session;
    open_[spelling] = session->id().incarnation;
    watch(session->id());
    return session;
  }

  void end(Session& session) override {
    const SessionId id = session.id();
    session.close();
    while (!ended_.contains(id.incarnation)) next_message();
    std::erase_if(open_, [&](const auto& one) { return one.second == id.incarnation; });
  }

  // Until nothing moves: of what the sessions gave back without waiting, some may be on its way.
  RegionSums audit() override {
    const auto begun = std::chrono::steady_clock::now();
    RegionCheck found = check_region(daemon_.control_socket());
    while (!found.is_exact && std::chrono::steady_clock::now() - begun < kPatience) {
      found = check_region(daemon_.control_socket());
    }
    const bool exact = found.is_exact && found.block_difference == 0;
    return {found.violations + (exact ? 0 : 1), found.granted_bytes, found.live_bytes,
            found.live_blocks, found.text};
  }

 private:
  static DaemonProcess::Options options_of(const RegionLimits& limits) {
    DaemonProcess::Options options;
    options.config = config_of(limits);
    return options;
  }

  void watch(const SessionId& id) {
    p::Watch body;
    p::set_text(body.region, "default");
    body.session = id.session;
    body.incarnation = id.incarnation;
    const std::uint64_t request = ++requests_;
    if (!observer_.send({request, body})) throw std::runtime_error("allotd takes no Watch");
    while (answered_ != request) next_message();
  }

  void next_message() {
    const auto reply = observer_.receive();
    if (!reply) throw std::runtime_error("allotd closed the observer's connection");
    if (const auto* const gone = std::get_if<p::PeerGone>(&reply->message.body)) {
      ended_.insert(gone->incarnation);
    } else {
      (void)reply->as<p::Done>();
      answered_ = reply->message.request;
    }
  }

  DaemonProcess daemon_;
  RawClient observer_;
  std::map<int, std::uint64_t> open_;  // spelling -> incarnation
  std::uint64_t requests_ = 0;
  std::uint64_t answered_ = 0;
  std::set<std::uint64_t> ended_;  // incarnations
};

}  // namespace

std::ostream& operator<<(std::ostream& out, Backend backend) {
  return out << (backend == Backend::kEmbedded ? "embedded" : "daemon");
}

std::unique_ptr<RegionUnderTest> RegionUnderTest::make(Backend backend, const std::string& allotd,
                                                       const RegionLimits& limits) {
  if (backend == Backend::kEmbedded) return std::make_unique<EmbeddedUnderTest>(limits);
  return std::make_unique<DaemonUnderTest>(allotd, limits);
}

}  // namespace allot::test
