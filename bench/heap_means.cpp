// pair: allocate, write a byte, free, in one process with nothing else to do.
//
// Each contender runs in processes of its own, a new one each round; a round visits all of them and
// begins with another one each time, so that what the machine does meanwhile meets all alike. The
// mallocs are Debian's, preloaded into a program that calls malloc and free; ours is called the
// same way, through the public API ("ours"), and compiled into the loop ("inlined").

#include <cstddef>
#include <string>
#include <vector>

#include "bench/contender.hpp"
#include "bench/daemon.hpp"
#include "bench/family.hpp"
#include "bench/turns.hpp"

namespace allot::bench {

namespace {

constexpr const char* kOurs = "ours";
constexpr const char* kInlined = "inlined";
constexpr const char* kInterprocess = "interprocess";

constexpr std::size_t kMainSizeBytes = 64;

std::string case_name(std::size_t size_bytes) {
  return size_bytes % 1024 == 0 && size_bytes > 1024 ? std::to_string(size_bytes / 1024) + " KiB"
                                                     : std::to_string(size_bytes) + " B";
}

std::vector<Contender> make_contenders(const std::string& environment) {
  const std::vector<ContenderSpec> specs = {{kOurs, "allot", ""},
                                            {kInlined, "allot-inline", ""},
                                            {"glibc", "malloc", ""},
                                            {"mimalloc", "malloc", "libmimalloc.so.2"},
                                            {"jemalloc", "malloc", "libjemalloc.so.2"},
                                            {"tcmalloc", "malloc", "libtcmalloc.so.4"},
                                            {kInterprocess, "interprocess", ""}};
  std::vector<Contender> contenders;
  contenders.reserve(specs.size());
  for (const ContenderSpec& spec : specs) contenders.emplace_back(spec, environment);
  return contenders;
}

/// Interleaved rounds of those that take part; the samples are in their order.
std::vector<NamedSample> run_rounds(const std::vector<Contender*>& contenders,
                                    std::size_t size_bytes, const Effort& effort) {
  for (Contender* const contender : contenders) contender->prepare(size_bytes, effort.round);
  const std::vector<Sample> samples = take_turns(contenders, effort.rounds);
  std::vector<NamedSample> named;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    named.push_back({contenders[i]->name(), samples[i]});
  }
  return named;
}

Measurement as_measurement(const std::vector<NamedSample>& samples, std::size_t size_bytes) {
  Measurement measurement{"pair", case_name(size_bytes), "ns", {}, {}, {}};
  for (const NamedSample& named : samples) {
    if (named.name == kOurs) {
      measurement.ours = named.sample;
    } else if (named.name == kInlined) {
      measurement.beside.push_back(named);
    } else if (named.name != kInterprocess) {
      measurement.peers.push_back(named);
    }
  }
  return measurement;
}

}  // namespace

std::vector<Measurement> measure_pair(const Effort& effort) {
  const Daemon daemon;
  std::vector<Contender> contenders = make_contenders(daemon.environment());
  std::vector<Measurement> measurements;
  for (const std::size_t size_bytes : {64UL, 16UL, 256UL, 1024UL, 8UL << 10, 64UL << 10}) {
    const bool is_main = size_bytes == kMainSizeBytes;
    std::vector<Contender*> part;
    for (Contender& contender : contenders) {
      if (contender.name() != kInterprocess || is_main) part.push_back(&contender);
    }
    const std::vector<NamedSample> samples = run_rounds(part, size_bytes, effort);
    measurements.push_back(as_measurement(samples, size_bytes));
    if (is_main) {
      Measurement shared = measurements.back();
      shared.case_name += ", shared memory";
      shared.peers = {samples.back()};
      measurements.push_back(shared);
    }
  }
  return measurements;
}

}  // namespace allot::bench
