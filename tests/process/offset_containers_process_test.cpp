// Containers that one process makes in a shared arena and another reads, which sees them elsewhere.

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <boost/container/map.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>

#include <allot/offset_allocator.hpp>
#include <allot/shared_arena.hpp>

#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;
using test::require;

namespace bc = boost::container;

using Text = bc::basic_string<char, std::char_traits<char>, OffsetAllocator<char>>;
using Numbers = bc::vector<std::uint64_t, OffsetAllocator<std::uint64_t>>;
using Entry = std::pair<const int, Text>;
using Index = bc::map<int, Text, std::less<>, OffsetAllocator<Entry>>;

constexpr std::uint64_t kNumbers = 10'000;
constexpr int kEntries = 1000;

// Where they lie: offsets are for everybody, the address is the maker's.
struct Root {
  std::uint64_t numbers;
  std::uint64_t index;
  std::uint64_t title;
  std::uint64_t address_of_numbers;
};

// Some are short and lie in the string itself, some do not.
std::string text_of(int key) {
  return std::string(static_cast<std::size_t>(key % 50), 'x') + std::to_string(key);
}

// No mapping made later in this process lies where the maker has the arena.
void keep_away_from(std::uint64_t address) {
  const std::size_t page = platform::page_size_bytes();
  // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of another process
  void* const place = reinterpret_cast<void*>(address / page * page);
  (void)::mmap(place, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

template <class T>
const T& found(const SharedArena& arena, std::uint64_t offset) {
  const void* const place = arena.at(offset, sizeof(T));
  require(place != nullptr, "not in the arena");
  return *static_cast<const T*>(place);
}

ALLOT_TEST_ROLE(containers_reader) {
  const auto root = test.receive<Root>();
  keep_away_from(root.address_of_numbers);
  Session session = test::connect_as_told(test);
  const auto arena = SharedArena::attach(session, "containers", ShareAccess::kReadOnly).value();

  const auto& numbers = found<Numbers>(arena, root.numbers);
  require(reinterpret_cast<std::uintptr_t>(&numbers) != root.address_of_numbers, "the same place");
  require(numbers.size() == kNumbers && arena.contains(numbers.data()), "numbers lie elsewhere");
  for (std::uint64_t i = 0; i < kNumbers; ++i) require(numbers[i] == i * i, "another number");

  const auto& index = found<Index>(arena, root.index);
  require(index.size() == kEntries, "entries are missing");
  int next = 0;
  for (const auto& [key, text] : index) {
    require(key == next++ && arena.contains(&key) && arena.contains(text.data()), "another entry");
    require(text_of(key) == text.c_str(), "another text of " + std::to_string(key));
  }
  require(index.find(700)->second == text_of(700).c_str(), "a look-up");
  require(index.find(kEntries) == index.end(), "found what is not there");

  const auto& title = found<Text>(arena, root.title);
  require(title == "a title that is too long to lie in the string itself", "another title");
  auto* const first = reinterpret_cast<std::byte*>(const_cast<std::uint64_t*>(numbers.data()));
  require(test::write_faults(first), "a reader could write");
  test.send(numbers.size() + index.size());
}

class OffsetContainersProcess : public test::ServedRegion {};

TEST_F(OffsetContainersProcess, AreReadByAnotherProcessAtAnotherAddress) {
  auto arena =
      SharedArena::create(session(), "containers", {std::uint64_t{4} << 20, 1 << 20}).value();
  Root root{};
  {
    OffsetArena lent(arena);
    auto* const numbers = lent.make<Numbers>(lent.allocator<std::uint64_t>());
    for (std::uint64_t i = 0; i < kNumbers; ++i) numbers->push_back(i * i);
    auto* const index = lent.make<Index>(std::less<>(), lent.allocator<Entry>());
    for (int i = 0; i < kEntries; ++i) {
      const int key = i * 7 % kEntries;
      index->emplace(key, Text(text_of(key).c_str(), lent.allocator<char>()));
    }
    auto* const title = lent.make<Text>("a title that is too long to lie in the string itself",
                                        lent.allocator<char>());
    root = {arena.offset_of(numbers), arena.offset_of(index), arena.offset_of(title),
            reinterpret_cast<std::uintptr_t>(numbers)};
  }
  Agent reader("containers_reader");
  reader->send(root);
  const ExitNotice exit(session(), test::introduce(reader.link(), daemon()));
  EXPECT_EQ(reader->receive<std::size_t>(), kNumbers + kEntries);
  EXPECT_TRUE(reader.finish());
  ASSERT_TRUE(exit.wait());
  EXPECT_TRUE(arena.unpublish("containers").has_value());
  arena = SharedArena();
  expect_nothing_left();
}

}  // namespace
}  // namespace allot
