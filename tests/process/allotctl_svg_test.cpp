// allotctl map --svg: the file is XML whatever clients call themselves, and it is there whole or
// not at all.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <allot/session.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/drawn_region.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const char* const kEnv = "/usr/bin/env";

// Reads an SVG document, with a parser that is not ours, and prints how many tooltips it has.
const char* const kParse =
    "import sys, xml.etree.ElementTree as tree\n"
    "root = tree.parse(sys.argv[1]).getroot()\n"
    "assert root.tag == '{http://www.w3.org/2000/svg}svg', root.tag\n"
    "assert not [e for e in root.iter() if e.tag.endswith('script')]\n"
    "print(len(root.findall('.//{http://www.w3.org/2000/svg}title')))\n";

class AllotctlSvg : public DrawnRegion {};

TEST_F(AllotctlSvg, IsXmlWhateverTheLabelsHold) {
  auto hostile =
      Session::connect({.socket_path = daemon_.client_socket(), .label = "\x1b[2J]]><&\"'\xFF"});
  ASSERT_TRUE(hostile) << hostile.error().message();
  void* const block = hostile->allocate(100'000);
  ASSERT_NE(block, nullptr);
  RawSession session(daemon_.client_socket());
  make_spans(session);
  const std::string plain = out_of({"--color", "never"});
  for (const char c : plain) ASSERT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << plain;
  const TemporaryDir directory;
  const std::string file = directory.path().native() + "/region.svg";
  EXPECT_EQ(out_of({"--svg", file}), "wrote " + file + "\n");
  const ProgramResult parsed = run_program({kEnv, "python3", "-c", kParse, file});
  ASSERT_EQ(parsed.exit_status, 0) << parsed.err;
  // One for each item but what is free behind the last.
  EXPECT_EQ(std::stoul(parsed.out), region_of({"--json"}).at("items").as_array().size() - 1);
  ASSERT_EQ(hostile->free(block), Errc::kOk);
}

TEST_F(AllotctlSvg, IsWrittenWholeOrNotAtAll) {
  const TemporaryDir directory;
  const std::string missing = directory.path().native() + "/none/region.svg";
  for (const std::string& path : {missing, directory.path().native(), std::string("/dev/full")}) {
    const ProgramResult result = run({"--svg", path});
    EXPECT_EQ(result.exit_status, 4);
    EXPECT_THAT(result.err, HasSubstr("cannot write " + path));
    EXPECT_EQ(result.out, "");
  }
  const std::string file = directory.path().native() + "/region.svg";
  write_file(file, "what was there");
  const ProgramResult limited =
      run_program({kEnv, "prlimit", "--fsize=100", ALLOT_ALLOTCTL_PATH, "--runtime-dir",
                   daemon_.runtime_dir().native(), "map", "--svg", file});
  EXPECT_EQ(limited.exit_status, 4) << limited.err;
  EXPECT_THAT(limited.err, HasSubstr("cannot write " + file));
  EXPECT_EQ(read_file(file), "what was there");
  const std::filesystem::directory_iterator left(directory.path());
  EXPECT_EQ(std::distance(begin(left), end(left)), 1) << "nothing beside it";
  (void)out_of({"--svg", file});
  EXPECT_THAT(read_file(file), StartsWith("<?xml"));
}

}  // namespace
}  // namespace allot::test
