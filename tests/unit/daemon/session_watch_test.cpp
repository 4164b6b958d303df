#include "daemon/session_watch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "shared/platform/memfd.hpp"
#include "shared/platform/pidfd.hpp"

namespace allot::daemon {
namespace {

constexpr std::size_t kMappedBytes = 65536;  // a page, whatever its size

class SessionWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    auto timers = Timers::create(context_);
    ASSERT_TRUE(timers);
    timers_ = std::move(*timers);
    child_ = ::fork();
    if (child_ == 0) {
      for (;;) ::pause();
    }
    ASSERT_GT(child_, 0);
    auto presence = platform::make_presence_file("test");
    auto pidfd = platform::pidfd_open(child_);
    ASSERT_TRUE(presence && pidfd);
    // The watch owns the descriptor; ours is a second one.
    copy_ = platform::Descriptor(::fcntl(presence->get(), F_DUPFD_CLOEXEC, 0));
    watch_ =
        std::make_unique<SessionWatch>(context_, *timers_, std::move(*presence), std::move(*pidfd),
                                       SessionWatch::Callbacks{
                                           .gone =
                                               [this] {
                                                 ++gone_;
                                                 watch_.reset();
                                               },
                                           .tampered = [this] { ++tampered_; },
                                       });
  }

  void TearDown() override {
    unmap();
    end_child();
  }

  void map() {
    mapped_ = ::mmap(nullptr, kMappedBytes, PROT_READ | PROT_WRITE, MAP_SHARED, copy_.get(), 0);
    ASSERT_NE(mapped_, MAP_FAILED);
  }
  void unmap() {
    if (mapped_ != nullptr) ::munmap(mapped_, kMappedBytes);
    mapped_ = nullptr;
  }
  void end_child() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = 0;
  }

  void run_until_gone() {
    while (gone_ == 0) ASSERT_GT(context_.run_one_for(std::chrono::seconds(20)), 0U);
  }
  // Lets the loop do what is ready, and at least `turns` turns of it.
  void run_turns(int turns) {
    for (int i = 0; i < turns; ++i) context_.run_one_for(std::chrono::seconds(20));
  }

  boost::asio::io_context context_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<SessionWatch> watch_;
  platform::Descriptor copy_;
  void* mapped_ = nullptr;
  pid_t child_ = 0;
  int gone_ = 0;
  int tampered_ = 0;
};

TEST_F(SessionWatchTest, WaitsForNothingButEvents) {
  EXPECT_EQ(context_.poll(), 0U);
  EXPECT_EQ(gone_, 0);
}

TEST_F(SessionWatchTest, UnmappedSessionIsGoneWhenItsConnectionEnds) {
  watch_->connection_ended();
  EXPECT_EQ(gone_, 0);  // from the loop, never from the call
  run_until_gone();
  EXPECT_EQ(tampered_, 0);
}

TEST_F(SessionWatchTest, ExitOfTheProcessIsNoticedWithoutTheConnection) {
  end_child();
  run_until_gone();
}

TEST_F(SessionWatchTest, MappedSessionStaysUntilItIsUnmapped) {
  map();
  watch_->connection_ended();
  run_turns(5);
  EXPECT_EQ(gone_, 0);
  unmap();
  run_until_gone();
  EXPECT_EQ(gone_, 1);
}

TEST_F(SessionWatchTest, ExitAloneIsNotTheTruth) {
  map();  // as a CLONE_VM child would hold it
  end_child();
  run_turns(6);
  EXPECT_EQ(gone_, 0);
  unmap();
  run_until_gone();
}

TEST_F(SessionWatchTest, TamperingIsSaidOnceAndTheExitDecides) {
  map();
  ASSERT_EQ(::fcntl(copy_.get(), F_ADD_SEALS, F_SEAL_SEAL), 0);
  watch_->connection_ended();
  run_turns(1);
  EXPECT_EQ(tampered_, 1);
  EXPECT_EQ(gone_, 0);
  watch_->connection_ended();
  run_turns(1);
  EXPECT_EQ(tampered_, 1);
  end_child();
  run_until_gone();
  EXPECT_EQ(tampered_, 1);
}

}  // namespace
}  // namespace allot::daemon
