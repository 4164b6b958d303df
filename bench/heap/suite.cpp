#include "bench/heap/suite.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <iostream>
#include <string_view>

namespace allot::bench {

namespace {

// The dynamic linker only warns of a file that it cannot preload, so the driver looks at this.
std::string file_of_malloc() {
  Dl_info info{};
  void* const symbol = dlsym(RTLD_DEFAULT, "malloc");
  if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return "?";
  return info.dli_fname;
}

}  // namespace

Suite::Suite(int& argc, char** argv) : argc_(argc), argv_(argv) {
  char** const end = std::remove_if(
      argv, argv + argc, [](const char* text) { return std::string_view(text) == "--quick"; });
  quick_ = end != argv + argc;
  argc = static_cast<int>(end - argv);
}

int Suite::run() {
  benchmark::AddCustomContext("malloc", file_of_malloc());
  benchmark::Initialize(&argc_, argv_);
  if (benchmark::ReportUnrecognizedArguments(argc_, argv_)) return 2;
  try {
    return benchmark::RunSpecifiedBenchmarks() > 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << argv_[0] << ": " << error.what() << '\n';
    return 1;
  }
}

void Suite::add_one(const std::string& name, Clock clock,
                    const std::function<void(benchmark::State&)>& function) {
#ifndef __clang_analyzer__  // takes what the library's registry keeps for a leak
  auto* const added = benchmark::RegisterBenchmark(name.c_str(), function);
  if (clock == Clock::kElapsed || clock == Clock::kOnce) added->UseRealTime();
  if (clock == Clock::kManual) added->UseManualTime();
  if (clock == Clock::kOnce) added->Iterations(1);
#else
  (void)name;
  (void)clock;
  (void)function;
#endif
}

}  // namespace allot::bench
