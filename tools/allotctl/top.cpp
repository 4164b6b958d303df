// allotctl top: the ladder of each region and its busiest sessions, again and again.

#include <cstdint>
#include <iostream>
#include <optional>
#include <utility>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/control_client.hpp"
#include "tools/allotctl/drawing/plain_text.hpp"
#include "tools/allotctl/drawing/top_text.hpp"
#include "tools/allotctl/table.hpp"
#include "tools/allotctl/top_screen.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

TopSession session_of(const json::object& one) {
  TopSession out;
  out.session = static_cast<std::uint32_t>(number_of(one, "session"));
  out.incarnation = number_of(one, "incarnation");
  out.label = plain_text(text_of(one, "label"));
  out.pid = number_of(one, "pid");
  out.uid = number_of(one, "uid");
  out.connected_unix_ns = number_of(one, "connected_unix_ns");
  out.granted_bytes = number_of(one, "granted_bytes");
  out.live_bytes = number_of(one, "live_bytes");
  out.live_blocks = number_of(one, "live_blocks");
  out.grants = number_of(one, "grants");
  out.allocations = number_of(one, "allocations");
  out.frees = number_of(one, "frees");
  return out;
}

TopRegion region_of(const json::object& one) {
  TopRegion out;
  out.name = plain_text(text_of(one, "region"));
  out.created_unix_ns = number_of(one, "created_unix_ns");
  out.now_unix_ns = number_of(one, "now_unix_ns");
  out.now_monotonic_ns = number_of(one, "now_monotonic_ns");
  out.reserved_bytes = number_of(one, "reserved_bytes");
  out.committed_bytes = number_of(object_of(one, "committed"), "total_bytes");
  out.granted_bytes = number_of(one, "granted_bytes");
  out.live_bytes = number_of(one, "live_bytes");
  out.cached_bytes = number_of(one, "cached_bytes");
  out.free_bytes = number_of(one, "free_bytes");
  out.tail_bytes = number_of(one, "tail_bytes");
  out.exact = flag_of(one, "exact");
  out.grants = number_of(one, "grants");
  out.commit_limit_bytes = number_of(one, "commit_limit_bytes");
  out.most_granted_bytes = number_of(one, "most_granted_bytes");
  out.least_room_bytes = number_of(one, "least_room_bytes");
  if (one.contains("least_available_bytes")) {
    out.least_available_bytes = number_of(one, "least_available_bytes");
  }
  out.high_water_bytes = number_of(one, "high_water_bytes");
  for (const json::object* const session : list_of(one, "sessions")) {
    out.sessions.push_back(session_of(*session));
  }
  return out;
}

Expected<json::object> ask_once(const Options& options) {
  auto client = ControlClient::connect(options);
  if (!client) return client.error();
  auto answer = client->ask(request_of("top", options));
  if (!answer) return answer.error();
  if (auto ok = check_ok(*answer); !ok) return ok.error();
  return answer;
}

// The daemon may come back; an answer that it gave will be the same next time.
bool may_pass(const Error& error) {
  const Errc errc = error.errc();
  return errc == Errc::kNoDaemon || errc == Errc::kDeadline || errc == Errc::kDaemonGone;
}

class Top {
 public:
  Top(Options options, TopScreen screen)
      : options_(std::move(options)), screen_(std::move(screen)) {
    options_.wake_descriptor = screen_.wake_descriptor();
  }

  Exit run() {
    for (std::uint64_t shown = 0;;) {
      const auto answer = ask_once(options_);
      if (screen_.take_events()) return Exit::kOk;
      const bool is_last = options_.top.count != 0 && shown + 1 >= options_.top.count;
      if (answer) {
        show(*answer);
        if (is_last) return Exit::kOk;
      } else if (is_interrupted(answer.error())) {
        continue;  // a key that means nothing
      } else if (is_last || !may_pass(answer.error())) {
        return fail(answer.error());
      } else {
        say_away(answer.error());
      }
      ++shown;
      if (screen_.wait(options_.top.interval)) return Exit::kOk;
    }
  }

 private:
  static bool is_interrupted(const Error& error) {
    return error.code == std::errc::operation_canceled;
  }

  void show(const json::object& answer) {
    if (options_.json) {
      print_json(answer);
      std::cout.flush();
      return;
    }
    TopSample now;
    for (const json::object* const one : list_of(answer, "regions")) {
      now.regions.push_back(region_of(*one));
    }
    screen_.show(top_text(now, before_, options_.top.busiest));
    before_ = std::move(now);
  }

  void say_away(const Error& error) {
    const std::string seconds =
        rate_text(static_cast<double>(options_.top.interval.count()) / 1000);
    const std::string text =
        "allotd is away, trying again every " + seconds + " s: " + plain_text(error.message());
    if (options_.json) {
      std::cerr << "allotctl: " << text << '\n';
    } else {
      screen_.show(text + '\n');
    }
  }

  Options options_;
  TopScreen screen_;
  TopSample before_;
};

}  // namespace

Exit run_top(const Options& options) {
  auto screen = TopScreen::open();
  if (!screen) return fail(screen.error());
  return Top(options, std::move(*screen)).run();
}

}  // namespace allot::ctl
