// at-once and hand-over: two threads or processes, one on each processor.
//
// What two processes share is the region: a line of memory that both write shows in at-once. There
// ours is compared with itself alone; others beside it tell what the machine takes off when both
// its processors are busy. In hand-over the machine's own ping-pong takes its turn in each round:
// how far apart the processors are differs from hour to hour.

#include <stdexcept>
#include <string>
#include <vector>

#include "bench/family.hpp"
#include "bench/heap_rounds.hpp"
#include "bench/processors.hpp"

namespace allot::bench {

namespace {

void require_two_processors(const char* family) {
  if (usable_processors().size() < 2) {
    throw std::runtime_error(std::string(family) + " needs two processors");
  }
}

Measurement at_once(const std::string& kind, const std::vector<HeapSamples>& samples) {
  Measurement measurement{"at-once", "64 B in two " + kind, "ns", {}, {}, {}};
  for (const HeapSamples& contender : samples) {
    const Sample& alone = contender.of("one");
    if (!contender.by_figure.contains({kind, kItemNs})) continue;
    const Sample& together = contender.of(kind);
    if (contender.name == kOurs) {
      measurement.ours = together;
      measurement.peers = {{"one alone", alone}};
    } else {
      measurement.beside.push_back({contender.name + " in two", together});
      measurement.beside.push_back({contender.name + " alone", alone});
    }
  }
  return measurement;
}

/// One line of hand-over. Peers are those that have `peers_case`: the mallocs have no processes,
/// and Boost.Interprocess no threads.
struct Side {
  std::string name;
  std::string ours_case;
  std::string peers_case;
};

Measurement hand_over(const Side& side, const std::vector<HeapSamples>& samples) {
  Measurement measurement{"hand-over", side.name, "ns", {}, {}, {}};
  for (const HeapSamples& contender : samples) {
    if (contender.name == "ping-pong") {
      measurement.beside.push_back({"ping-pong", contender.of("ping-pong")});
    } else if (contender.name == kOurs) {
      measurement.ours = contender.of(side.ours_case);
    } else if (contender.name == kInlined) {
      measurement.beside.push_back({kInlined, contender.of(side.ours_case)});
    } else if (contender.by_figure.contains({side.peers_case, kItemNs})) {
      auto& named = contender.name == kSequentialFit ? measurement.beside : measurement.peers;
      named.push_back({contender.name, contender.of(side.peers_case)});
    }
  }
  return measurement;
}

std::vector<HeapTurn> hand_over_turns(const std::string& size) {
  const std::vector<std::string> in_threads = {"threads-" + size};
  const std::vector<std::string> in_processes = {"processes-" + size};
  const std::string in_batches = "batches-" + size;
  std::vector<HeapTurn> turns;
  for (const HeapContender& heap : ours()) {
    turns.push_back({heap, {in_threads[0], in_processes[0], in_batches}});
  }
  for (const HeapContender& heap : mallocs()) turns.push_back({heap, in_threads});
  turns.push_back({pmr_synchronized_heap(), in_threads});
  for (const HeapContender& heap : interprocess_heaps()) turns.push_back({heap, in_processes});
  turns.push_back({{"ping-pong", "machine", ""}, {"ping-pong"}});
  return turns;
}

}  // namespace

std::vector<Measurement> measure_at_once(const Effort& effort) {
  require_two_processors("at-once");
  std::vector<HeapTurn> turns;
  for (const HeapContender& heap : heaps_for_threads()) {
    turns.push_back({heap, {"one", "threads", "processes"}});
    if (heap.heap == pmr_synchronized_heap().heap) turns.back().cases.pop_back();
  }
  const auto samples = run_heaps(HeapProgram("at_once", effort), turns, effort);
  return {at_once("processes", samples), at_once("threads", samples)};
}

std::vector<Measurement> measure_hand_over(const Effort& effort) {
  require_two_processors("hand-over");
  const HeapProgram program("hand_over", effort);
  std::vector<Measurement> measurements;
  for (const std::string size : {"64", "mixed"}) {
    const auto samples = run_heaps(program, hand_over_turns(size), effort);
    const std::string name = size == "64" ? "64 B" : "16 to 1,024 B";
    const std::string threads = "threads-" + size;
    const std::string processes = "processes-" + size;
    const std::string batches = "batches-" + size;
    for (const Side& side : {
             Side{" between two processes", batches, threads},
             Side{" between two processes, shared memory", batches, processes},
             Side{" between two processes, one by one", processes, threads},
             Side{" between two processes, one by one, shared memory", processes, processes},
             Side{" between two threads", threads, threads},
         }) {
      measurements.push_back(
          hand_over({name + side.name, side.ours_case, side.peers_case}, samples));
    }
  }
  return measurements;
}

}  // namespace allot::bench
