// Whatever line comes over the control socket, the answer comes in a bounded number of slices and is
// one line of JSON that says whether it is one: an object with "ok", and a named error or none.

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "tests/fuzz/fuzz_input.hpp"
#include "tests/support/control_fixture.hpp"

namespace allot::daemon {
namespace {

class FuzzedControl : public ControlFixture {
 public:
  FuzzedControl() {
    const Handle handle = own(0, OwnWord::kExposed | OwnWord::kOffered);
    EXPECT_TRUE(core().publish(session_, "a", handle, kControlNow));
    (void)own(1);
    EXPECT_TRUE(core().reserve(session_, {4, 1}));
    (void)grant(open_session("\x80\""), 3);
  }

  void run(std::string_view text, bool administrator) {
    while (true) {
      const std::size_t end = text.find('\n');
      check(text.substr(0, end), administrator);
      if (end == std::string_view::npos) return;
      text.remove_prefix(end + 1);
    }
  }

 private:
  void TestBody() override {}

  void check(std::string_view line, bool administrator) {
    const json::object answer = ask(line, administrator);
    ASSERT_TRUE(answer.contains("ok") && answer.at("ok").is_bool());
    EXPECT_NE(answer.at("ok").as_bool(), answer.contains("error"));
    EXPECT_NE(answer.contains("request"), answer.contains("error"));
    if (answer.contains("error")) {
      EXPECT_FALSE(answer.at("error").as_object().at("name").as_string().empty());
    }
    EXPECT_TRUE(administrator || changes_ == 0);
  }
};

}  // namespace
}  // namespace allot::daemon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allot::test::FuzzInput input(data, size);
  // Before the lines a byte: '!' for an administrator, a blank for anybody else.
  const bool administrator = input.byte() % 2 != 0;
  allot::daemon::FuzzedControl().run(input.text(), administrator);
  return 0;
}
