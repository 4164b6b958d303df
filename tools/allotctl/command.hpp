// What every command of allotctl has in common: its options, its exit status, its entry point.
//
// main.cpp fills Options from the command line and calls one run_...(); each of these lives in the
// file of its name, asks the daemon over the control socket and prints what it answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tools/allotctl/drawing/map_glyph.hpp"
#include "tools/allotctl/terminal.hpp"

namespace allot::ctl {

/// Exit statuses, as allotctl(1) documents them.
enum class Exit : int {
  kOk = 0,
  kViolations = 1,  // check found some
  kUsage = 2,
  kNoDaemon = 3,  // none answers, or not in time
  kRefused = 4,   // the daemon answered with an error, or with nonsense
};

struct MapOptions {
  std::string svg;        // a file, "-": standard output; empty: as text
  std::size_t width = 0;  // columns; 0: those of the terminal
  ColorMode color = ColorMode::kAuto;
  MapView view = MapView::kOccupancy;
};

struct TopOptions {
  std::chrono::milliseconds interval{2000};
  std::uint64_t count = 0;   // refreshes; 0: until it is told to end
  std::size_t busiest = 10;  // sessions shown
};

struct Options {
  std::string socket;       // empty: control.sock in runtime_dir
  std::string runtime_dir;  // empty: the usual places
  std::chrono::milliseconds timeout{10'000};
  bool json = false;
  bool full = false;           // stats: the whole ladder
  std::string region;          // empty: all
  std::uint64_t limit = 1000;  // spans, map: at most so many of a region; 0: all
  std::string name;            // unpublish
  std::string handle;          // unpublish; empty: the one the name has now. holders
  bool repair = false;         // check: orphan what no session owns
  std::uint64_t offline = 0;   // check: of this process's files; 0: ask the daemon
  std::string session;         // holders: ID or ID.INCARNATION, instead of a handle
  MapOptions map;
  TopOptions top;
  int wake_descriptor = -1;  // when it is readable, nobody waits for the answer any more
};

Exit run_stats(const Options& options);
Exit run_sessions(const Options& options);
Exit run_top(const Options& options);
Exit run_spans(const Options& options);
Exit run_map(const Options& options);
Exit run_names(const Options& options);
Exit run_arenas(const Options& options);
Exit run_bins(const Options& options);
Exit run_pools(const Options& options);
Exit run_holders(const Options& options);
Exit run_check(const Options& options);
Exit run_unpublish(const Options& options);
Exit run_version(const Options& options);

}  // namespace allot::ctl
