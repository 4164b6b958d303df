// protobuf's arena.

#include "bench/runner/arena_loop.hpp"

#include <google/protobuf/arena.h>

namespace allot::bench {

namespace {

template <bool kWrite>
class ProtobufLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t size_bytes) override {
    // It keeps some of the block for itself, and takes more where that is missing.
    const auto buffer = std::make_unique<char[]>(2 * kArenaBufferBytes);
    google::protobuf::ArenaOptions options;
    options.initial_block = buffer.get();
    options.initial_block_size = 2 * kArenaBufferBytes;
    google::protobuf::Arena arena(options);
    run_pushes<kWrite>(
        count, size_bytes,
        [&]() -> void* { return google::protobuf::Arena::CreateArray<char>(&arena, size_bytes); },
        [&] { arena.Reset(); });
  }
};

}  // namespace

std::unique_ptr<Loop> make_protobuf_loop(bool write) {
  if (write) return std::make_unique<ProtobufLoop<true>>();
  return std::make_unique<ProtobufLoop<false>>();
}

}  // namespace allot::bench
