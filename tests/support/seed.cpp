#include "tests/support/seed.hpp"

#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "tests/support/sanitizer.hpp"

namespace allot::test {

namespace {

constexpr std::uint64_t kSlowdown = kAddressSanitizer || kThreadSanitizer ? 10 : 1;

// What on_signal() writes: ready before the signal, since little may be called in a handler.
std::array<char, 64> dying_words{};

void on_signal(int number) {
  const std::string_view words(dying_words.data());
  (void)!::write(STDERR_FILENO, words.data(), words.size());
  (void)std::signal(number, SIG_DFL);
  (void)std::raise(number);
}

std::string replay_text(std::uint64_t seed) {
  return "replay with ALLOT_TEST_SEED=" + std::to_string(seed);
}

}  // namespace

SeedRange seeds(std::uint64_t count) {
  SeedRange range{1, count / kSlowdown > 0 ? count / kSlowdown : 1};
  if (const char* const many = std::getenv("ALLOT_TEST_SEEDS"); many != nullptr) {
    const std::string_view text(many);
    if (std::from_chars(text.data(), text.data() + text.size(), range.count).ec != std::errc()) {
      ADD_FAILURE() << "ALLOT_TEST_SEEDS is not a number: " << text;
    }
  }
  const char* const wanted = std::getenv("ALLOT_TEST_SEED");
  if (wanted == nullptr) return range;
  const std::string_view text(wanted);
  if (text == "random") {
    std::random_device device;
    range.first = device();
  } else if (std::from_chars(text.data(), text.data() + text.size(), range.first).ec ==
             std::errc()) {
    range.count = 1;
  } else {
    ADD_FAILURE() << "ALLOT_TEST_SEED is neither a number nor 'random': " << text;
  }
  std::printf("seeds %llu .. %llu\n", static_cast<unsigned long long>(range.first),
              static_cast<unsigned long long>(range.first + range.count - 1));
  return range;
}

SeedScope::SeedScope(const char* file, int line, std::uint64_t seed)
    : trace_(file, line, replay_text(seed)) {
  const std::string words = replay_text(seed) + '\n';
  words.copy(dying_words.data(), dying_words.size() - 1);
  dying_words.at(words.size()) = '\0';
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT}) {
    const auto before = std::signal(number, on_signal);
    // A handler of somebody else (a sanitizer's) tells more than ours.
    if (before != SIG_DFL && before != SIG_ERR && before != on_signal) {
      (void)std::signal(number, before);
    }
  }
}

SeedScope::~SeedScope() {
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT}) {
    const auto before = std::signal(number, SIG_DFL);
    if (before != on_signal && before != SIG_ERR) (void)std::signal(number, before);
  }
}

}  // namespace allot::test
