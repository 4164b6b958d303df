#include "client/call_stack.hpp"

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string_view>

namespace allot::detail {

namespace {

// Where this library's code lies; empty if it is part of the program.
struct OwnCode {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool is_first = true;
};

int look_for_own_code(dl_phdr_info* object, std::size_t /*size*/, void* out) noexcept {
  OwnCode& own = *static_cast<OwnCode*>(out);
  // The first object is the program.
  const bool is_program = std::exchange(own.is_first, false);
  const auto here = reinterpret_cast<std::uintptr_t>(&look_for_own_code);
  for (std::size_t i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    if (segment.p_type != PT_LOAD || here < begin || here - begin >= segment.p_memsz) continue;
    if (!is_program) own = {begin, begin + segment.p_memsz, false};
    return 1;
  }
  return 0;
}

const OwnCode& own_code() noexcept {
  static const OwnCode kOwn = [] {
    OwnCode own;
    (void)::dl_iterate_phdr(look_for_own_code, &own);
    return own;
  }();
  return kOwn;
}

}  // namespace

void TakenStack::take() noexcept {
  const int count = ::backtrace(frames_.data(), static_cast<int>(frames_.size()));
  end_ = frames_.data() + count;
  // The first is here.
  begin_ = frames_.data() + std::min(count, 1);
  const OwnCode& own = own_code();
  begin_ = std::find_if(begin_, end_, [&](const void* frame) {
    const auto address = reinterpret_cast<std::uintptr_t>(frame);
    return address < own.begin || address >= own.end;
  });
}

void prepare_stacks() noexcept {
  TakenStack first;  // loads the unwinder
  first.take();
}

std::string places_text(const CallStack& frames, std::size_t most) {
  std::ostringstream out;
  for (std::size_t i = 0; i < std::min(frames.size(), most); ++i) {
    // The call, not what follows it.
    const auto address = reinterpret_cast<std::uintptr_t>(frames[i]) - 1;
    Dl_info object{};
    out << (i > 0 ? " " : "") << std::hex;
    if (::dladdr(frames[i], &object) == 0 || object.dli_fname == nullptr) {
      out << "0x" << address;
      continue;
    }
    std::string_view name = object.dli_fname;
    name.remove_prefix(name.rfind('/') + 1);
    out << name << "+0x" << address - reinterpret_cast<std::uintptr_t>(object.dli_fbase);
  }
  return out.str();
}

}  // namespace allot::detail
