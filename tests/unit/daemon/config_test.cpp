#include "daemon/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <type_traits>

#include "daemon/size_text.hpp"

namespace allot::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> mistakes_in(const std::string& text) {
  return parse_config(text, "f.toml").mistakes;
}

TEST(Config, EmptyTextHasOneDefaultRegion) {
  const auto reading = parse_config("", "f.toml");
  EXPECT_THAT(reading.mistakes, IsEmpty());
  ASSERT_EQ(reading.config.regions.size(), 1U);
  EXPECT_EQ(reading.config.regions[0].name, "default");
  EXPECT_TRUE(reading.config.regions[0].policy.allows(core::Peer{1, 4711, 4711}));
}

TEST(Config, SetsEachLimitOfARegion) {
  const auto reading = parse_config(
      R"([[region]]
         name = "r"
         size_bytes = "1 GiB"
         commit_limit_bytes = "2MiB"
         session_quota_bytes = 3145728
         uid_quota_bytes = "4096 KiB"
         available_floor_bytes = 5
         max_grant_bytes = "64 KiB"
         session_reserve_bytes = "512 MiB"
         uid_reserve_bytes = 65537
         reserve_limit_bytes = 65538
         max_sessions = 7
         max_sessions_per_uid = 8
         max_heaps = 9
         max_names = 10
         messages_per_second = 11
         message_burst = 12
         large_reclaim_delay_ms = 13
         punch_delay_ms = 14)",
      "f.toml");
  ASSERT_THAT(reading.mistakes, IsEmpty());
  ASSERT_EQ(reading.config.regions.size(), 1U);
  const core::Limits& limits = reading.config.regions[0].limits;
  EXPECT_EQ(limits.size_bytes, core::kGiB);
  EXPECT_EQ(limits.commit_limit_bytes, 2 * core::kMiB);
  EXPECT_EQ(limits.session_quota_bytes, 3 * core::kMiB);
  EXPECT_EQ(limits.uid_quota_bytes, 4 * core::kMiB);
  EXPECT_EQ(limits.available_floor_bytes, 5U);
  EXPECT_EQ(limits.max_grant_bytes, 65536U);
  EXPECT_EQ(limits.session_reserve_bytes, 512 * core::kMiB);
  EXPECT_EQ(limits.uid_reserve_bytes, 65537U);
  EXPECT_EQ(limits.reserve_limit_bytes, 65538U);
  EXPECT_EQ(limits.max_sessions, 7U);
  EXPECT_EQ(limits.max_sessions_per_uid, 8U);
  EXPECT_EQ(limits.max_heaps, 9U);
  EXPECT_EQ(limits.max_names, 10U);
  EXPECT_EQ(limits.messages_per_second, 11U);
  EXPECT_EQ(limits.message_burst, 12U);
  EXPECT_EQ(limits.large_reclaim_delay_ms, 13U);
  EXPECT_EQ(limits.punch_delay_ms, 14U);
}

TEST(Config, SetsEachLimitOfTheDaemon) {
  const auto reading = parse_config(
      "log_level = \"error\"\n"
      "max_connections = 1\n"
      "max_connections_per_uid = 2\n"
      "hello_deadline_ms = 33\n"
      "max_pending_bytes = 4\n"
      "max_pending_grants = 5\n"
      "max_control_connections = 6\n"
      "control_deadline_ms = 77\n"
      "control_idle_ms = 88\n",
      "f.toml");
  ASSERT_THAT(reading.mistakes, IsEmpty());
  EXPECT_EQ(reading.config.log_level, LogLevel::kError);
  const ServerLimits& limits = reading.config.limits;
  EXPECT_EQ(limits.max_connections, 1U);
  EXPECT_EQ(limits.max_connections_per_uid, 2U);
  EXPECT_EQ(limits.hello_deadline_ms, 33U);
  EXPECT_EQ(limits.max_pending_bytes, 4U);
  EXPECT_EQ(limits.max_pending_grants, 5U);
  EXPECT_EQ(limits.max_control_connections, 6U);
  EXPECT_EQ(limits.control_deadline_ms, 77U);
  EXPECT_EQ(limits.control_idle_ms, 88U);
}

// Every key stands in the shipped file, commented out, with the value that applies without it.
TEST(Config, ShippedFileShowsTheDefaults) {
  std::ifstream in(std::filesystem::path(ALLOT_SOURCE_DIR) / "systemd/allotd.toml");
  std::string text;
  std::size_t keys = 0;
  for (std::string line; std::getline(in, line);) {
    const bool comment = line.size() > 1 && line[0] == '#' &&
                         (line[1] == '[' || std::islower(static_cast<unsigned char>(line[1])) != 0);
    if (!comment || line.starts_with("#allow_")) {
      text += '\n';
      continue;
    }
    text += line.substr(1) + "\n";
    ++keys;
  }
  const auto reading = parse_config(text, "allotd.toml");
  ASSERT_THAT(reading.mistakes, IsEmpty());
  EXPECT_EQ(keys, 30U);  // one for each key above, name and [[region]]
  ASSERT_EQ(reading.config.regions.size(), 1U);
  const Config built_in;
  EXPECT_EQ(reading.config.log_level, built_in.log_level);
  EXPECT_EQ(reading.config.limits, built_in.limits);
  static_assert(std::has_unique_object_representations_v<core::Limits>);
  EXPECT_EQ(std::memcmp(&reading.config.regions[0].limits, &built_in.regions[0].limits,
                        sizeof(core::Limits)),
            0);
}

TEST(Config, NamesLineKeyAndRemedyInTheOrderOfTheFile) {
  EXPECT_THAT(mistakes_in("zzz = 1\n"
                          "max_connections = 0\n"
                          "hello_deadline_ms = \"1 s\"\n"
                          "log_level = \"loud\"\n"
                          "[[region]]\n"
                          "name = \"r\"\n"
                          "size_bytes = \"1 MB\"\n"
                          "commit_limit_bytes = -1\n"
                          "max_name = 1\n"),
              ElementsAre(HasSubstr("f.toml:1: zzz = 1: unknown key at the top level"),
                          "f.toml:2: max_connections = 0: use a whole number from 1 to 65536",
                          "f.toml:3: hello_deadline_ms = '1 s': use a whole number from 10 to "
                          "86400000",
                          HasSubstr("f.toml:4: log_level = 'loud': use debug, info, warning or"),
                          HasSubstr("f.toml:7: size_bytes = '1 MB': use 1 MiB to "),
                          HasSubstr("f.toml:8: commit_limit_bytes = -1: use 0 to "),
                          HasSubstr("f.toml:9: max_name = 1: unknown key at [[region]]")));
}

TEST(Config, NamesMistakesOfRegions) {
  EXPECT_THAT(mistakes_in("[[region]]\nsize_bytes = 1048577\n"),
              ElementsAre(HasSubstr("f.toml:1: name: the region has none"),
                          HasSubstr("f.toml:2: size_bytes = 1048577: use a multiple of 64 KiB")));
  EXPECT_THAT(mistakes_in("[[region]]\nname = \"a\"\n[[region]]\nname = \"a\"\n"),
              ElementsAre(HasSubstr("f.toml:3: name: region 'a' is there twice")));
  EXPECT_THAT(mistakes_in("region = 3\n"), ElementsAre(HasSubstr("f.toml:1: region = 3: ")));
  EXPECT_THAT(mistakes_in("[region]\nname = \"a\"\n"),
              ElementsAre(HasSubstr("use a table for each region: [[region]]")));
  std::string many;
  for (std::size_t i = 0; i <= kMaxRegions; ++i) {
    many += "[[region]]\nname = \"r" + std::to_string(i) + "\"\n";
  }
  EXPECT_THAT(mistakes_in(many), ElementsAre(HasSubstr("65 regions; use at most 64")));
}

TEST(Config, NamesTheLineOfASyntaxMistake) {
  EXPECT_THAT(mistakes_in("max_connections = 1\nmax_connections =\n"),
              ElementsAre(HasSubstr("f.toml:2: syntax: ")));
}

TEST(Config, QuotesTheFileInPrintableTextOnly) {
  EXPECT_THAT(mistakes_in("\"max_names\" = 0x\xCC\xB9"),
              ElementsAre(testing::ContainsRegex("^f.toml:1: syntax: [ -~]+$")));
}

TEST(Config, UnreadableFileIsAMistake) {
  EXPECT_THAT(
      read_config("/nonexistent/f.toml").mistakes,
      ElementsAre(HasSubstr("/nonexistent/f.toml: cannot be read: No such file or directory")));
}

TEST(Config, DirectoryInPlaceOfAFileIsAMistake) {
  EXPECT_THAT(read_config("/usr").mistakes,
              ElementsAre(HasSubstr("/usr: cannot be read: it is a directory; name the file")));
}

TEST(Config, LongValuesAreCutShort) {
  EXPECT_THAT(mistakes_in("log_level = \"" + std::string(1000, 'x') + "\"\n"),
              ElementsAre(testing::SizeIs(testing::Lt(200U))));
}

TEST(Config, AllowListsAdmitWhoeverIsInOneOfThem) {
  const auto reading = parse_config(
      "[[region]]\nname = \"r\"\nallow_uids = [12]\nallow_users = [\"root\"]\n"
      "allow_gids = [34]\n",
      "f.toml");
  ASSERT_THAT(reading.mistakes, IsEmpty());
  const core::AccessPolicy& policy = reading.config.regions.at(0).policy;
  EXPECT_TRUE(policy.allows(core::Peer{1, 12, 1}));
  EXPECT_TRUE(policy.allows(core::Peer{1, 0, 1}));
  EXPECT_TRUE(policy.allows(core::Peer{1, 1, 34}));
  EXPECT_FALSE(policy.allows(core::Peer{1, 34, 12}));
}

TEST(Config, AllowListsThatCannotBeMeantAreMistakes) {
  const std::string region = "[[region]]\nname = \"r\"\n";
  // An empty policy admits everybody: an empty list must not become one.
  EXPECT_THAT(mistakes_in(region + "allow_uids = []\n"),
              ElementsAre(HasSubstr("f.toml:3: allow_uids: use a list that is not empty")));
  EXPECT_THAT(mistakes_in(region + "allow_uids = 3\n"),
              ElementsAre(HasSubstr(":3: allow_uids = 3: ")));
  EXPECT_THAT(mistakes_in(region + "allow_gids = [4294967295]\n"),
              ElementsAre(HasSubstr(":3: allow_gids = 4294967295: use whole numbers from 0")));
  EXPECT_THAT(mistakes_in(region + "allow_gids = [1, -1]\n"),
              ElementsAre(HasSubstr(":3: allow_gids = -1: use whole numbers from 0")));
  EXPECT_THAT(mistakes_in(region + "allow_users = [1]\n"),
              ElementsAre(HasSubstr(":3: allow_users = 1: use names in quotes")));
  EXPECT_THAT(mistakes_in(region + "allow_groups = [\"no-such-group\"]\n"),
              ElementsAre(HasSubstr("allow_groups = 'no-such-group': this machine does not know")));
}

TEST(SizeText, ReadsBytesAndUnits) {
  EXPECT_EQ(parse_size("0"), 0U);
  EXPECT_EQ(parse_size("7 B"), 7U);
  EXPECT_EQ(parse_size("3KiB"), 3072U);
  EXPECT_EQ(parse_size("64 GiB"), std::uint64_t{64} << 30);
  EXPECT_EQ(parse_size("18446744073709551615"), ~std::uint64_t{0});
  EXPECT_EQ(parse_size("16777215 TiB"), std::uint64_t{16777215} << 40);
}

TEST(SizeText, WritesWhatItReads) {
  EXPECT_EQ(size_text(0), "0");
  EXPECT_EQ(size_text(1023), "1023");
  EXPECT_EQ(size_text(1025), "1025");
  EXPECT_EQ(size_text(64 << 10), "64 KiB");
  EXPECT_EQ(size_text(std::uint64_t{3} << 30), "3 GiB");
  EXPECT_EQ(size_text(std::uint64_t{1} << 50), "1024 TiB");
}

TEST(SizeText, RefusesEverythingElse) {
  for (const char* const text : {"", " 1", "-1", "+1", "1.5 GiB", "GiB", "1 GB", "1 gib", "1 GiB ",
                                 "1 KiB KiB", "18446744073709551616", "16777216 TiB", "0x10"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace allot::daemon
