#include "tests/support/store_trace.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction's names
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "shared/platform/page_size.hpp"

namespace allot::test {

#if defined(__x86_64__)

namespace {

constexpr greg_t kTrapFlag = 0x100;
// By one instruction: of a string instruction each step is one.
constexpr std::size_t kMostStored = 64;

// What the handlers work on, of the trace that runs.
struct Trace {
  const Areas* areas = nullptr;
  std::size_t page_bytes = 0;
  std::size_t area = 0;                         // of the store that is let through
  std::size_t page = 0;                         // offset of its page
  std::size_t place = 0;                        // of its first byte
  std::array<std::byte, kMostStored> before{};  // what lies there
  const std::function<void(const StoredBytes&)>* stored = nullptr;
};
Trace* running = nullptr;

void protect(int protection) {
  // The store may reach into the next page.
  const std::span<std::byte> area = (*running->areas)[running->area];
  const std::size_t bytes = std::min(2 * running->page_bytes, area.size() - running->page);
  if (::mprotect(area.data() + running->page, bytes, protection) != 0) std::abort();
}

void on_fault(int /*signal*/, siginfo_t* info, void* context) {
  const auto* const address = static_cast<const std::byte*>(info->si_addr);
  for (std::size_t i = 0; running != nullptr && i < running->areas->size(); ++i) {
    const std::span<std::byte> area = (*running->areas)[i];
    if (address < area.data() || address >= area.data() + area.size()) continue;
    running->area = i;
    running->place = static_cast<std::size_t>(address - area.data());
    running->page = running->place / running->page_bytes * running->page_bytes;
    const std::size_t bytes = std::min(kMostStored, area.size() - running->place);
    std::memcpy(running->before.data(), address, bytes);
    protect(PROT_READ | PROT_WRITE);
    static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] |= kTrapFlag;
    return;
  }
  ::signal(SIGSEGV, SIG_DFL);  // somebody else's: it happens again
}

void on_step(int /*signal*/, siginfo_t* /*info*/, void* context) {
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~kTrapFlag;
  protect(PROT_READ);
  const std::span<std::byte> area = (*running->areas)[running->area];
  const auto bytes =
      area.subspan(running->place, std::min(kMostStored, area.size() - running->place));
  const std::byte* const before = running->before.data();
  const auto [first, ignored] = std::mismatch(bytes.begin(), bytes.end(), before);
  if (first == bytes.end()) return;
  std::size_t last = bytes.size();
  while (bytes[last - 1] == before[last - 1]) --last;
  const auto begin = running->place + static_cast<std::size_t>(first - bytes.begin());
  (*running->stored)(
      {running->area, begin, {first, bytes.begin() + static_cast<std::ptrdiff_t>(last)}});
}

}  // namespace

void trace_each_store(const Areas& areas, const std::function<void()>& code,
                      const std::function<void(const StoredBytes&)>& stored) {
  Trace trace;
  trace.areas = &areas;
  trace.stored = &stored;
  trace.page_bytes = platform::page_size_bytes();

  struct sigaction fault {};
  fault.sa_sigaction = &on_fault;
  fault.sa_flags = SA_SIGINFO | SA_NODEFER;
  struct sigaction step = fault;
  step.sa_sigaction = &on_step;
  struct sigaction old_fault {};
  struct sigaction old_step {};
  ::sigaction(SIGSEGV, &fault, &old_fault);
  ::sigaction(SIGTRAP, &step, &old_step);
  running = &trace;
  for (const auto& area : areas) ::mprotect(area.data(), area.size(), PROT_READ);
  code();
  for (const auto& area : areas) ::mprotect(area.data(), area.size(), PROT_READ | PROT_WRITE);
  running = nullptr;
  ::sigaction(SIGSEGV, &old_fault, nullptr);
  ::sigaction(SIGTRAP, &old_step, nullptr);
}

#else

void trace_each_store(const Areas& /*areas*/, const std::function<void()>& code,
                      const std::function<void(const StoredBytes&)>& /*stored*/) {
  code();
}

#endif

std::vector<StoredBytes> trace_stores(const Areas& areas, const std::function<void()>& code) {
  std::vector<StoredBytes> stores;
  trace_each_store(areas, code, [&](const StoredBytes& one) { stores.push_back(one); });
  return stores;
}

}  // namespace allot::test
