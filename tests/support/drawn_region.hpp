// DrawnRegion: the fixture of tests of `allotctl map`: an allotd, and spans that a session carves
// and fills by hand, so that the test knows each word.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "shared/region/layout.hpp"
#include "shared/region/size_class.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {

namespace json = boost::json;
using detail::OwnWord;

inline constexpr std::uint64_t kDrawnGranules = 1024;
inline constexpr std::uint32_t kDrawnSmallBin = region::bin_of(64);
inline constexpr std::uint32_t kDrawnMediumBin = region::bin_of(4096);
static_assert(region::kSizeClasses[kDrawnSmallBin].span_granules == 1);

class DrawnRegion : public testing::Test {
 protected:
  [[nodiscard]] ProgramResult run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {ALLOT_ALLOTCTL_PATH, "map", "--runtime-dir", daemon_.runtime_dir().native()});
    return run_program(arguments);
  }
  [[nodiscard]] std::string out_of(const std::vector<std::string>& arguments) const {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    return result.out;
  }
  [[nodiscard]] json::object region_of(const std::vector<std::string>& arguments) const {
    return json::parse(out_of(arguments)).at("regions").as_array().at(0).as_object();
  }

  // What the session of the span at `first` writes when it carves it.
  static void carve(const RawSession& session, std::uint64_t first, std::uint64_t word) {
    write(session, region::FileLayout::kSpanLedgersOffset + first * sizeof(region::SpanLedger),
          word);
  }
  static void own(const RawSession& session, std::uint64_t first, std::uint32_t index,
                  std::uint32_t word) {
    const std::uint64_t place = first * region::kWordsPerGranule + index;
    write(session, region::FileLayout{kDrawnGranules}.words_offset() + place * sizeof(word), word);
  }
  // `live` of the blocks of the span belong to the session, the others are free.
  static void fill(const RawSession& session, std::uint64_t first, std::uint32_t bin,
                   std::uint32_t live) {
    for (std::uint32_t i = 0; i < region::kSizeClasses.at(bin).block_count; ++i) {
      own(session, first, i, OwnWord::make(i < live ? session.welcome.session : OwnWord::kFree, 5));
    }
    carve(session, first, region::CarveWord::blocks(bin));
  }
  static std::uint64_t granted(RawSession& session, std::uint32_t granules) {
    return session.grant(granules).as<protocol::Granted>().first;
  }

  // The first row of a map with these: of the medium span, a glyph for each of its granules.
  static std::string row(const std::string& small, char medium, const std::string& rest) {
    const auto granules = region::kSizeClasses.at(kDrawnMediumBin).span_granules;
    return "        0 " + small + std::string(granules, medium) + rest;
  }

  // A span of each kind: small (6 % in use), medium (95 %), large, uncarved; a hole.
  static void make_spans(RawSession& session) {
    fill(session, granted(session, 1), kDrawnSmallBin, 64);
    const region::SizeClass& medium = region::kSizeClasses.at(kDrawnMediumBin);
    fill(session, granted(session, medium.span_granules), kDrawnMediumBin,
         medium.block_count - medium.block_count / 20);
    const std::uint64_t large = granted(session, 2);
    own(session, large, 0, OwnWord::make(session.welcome.session, 5));
    carve(session, large, region::CarveWord::kLarge);
    (void)granted(session, 1);
    protocol::Reserve reserve;
    reserve.granules = 3;
    reserve.minimum = 3;
    session.client.request(reserve).as<protocol::Reserved>();
  }

  DaemonProcess daemon_{ALLOT_ALLOTD_PATH,
                        {.config = "[[region]]\n"
                                   "name = \"default\"\n"
                                   "size_bytes = \"64 MiB\"\n"}};

 private:
  template <class Word>
  static void write(const RawSession& session, std::uint64_t offset, Word word) {
    if (::pwrite(session.ledger.get(), &word, sizeof(word), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(sizeof(word))) {
      throw std::runtime_error("pwrite");
    }
  }
};

}  // namespace allot::test
