// allotctl check --repair against a real allotd: what a member's scribble left without an owner.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <allot/session.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/region_parts.hpp"
#include "tests/support/served_region.hpp"

namespace allot::test {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

class CheckRepair : public ServedRegion {
 protected:
  [[nodiscard]] ProgramResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon().runtime_dir().native()});
    return run_program(arguments);
  }
};

TEST_F(CheckRepair, FindsNothingToDoInASoundRegion) {
  void* const block = session().allocate(1000);
  const ProgramResult result = run({"check", "--repair"});
  EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
  EXPECT_THAT(result.out,
              HasSubstr("  repaired: 0 spans orphaned, 0 descriptors rewritten, 0 blocks freed\n"));
  EXPECT_THAT(run({"check"}).out, Not(HasSubstr("repaired")));
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_F(CheckRepair, FreesABlockWhoseOwnerIsNotThere) {
  const Handle handle = session().offer(session().allocate(1000)).value();
  const json::value found =
      json::parse(run({"holders", std::to_string(handle.bits()), "--json"}).out)
          .at("regions")
          .at(0);
  const auto ledger = open_region_part(::getpid(), "ledger");
  const json::value stats = json::parse(run({"stats", "--json"}).out).at("regions").at(0);
  const auto granules =
      stats.at("reserved_bytes").to_number<std::uint64_t>() / region::kGranuleBytes;
  const std::uint64_t at =
      own_word_offset(granules, found.at("span").at("first").to_number<std::uint64_t>(),
                      found.at("index").to_number<std::uint64_t>());
  // What any member can do.
  write_at(ledger, at, detail::OwnWord::make(4000, handle.generation()));
  const ProgramResult before = run({"check"});
  EXPECT_EQ(before.exit_status, 1);
  EXPECT_THAT(before.out, HasSubstr("owned by a session that is not there"));
  const ProgramResult repaired = run({"check", "--repair"});
  EXPECT_EQ(repaired.exit_status, 0) << repaired.out;
  EXPECT_THAT(repaired.out, HasSubstr("0 descriptors rewritten, 1 block freed\n"));
  EXPECT_EQ(run({"check"}).exit_status, 0);
}

}  // namespace
}  // namespace allot::test
