// What is the same at the start of every fuzz target: an expectation of GoogleTest's that fails, in a
// target or in what it shares with the tests, throws; nobody catches it, so the input is a crash. At the
// end it says how many bytes the target took, as the fuzzer says its other statistics.

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/fuzz/fuzz_input.hpp"

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  GTEST_FLAG_SET(throw_on_failure, true);
  (void)std::atexit([] {
    std::fprintf(stderr, "stat::taken_bytes: %" PRIu64 "\n", allot::test::FuzzInput::taken_bytes());
  });
  return 0;
}
