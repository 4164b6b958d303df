#include "tests/support/fault_probe.hpp"

#include <array>
#include <csetjmp>
#include <csignal>

namespace allot::test {

namespace {

constexpr std::array kSignals = {SIGSEGV, SIGBUS};

// What the handler needs; written before it is installed.
sigjmp_buf way_back;
const volatile std::byte* probed = nullptr;

void on_fault(int number, siginfo_t* info, void* /*context*/) {
  if (info->si_addr == const_cast<const std::byte*>(probed)) siglongjmp(way_back, 1);
  (void)std::signal(number,
                    SIG_DFL);  // the access is repeated and ends the process
}

class Handlers {
 public:
  Handlers() {
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO;
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      ::sigaction(kSignals.at(i), &action, &before_.at(i));
    }
  }
  Handlers(const Handlers&) = delete;
  Handlers& operator=(const Handlers&) = delete;
  ~Handlers() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) {
      ::sigaction(kSignals.at(i), &before_.at(i), nullptr);
    }
  }

 private:
  std::array<struct sigaction, kSignals.size()> before_{};
};

// The handlers stand outside the function that is jumped back into, so that no object lives there.
bool faults(const std::byte* address, void (*access)()) {
  const Handlers handlers;
  probed = address;
  return [access] {
    if (sigsetjmp(way_back, 1) != 0) return true;
    access();
    return false;
  }();
}

}  // namespace

bool read_faults(const std::byte* address) {
  return faults(address, [] { (void)*probed; });
}

bool write_faults(std::byte* address) {
  return faults(address, [] { *const_cast<volatile std::byte*>(probed) = std::byte{0}; });
}

}  // namespace allot::test
