#include "examples/pipeline/digest.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <string>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

namespace {

void require(bool succeeded, const char* call) {
  if (!succeeded) throw Failure(ExitCode::kEnvironment, std::string(call) + " failed");
}

}  // namespace

Digest::Digest()
    : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  require(algorithm_ != nullptr, "EVP_MD_fetch(SHA256)");
  require(context_ != nullptr, "EVP_MD_CTX_new");
}

Digest::~Digest() {
  EVP_MD_CTX_free(context_);
  EVP_MD_free(algorithm_);
}

void Digest::begin() {
  require(EVP_DigestInit_ex2(context_, algorithm_, nullptr) == 1, "EVP_DigestInit_ex2");
  size_bytes_ = 0;
  lines_ = 0;
}

void Digest::add(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1, "EVP_DigestUpdate");
  size_bytes_ += bytes.size();
  lines_ += static_cast<std::uint64_t>(std::count(bytes.begin(), bytes.end(), std::byte{'\n'}));
}

FileDone Digest::end() {
  FileDone done;
  unsigned size = 0;
  require(EVP_DigestFinal_ex(context_, done.digest.data(), &size) == 1, "EVP_DigestFinal_ex");
  require(size == done.digest.size(), "SHA-256 of 32 bytes");
  done.size_bytes = size_bytes_;
  done.lines = lines_;
  return done;
}

std::string_view to_hex(const Sha256& digest, allot::Arena& arena) {
  constexpr const char* kDigits = "0123456789abcdef";
  char* const text = arena.push_array<char>(2 * digest.size());
  require(text != nullptr, "memory for a digest");
  for (std::size_t i = 0; i < digest.size(); ++i) {
    text[2 * i] = kDigits[digest[i] >> 4];
    text[2 * i + 1] = kDigits[digest[i] & 15];
  }
  return {text, 2 * digest.size()};
}

}  // namespace pipeline
