// idle: what a daemon without sessions costs: wake-ups, and memory of its own.
//
// A wake-up is a voluntary context switch of any of its threads: it slept, ran, and sleeps again.
// The driver plays the service manager and counts the watchdog pings, which may wake it. This is
// one window, not a median: the count over the window is the figure.

#include <fstream>
#include <sstream>
#include <stdexcept>

#include "bench/daemon.hpp"
#include "bench/family.hpp"

namespace allot::bench {

namespace {

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return text.str();
}

/// The number after "name:" in a /proc status file.
std::uint64_t status_field(const std::filesystem::path& path, const std::string& name) {
  const std::string text = contents_of(path);
  const std::size_t at = text.find(name + ":");
  if (at == std::string::npos) throw std::runtime_error(path.string() + " has no " + name);
  return std::stoull(text.substr(at + name.size() + 1));
}

struct Activity {
  std::uint64_t voluntary_switches = 0;
  bool asleep = true;  // every thread
};

Activity activity_of(const std::filesystem::path& process) {
  Activity activity;
  for (const auto& thread : std::filesystem::directory_iterator(process / "task")) {
    const std::filesystem::path status = thread.path() / "status";
    activity.voluntary_switches += status_field(status, "voluntary_ctxt_switches");
    activity.asleep = activity.asleep && contents_of(status).find("State:\tS") != std::string::npos;
  }
  return activity;
}

double mebibytes(std::uint64_t kibibytes) { return static_cast<double>(kibibytes) / 1024; }

/// Waits for notifications until `end`; how many of them were watchdog pings.
std::uint64_t count_pings(const Daemon& daemon, std::chrono::steady_clock::time_point end) {
  std::uint64_t pings = 0;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return pings;
    if (daemon.next_notification(left).find("WATCHDOG=1") != std::string::npos) ++pings;
  }
}

}  // namespace

std::vector<Measurement> measure_idle(const Effort& effort) {
  const Daemon daemon(effort.idle_window / 3);
  const std::filesystem::path process = "/proc/" + std::to_string(daemon.pid());
  // It may still be on its way to sleep after it said that it is ready, and so after a ping.
  const auto settle = [&] {
    std::uint64_t pings = 0;
    while (!activity_of(process).asleep) {
      pings += count_pings(daemon, std::chrono::steady_clock::now() + std::chrono::milliseconds{1});
    }
    return pings;
  };
  (void)settle();
  const std::uint64_t before = activity_of(process).voluntary_switches;
  Sample pages;
  Sample anonymous;
  Sample file;
  std::uint64_t pings = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int part = 1; part <= effort.rounds; ++part) {
    pings += count_pings(daemon, start + effort.idle_window * part / effort.rounds);
    const std::uint64_t anonymous_kib = status_field(process / "status", "RssAnon");
    const std::uint64_t file_kib = status_field(process / "status", "RssFile");
    anonymous.add(mebibytes(anonymous_kib));
    file.add(mebibytes(file_kib));
    pages.add(mebibytes(anonymous_kib + file_kib));
  }
  pings += settle();
  const std::uint64_t switches = activity_of(process).voluntary_switches - before;
  const double unexplained = switches > pings ? static_cast<double>(switches - pings) : 0.0;
  const Sample seconds(std::chrono::duration<double>(effort.idle_window).count());
  const Sample shared(mebibytes(status_field(process / "status", "RssShmem")));
  return {{"idle",
           "wake-ups",
           "count",
           Sample(unexplained),
           {},
           {{"watchdog pings", Sample(static_cast<double>(pings))}, {"seconds", seconds}}},
          {"idle",
           "pages",
           "MiB",
           pages,
           {},
           {{"anonymous", anonymous}, {"file", file}, {"region", shared}}}};
}

}  // namespace allot::bench
