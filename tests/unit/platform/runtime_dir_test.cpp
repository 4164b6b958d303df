#include "shared/platform/runtime_dir.hpp"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace allot::platform {
namespace {

using Paths = std::vector<std::filesystem::path>;

// Sets or unsets a variable of the environment for as long as it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* const before = std::getenv(name); before != nullptr) before_ = before;
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) {
    if (value != nullptr) {
      ::setenv(name_, value, 1);
    } else {
      ::unsetenv(name_);
    }
  }

  const char* name_;
  std::optional<std::string> before_;
};

TEST(RuntimeDir, IsTheOneThatWasChosenAndNoOther) {
  const Variable chosen("ALLOT_RUNTIME_DIR", "/somewhere/else");
  const Variable of_user("XDG_RUNTIME_DIR", "/run/user/1000");
  EXPECT_EQ(candidate_runtime_dirs(), Paths{"/somewhere/else"});
}

TEST(RuntimeDir, IsTheSystemsAndThenTheUsers) {
  const Variable not_chosen("ALLOT_RUNTIME_DIR", nullptr);
  const Variable of_user("XDG_RUNTIME_DIR", "/run/user/1000");
  EXPECT_EQ(candidate_runtime_dirs(), (Paths{"/run/allot", "/run/user/1000/allot"}));
}

TEST(RuntimeDir, TakesAnEmptyVariableForNone) {
  const Variable not_chosen("ALLOT_RUNTIME_DIR", "");
  const Variable no_user("XDG_RUNTIME_DIR", "");
  EXPECT_EQ(candidate_runtime_dirs(), Paths{"/run/allot"});
}

}  // namespace
}  // namespace allot::platform
