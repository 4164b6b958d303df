// What is the same at the start of every fuzz target: an expectation of GoogleTest's that fails, in a
// target or in what it shares with the tests, throws; nobody catches it, so the input is a crash.

#include <gtest/gtest.h>

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  GTEST_FLAG_SET(throw_on_failure, true);
  return 0;
}
