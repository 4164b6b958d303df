// ALLOT_DEBUG: which words it may have.

#include "client/debug_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <allot/embedded.hpp>
#include <allot/session.hpp>

#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using detail::with_debug_words;
using testing::HasSubstr;

TEST(DebugWords, SwitchModesOn) {
  const DebugOptions all = with_debug_words({}, "fill,report,stacks,annotate,sample=1000").value();
  EXPECT_TRUE(all.fill && all.report && all.stacks && all.annotate);
  EXPECT_EQ(all.sample_bytes, 1000U);
  const DebugOptions one = with_debug_words({}, "report").value();
  EXPECT_TRUE(one.report);
  EXPECT_FALSE(one.fill || one.stacks || one.annotate);
  EXPECT_EQ(one.sample_bytes, 0U);
  EXPECT_EQ(with_debug_words({}, "sample")->sample_bytes, kUsualSampleBytes);
  EXPECT_EQ(with_debug_words({}, "sample=1099511627776")->sample_bytes, std::size_t{1} << 40);
}

TEST(DebugWords, AddToWhatTheProgramWants) {
  DebugOptions wanted;
  wanted.fill = true;
  wanted.sample_bytes = 5;
  EXPECT_FALSE(with_debug_words({}, "")->fill);
  EXPECT_EQ(with_debug_words(wanted, "")->sample_bytes, 5U);
  const DebugOptions both = with_debug_words(wanted, ",report,,").value();
  EXPECT_TRUE(both.fill && both.report);
  EXPECT_EQ(with_debug_words(wanted, "sample=6")->sample_bytes, 6U);
}

TEST(DebugWords, AnUnknownWordIsNamed) {
  for (const char* const word :
       {"fil", "Fill", " fill", "fill ", "fill=1", "sample=", "sample=0", "sample=-1", "sample=1k",
        "sample=1099511627777", "sample=99999999999999999999", "sample=0x10"}) {
    const auto options = with_debug_words({}, "report," + std::string(word));
    ASSERT_TRUE(test::refused(options, Errc::kBadArgument)) << word;
    EXPECT_THAT(options.error().message(), HasSubstr("'" + std::string(word) + "'"));
  }
}

class DebugEnvironment : public testing::Test {
 protected:
  ~DebugEnvironment() override { ::unsetenv("ALLOT_DEBUG"); }
};

TEST_F(DebugEnvironment, IsReadWhenASessionConnects) {
  auto region = EmbeddedRegion::create({std::uint64_t{1} << 30, std::uint64_t{1} << 28}).value();
  ::setenv("ALLOT_DEBUG", "fill", 1);
  Session filled = region.connect().value();
  auto* const block = static_cast<unsigned char*>(filled.allocate(64));
  EXPECT_EQ(block[0], kFreshByte);
  EXPECT_EQ(filled.free(block), Errc::kOk);
  ::setenv("ALLOT_DEBUG", "fill,bogus", 1);
  const auto refused = region.connect();
  ASSERT_TRUE(test::refused(refused, Errc::kBadArgument));
  EXPECT_THAT(refused.error().message(), HasSubstr("'bogus'"));
  ConnectOptions options;
  options.socket_path = "/nowhere/client.sock";
  EXPECT_TRUE(test::refused(Session::connect(options), Errc::kBadArgument));
  ::unsetenv("ALLOT_DEBUG");
  EXPECT_TRUE(region.connect());
  EXPECT_TRUE(test::refused(Session::connect(options), Errc::kNoDaemon));
}

}  // namespace
}  // namespace allot
