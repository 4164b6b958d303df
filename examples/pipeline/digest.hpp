// Digest: SHA-256 and line count of a stream of bytes; the work that both variants do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <allot/arena.hpp>

#include "examples/pipeline/messages.hpp"

struct evp_md_st;
struct evp_md_ctx_st;

namespace pipeline {

class Digest {
 public:
  Digest();
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;
  ~Digest();

  /// Begins a new stream.
  void begin();
  void add(std::span<const std::byte> bytes);
  /// Ends the stream: its digest, size and line count, the rest of the message default.
  [[nodiscard]] FileDone end();

 private:
  evp_md_st* algorithm_;
  evp_md_ctx_st* context_;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t lines_ = 0;
};

/// 64 digits, as sha256sum prints them, in `arena`.
[[nodiscard]] std::string_view to_hex(const Sha256& digest, allot::Arena& arena);

}  // namespace pipeline
