#include "daemon/supervised_child.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "shared/platform/memfd.hpp"

namespace allot::daemon {
namespace {

TEST(SupervisedChild, GetsEachDescriptorWhereItsNameStandsThoughThereIsRoomForNoOther) {
  std::vector<unsigned> pages(100);
  for (unsigned i = 0; i < pages.size(); ++i) pages[i] = 100 + i;
  std::shuffle(pages.begin(), pages.end(), std::mt19937_64(1));
  DescriptorStore store;
  for (const unsigned size : pages) {
    auto file = platform::make_sealed_memfd("stored", std::uint64_t{4096} * size);
    ASSERT_TRUE(file);
    ASSERT_TRUE(store.add(std::to_string(size), std::move(*file)));
  }
  const auto descriptors = store.descriptors();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // One more than there are, which is what it may use.
  const rlimit tight{
      static_cast<rlim_t>(*std::max_element(descriptors.begin(), descriptors.end())) + 2,
      before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  const std::string check =
      "ulimit -Sn $(ulimit -Hn); [ $LISTEN_PID = $$ ] || exit 2; fd=3; IFS=:;"
      "for name in $LISTEN_FDNAMES; do"
      "  [ $(stat -Lc %s /proc/self/fd/$fd) = $((name * 4096)) ] || exit 3; fd=$((fd + 1));"
      "done; [ $((fd - 3)) = $LISTEN_FDS ]";
  const auto child = start_child({"/bin/sh", {"sh", "-c", check}, "/nonexistent"}, store);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(child);
  int status = 0;
  ASSERT_EQ(::waitpid(*child, &status, 0), *child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace allot::daemon
