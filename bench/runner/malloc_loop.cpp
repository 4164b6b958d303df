// The peers that are a malloc. Compiled with -fno-builtin-malloc.

#include <dlfcn.h>

#include <cstdlib>

#include "bench/runner/loop.hpp"

namespace allot::bench {

namespace {

// NOLINTBEGIN(cppcoreguidelines-no-malloc): malloc is what is measured.
class MallocLoop final : public Loop {
 public:
  void run(std::uint64_t pairs, std::size_t size_bytes) override {
    run_pairs(
        pairs, [size_bytes] { return std::malloc(size_bytes); },
        [](void* block) { std::free(block); });
  }

  [[nodiscard]] std::string served_by() const override {
    Dl_info info{};
    void* const symbol = dlsym(RTLD_DEFAULT, "malloc");
    if (symbol == nullptr || dladdr(symbol, &info) == 0 || info.dli_fname == nullptr) return "?";
    return info.dli_fname;
  }
};
// NOLINTEND(cppcoreguidelines-no-malloc)

}  // namespace

std::unique_ptr<Loop> make_malloc_loop() { return std::make_unique<MallocLoop>(); }

}  // namespace allot::bench
