#include "daemon/commit_queue.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace allot::daemon {
namespace {

using testing::ElementsAre;

constexpr std::uint64_t kMiB = 1 << 20;

// Never touched: the queue only passes it on.
class CommitQueueTest : public testing::Test {
 protected:
  static core::PendingCommit job(core::ConnectionId connection,
                                 const std::vector<std::uint64_t>& lengths) {
    core::PendingCommit pending;
    pending.connection = connection;
    pending.region = fake_region();
    std::uint64_t offset = 0;
    for (const std::uint64_t length : lengths) {
      pending.ranges.push_back({core::RegionFile::kData, offset, length});
      offset += 100 * kMiB;
    }
    return pending;
  }

  static core::RegionCore* fake_region() {
    static std::uint64_t place = 0;
    return reinterpret_cast<core::RegionCore*>(&place);
  }

  boost::asio::io_context context_;
  std::vector<std::string> events_;
  int failing_commit_ = -1;  // the how-manieth
  bool open_fails_ = false;
  core::ConnectionId hung_up_ = 0;
  int commits_ = 0;
  CommitQueue queue_{
      context_,
      {.commit = [this](const core::RegionCore& region,
                        const core::FileRange& range) -> Expected<void> {
         EXPECT_EQ(&region, fake_region());
         if (commits_++ == failing_commit_) return Error(Errc::kMachineFull);
         events_.push_back(std::to_string(range.offset_bytes / kMiB) + "+" +
                           std::to_string(range.length_bytes));
         return {};
       },
       .open = [this](const core::PendingCommit& pending) -> Expected<void> {
         events_.push_back("open " + std::to_string(pending.connection));
         return open_fails_ ? Expected<void>(Error(Errc::kAddressSpace)) : Expected<void>();
       },
       .finished =
           [this](const core::PendingCommit& pending, const Expected<void>& result) {
             events_.push_back((result ? "done " : "failed ") + std::to_string(pending.connection));
           },
       .is_wanted =
           [this](const core::PendingCommit& pending) { return pending.connection != hung_up_; }}};
};

TEST_F(CommitQueueTest, SmallJobIsDoneInTheTurnThatAsked) {
  queue_.add(job(1, {8, 64, 65536}));
  EXPECT_THAT(events_, ElementsAre("0+8", "100+64", "200+65536", "open 1", "done 1"));
  EXPECT_EQ(queue_.pending_bytes(), 0U);
  EXPECT_EQ(context_.poll(), 0U);  // no turn is wanted
}

TEST_F(CommitQueueTest, OneTurnCommitsAtMostOneSlice) {
  constexpr std::uint64_t kFirst = kMiB - CommitQueue::kLeastCostBytes;
  queue_.add(job(1, {8, 2 * kMiB}));
  EXPECT_THAT(events_, ElementsAre("0+8", "100+" + std::to_string(kFirst)));
  EXPECT_EQ(queue_.pending_bytes(), 2 * kMiB - kFirst);
  EXPECT_EQ(queue_.pending_of(1), 1U);
  EXPECT_EQ(queue_.pending_of(2), 0U);
  events_.clear();
  EXPECT_EQ(context_.poll_one(), 1U);
  EXPECT_THAT(events_, ElementsAre("100+1048576"));  // goes on where the first slice ended
  events_.clear();
  EXPECT_EQ(context_.poll_one(), 1U);
  EXPECT_THAT(events_, ElementsAre("101+16384", "open 1", "done 1"));
  EXPECT_EQ(queue_.pending_bytes(), 0U);
  EXPECT_EQ(context_.poll_one(), 0U);
}

TEST_F(CommitQueueTest, OneTurnMakesABoundedNumberOfCalls) {
  queue_.add(job(1, std::vector<std::uint64_t>(1000, 1)));
  EXPECT_EQ(commits_, 64);
  context_.poll_one();
  EXPECT_EQ(commits_, 128);
  EXPECT_EQ(queue_.pending_bytes(), 1000U - 128U);
}

TEST_F(CommitQueueTest, LargeJobHoldsUpNobody) {
  queue_.add(job(1, {100 * kMiB}));
  queue_.add(job(2, {2 * kMiB}));
  events_.clear();
  context_.poll_one();
  context_.poll_one();
  // The second is done after one more turn of each, far before the first.
  EXPECT_THAT(events_, ElementsAre("1+1048576", "1+1048576", "open 2", "done 2"));
  EXPECT_EQ(queue_.pending_of(1), 1U);
  context_.restart();
  context_.run();
  EXPECT_EQ(events_.back(), "done 1");
}

TEST_F(CommitQueueTest, FailureEndsTheJobAtOnce) {
  failing_commit_ = 1;
  queue_.add(job(1, {8, 5 * kMiB, 8}));
  EXPECT_THAT(events_, ElementsAre("0+8", "failed 1"));
  EXPECT_EQ(queue_.pending_bytes(), 0U);
  EXPECT_EQ(context_.poll(), 0U);
}

TEST_F(CommitQueueTest, FailureToOpenTheMappingFailsTheJob) {
  open_fails_ = true;
  queue_.add(job(1, {8}));
  EXPECT_THAT(events_, ElementsAre("0+8", "open 1", "failed 1"));
}

TEST_F(CommitQueueTest, AbandonedJobsFinishOnceAndOthersGoOn) {
  queue_.add(job(1, {3 * kMiB}));
  queue_.add(job(2, {2 * kMiB}));
  queue_.add(job(1, {4 * kMiB}));
  events_.clear();
  queue_.abandon(1);
  EXPECT_THAT(events_, ElementsAre("failed 1", "failed 1"));
  EXPECT_EQ(queue_.pending_bytes(), kMiB);
  events_.clear();
  context_.run();
  EXPECT_THAT(events_, ElementsAre("1+1048576", "open 2", "done 2"));
  queue_.abandon(1);
  EXPECT_EQ(queue_.pending_bytes(), 0U);
}

TEST_F(CommitQueueTest, JobThatNobodyWantsIsGivenUpInItsNextTurn) {
  queue_.add(job(1, {100 * kMiB}));
  queue_.add(job(2, {2 * kMiB}));
  hung_up_ = 1;
  events_.clear();
  context_.run();
  EXPECT_THAT(events_, ElementsAre("failed 1", "1+1048576", "open 2", "done 2"));
  EXPECT_EQ(queue_.pending_bytes(), 0U);
}

TEST_F(CommitQueueTest, JobWithoutRangesIsDoneAtOnce) {
  queue_.add(job(3, {}));
  EXPECT_THAT(events_, ElementsAre("open 3", "done 3"));
}

}  // namespace
}  // namespace allot::daemon
