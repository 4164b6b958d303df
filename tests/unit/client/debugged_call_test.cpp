// With a debug mode on, a signal handler that allocates in the middle of another call is found.

#include <sys/time.h>

#include <csignal>
#include <optional>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>

#include "tests/support/forked_child.hpp"

namespace allot {
namespace {

std::optional<Session> session_of_handler;
volatile std::sig_atomic_t handled = 0;

void allocate_in_handler(int /*signal*/) {
  handled = handled + 1;
  (void)session_of_handler->free(session_of_handler->allocate(64));
}

/// Allocates and frees in the handler of a timer and beside it, until the handler ran `times` times.
int allocate_beside_handler(const Session& session, int times) {
  session_of_handler = session;
  (void)std::signal(SIGVTALRM, &allocate_in_handler);
  const itimerval often{{0, 500}, {0, 500}};
  if (::setitimer(ITIMER_VIRTUAL, &often, nullptr) != 0) return 1;
  while (handled < times) (void)session_of_handler->free(session_of_handler->allocate(64));
  return 0;
}

TEST(DebuggedCall, ASignalHandlerThatAllocatesInTheMiddleOfAnotherCallEndsTheProgram) {
  const auto ending = test::run_in_child([] {
    auto region = EmbeddedRegion::create().value();
    DebugOptions debug;
    debug.report = true;
    return allocate_beside_handler(region.connect(debug).value(), 1'000'000);
  });
  EXPECT_EQ(ending.signal, SIGABRT) << ending;
}

TEST(DebuggedCall, AReportMayUseTheSession) {
  auto region = EmbeddedRegion::create().value();
  DebugOptions debug;
  debug.report = true;
  std::optional<Session> session;
  int reports = 0;
  debug.on_misuse = [&](const Misuse& /*misuse*/) {
    ++reports;
    EXPECT_EQ(session->free(session->allocate(64)), Errc::kOk);
  };
  session = region.connect(debug).value();
  void* const block = session->allocate(64);
  ASSERT_EQ(session->free(block), Errc::kOk);
  EXPECT_EQ(session->free(block), Errc::kDoubleFree);
  EXPECT_EQ(reports, 1);
  // And the call that made the report goes on as one call.
  EXPECT_EQ(session->free(block), Errc::kDoubleFree);
}

}  // namespace
}  // namespace allot
