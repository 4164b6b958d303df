#include "tests/support/machine_changes.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <stdexcept>

#include "shared/platform/descriptor.hpp"

namespace allot::test {

ChangedMachine::ChangedMachine() {
  std::string name = (std::filesystem::temp_directory_path() / "allot-test-XXXXXX").native();
  const platform::Descriptor file(::mkostemp(name.data(), O_CLOEXEC));
  file_ = name;
  void* const place = ::ftruncate(file.get(), sizeof(MachineChanges)) == 0
                          ? ::mmap(nullptr, sizeof(MachineChanges), PROT_READ | PROT_WRITE,
                                   MAP_SHARED, file.get(), 0)
                          : MAP_FAILED;
  if (place == MAP_FAILED) throw std::runtime_error("no file for the changes of a machine");
  changes_ = new (place) MachineChanges();
}

ChangedMachine::~ChangedMachine() {
  ::munmap(changes_, sizeof(MachineChanges));
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

}  // namespace allot::test
