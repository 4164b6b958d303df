#include "bench/heap_program.hpp"

#include <boost/json.hpp>
#include <stdexcept>
#include <utility>

#include "bench/child.hpp"

namespace allot::bench {

namespace {

namespace json = boost::json;

// As Google Benchmark's filter: "^HEAP/(CASE|CASE)(/.*)?$"; what may follow says how time is taken.
std::string filter_of(const HeapContender& contender, const std::vector<std::string>& cases) {
  std::string alternatives;
  for (const std::string& name : cases) alternatives += (alternatives.empty() ? "" : "|") + name;
  return "^" + contender.heap + "/(" + alternatives + ")(/.*)?$";
}

// The dynamic linker only warns of a file that it cannot preload.
void check_malloc(const json::object& context, const HeapContender& contender) {
  const std::string expected = contender.preload.empty() ? "libc.so" : contender.preload;
  const std::string served_by(context.at("malloc").as_string());
  if (served_by.find(expected) == std::string::npos) {
    throw std::runtime_error(contender.name + " should be served by " + expected + ", is by " +
                             served_by);
  }
}

Figures figures_of(const json::object& benchmark) {
  Figures figures;
  for (const auto& [key, value] : benchmark) {
    if (value.is_number()) figures[std::string(key)] = value.to_number<double>();
  }
  const auto rate = figures.find("items_per_second");
  if (rate != figures.end()) figures[kItemNs] = 1e9 / rate->second;
  return figures;
}

/// The CASE in HEAP/CASE or HEAP/CASE/more.
std::string case_of(const std::string& name) {
  const std::size_t start = name.find('/') + 1;
  return name.substr(start, name.find('/', start) - start);
}

}  // namespace

HeapProgram::HeapProgram(std::string family, const Effort& effort)
    : path_(ALLOT_BENCH_HEAP_PREFIX + std::move(family)),
      quick_(effort.quick),
      least_seconds_(std::chrono::duration<double>(effort.round).count()) {}

std::map<std::string, Figures> HeapProgram::run(const HeapContender& contender,
                                                const std::vector<std::string>& cases,
                                                const std::string& daemon_environment) const {
  Command command;
  command.arguments = {path_, "--benchmark_filter=" + filter_of(contender, cases),
                       "--benchmark_format=json",
                       "--benchmark_min_time=" + std::to_string(least_seconds_)};
  if (quick_) command.arguments.emplace_back("--quick");
  command.environment = {daemon_environment, "LD_PRELOAD=" + contender.preload};
  Child child(command);
  const std::string output = child.read_all();
  json::error_code error;
  const json::value parsed = json::parse(output, error);
  if (error || !parsed.is_object()) {
    throw std::runtime_error(contender.name + ": " + path_ + " prints no figures");
  }
  const json::object& report = parsed.as_object();
  check_malloc(report.at("context").as_object(), contender);
  std::map<std::string, Figures> figures;
  for (const json::value& benchmark : report.at("benchmarks").as_array()) {
    const json::object& object = benchmark.as_object();
    figures[case_of(std::string(object.at("name").as_string()))] = figures_of(object);
  }
  if (figures.size() != cases.size()) {
    throw std::runtime_error(contender.name + ": " + path_ + " does not have every case");
  }
  return figures;
}

}  // namespace allot::bench
