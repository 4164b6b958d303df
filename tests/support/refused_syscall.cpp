#include "tests/support/refused_syscall.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>

namespace allot::test {

bool refuse_syscall(long number, int error, ArgumentTest test) {
  static_assert(std::endian::native == std::endian::little, "the low half comes first");
  const auto argument =
      static_cast<std::uint32_t>(offsetof(seccomp_data, args) + test.index * sizeof(std::uint64_t));
  const std::uint16_t jump = test.kind == ArgumentTest::Kind::kHasBit ? BPF_JSET : BPF_JEQ;
  const std::uint8_t unless = test.kind == ArgumentTest::Kind::kAlways ? 0 : 1;
  std::array<sock_filter, 6> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument),
      BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | jump | BPF_K), test.value, 0, unless),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

bool refuse_what_older_kernels_lack() {
  constexpr std::uint32_t kNoExecSeal = 0x0008;  // of memfd_create, 6.3
  constexpr std::uint32_t kPeerPidfd = 77;       // of getsockopt, 6.5
  constexpr std::uint32_t kPassRights = 83;      // of setsockopt, 6.16
  constexpr std::uint32_t kPopulateWrite = 23;   // of madvise, 5.14
  using Kind = ArgumentTest::Kind;
  return refuse_syscall(SYS_memfd_create, EINVAL, {Kind::kHasBit, 1, kNoExecSeal}) &&
         refuse_syscall(SYS_getsockopt, ENOPROTOOPT, {Kind::kEquals, 2, kPeerPidfd}) &&
         refuse_syscall(SYS_setsockopt, ENOPROTOOPT, {Kind::kEquals, 2, kPassRights}) &&
         refuse_syscall(SYS_madvise, EINVAL, {Kind::kEquals, 2, kPopulateWrite});
}

}  // namespace allot::test
