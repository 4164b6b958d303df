#include "daemon/timers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace allot::daemon {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class TimersTest : public testing::Test {
 protected:
  void SetUp() override {
    auto timers = Timers::create(context_);
    ASSERT_TRUE(timers);
    timers_ = std::move(*timers);
  }

  // Runs the loop until `condition`; each turn waits for an event.
  template <class Condition>
  void run_until(const Condition& condition) {
    while (!condition()) ASSERT_GT(context_.run_one_for(std::chrono::seconds(20)), 0U);
  }

  // How many timerfds of this process are armed.
  static int armed() {
    int count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fdinfo")) {
      const std::ifstream in(entry.path());
      std::ostringstream text;
      text << in.rdbuf();
      if (text.str().find("it_value:") == std::string::npos) continue;
      count += text.str().find("it_value: (0, 0)") == std::string::npos ? 1 : 0;
    }
    return count;
  }

  boost::asio::io_context context_;
  std::unique_ptr<Timers> timers_;
};

TEST_F(TimersTest, FireInTheOrderOfTheirDeadlines) {
  std::vector<int> fired;
  Timer late(*timers_);
  Timer soon(*timers_);
  Timer now(*timers_);
  late.start(milliseconds(30), [&] { fired.push_back(3); });
  soon.start(milliseconds(10), [&] { fired.push_back(2); });
  now.start(milliseconds(0), [&] { fired.push_back(1); });
  EXPECT_TRUE(fired.empty());  // never from start()
  run_until([&] { return fired.size() == 3; });
  EXPECT_THAT(fired, ElementsAre(1, 2, 3));
  EXPECT_FALSE(late.is_running());
}

TEST_F(TimersTest, NothingIsArmedWithoutATimer) {
  EXPECT_EQ(armed(), 0);
  Timer timer(*timers_);
  timer.start(std::chrono::hours(1), [] {});
  EXPECT_EQ(armed(), 1);
  timer.cancel();
  EXPECT_EQ(armed(), 0);
  bool fired = false;
  timer.start(milliseconds(1), [&] { fired = true; });
  run_until([&] { return fired; });
  EXPECT_EQ(armed(), 0);
}

TEST_F(TimersTest, CancelledAndDestroyedTimersDoNotFire) {
  bool fired = false;
  bool other = false;
  Timer cancelled(*timers_);
  cancelled.start(milliseconds(1), [&] { fired = true; });
  {
    Timer destroyed(*timers_);
    destroyed.start(milliseconds(1), [&] { fired = true; });
  }
  cancelled.cancel();
  Timer last(*timers_);
  last.start(milliseconds(20), [&] { other = true; });
  run_until([&] { return other; });
  EXPECT_FALSE(fired);
}

TEST_F(TimersTest, StartingAgainReplacesTheDeadlineAndTheCallback) {
  std::vector<int> fired;
  Timer timer(*timers_);
  timer.start(milliseconds(1), [&] { fired.push_back(1); });
  timer.start(milliseconds(5), [&] { fired.push_back(2); });
  Timer last(*timers_);
  last.start(milliseconds(20), [&] { fired.push_back(3); });
  run_until([&] { return fired.size() == 2; });
  EXPECT_THAT(fired, ElementsAre(2, 3));
}

TEST_F(TimersTest, CallbackMayStartItsTimerAgainOrDestroyIt) {
  int count = 0;
  auto timer = std::make_unique<Timer>(*timers_);
  std::function<void()> callback = [&] {
    if (++count < 3) {
      timer->start(milliseconds(1), callback);
    } else {
      timer.reset();
    }
  };
  timer->start(milliseconds(1), callback);
  run_until([&] { return timer == nullptr; });
  EXPECT_EQ(count, 3);
}

}  // namespace
}  // namespace allot::daemon
