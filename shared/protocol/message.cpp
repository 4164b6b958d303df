#include "shared/protocol/message.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <utility>

namespace allot::protocol {

namespace {

static_assert(std::endian::native == std::endian::little,
              "bodies are copied as they lie in memory");
static_assert(sizeof(Header) == 24 && std::has_unique_object_representations_v<Header>);
constexpr std::size_t kBodyBytes = kMessageBytes - sizeof(Header);

Error bad(std::string detail) { return {Errc::kBadMessage, std::move(detail)}; }

template <std::size_t N>
bool is_terminated(const std::array<char, N>& field) noexcept {
  return std::find(field.begin(), field.end(), '\0') != field.end();
}

template <class T>
bool texts_are_terminated(const T& body) noexcept {
  bool ok = true;
  if constexpr (requires { body.region; }) ok = ok && is_terminated(body.region);
  if constexpr (requires { body.label; }) ok = ok && is_terminated(body.label);
  if constexpr (requires { body.name; }) ok = ok && is_terminated(body.name);
  if constexpr (requires { body.detail; }) ok = ok && is_terminated(body.detail);
  return ok;
}

template <class T>
Expected<Message> decode_body(const Header& header, std::span<const std::byte> bytes) {
  constexpr std::size_t kUsed = std::is_empty_v<T> ? 0 : sizeof(T);
  const auto rest = bytes.subspan(kUsed);
  if (std::any_of(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; })) {
    return bad("unused bytes of kind " + std::to_string(header.kind) + " are not zero");
  }
  T body{};
  if constexpr (kUsed > 0) std::memcpy(&body, bytes.data(), kUsed);
  if (!texts_are_terminated(body)) {
    return bad("a text of kind " + std::to_string(header.kind) + " has no end");
  }
  return Message{header.request, body};
}

template <std::size_t... I>
Expected<Message> decode_any(const Header& header, std::span<const std::byte> bytes,
                             std::index_sequence<I...> /*bodies*/) {
  Expected<Message> out = bad("unknown kind " + std::to_string(header.kind));
  const auto try_one = [&]<class T>() {
    static_assert(sizeof(T) <= kBodyBytes);
    static_assert(std::is_empty_v<T> ||
                  (std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>));
    if (header.kind != static_cast<std::uint16_t>(T::kKind)) return false;
    out = decode_body<T>(header, bytes);
    return true;
  };
  (void)(try_one.template operator()<std::variant_alternative_t<I, Body>>() || ...);
  return out;
}

}  // namespace

Wire encode(const Message& message) noexcept {
  Wire wire{};
  std::visit(
      [&]<class T>(const T& body) {
        Header header;
        header.kind = static_cast<std::uint16_t>(T::kKind);
        header.request = message.request;
        std::memcpy(wire.data(), &header, sizeof(header));
        if constexpr (!std::is_empty_v<T>) {
          std::memcpy(wire.data() + sizeof(header), &body, sizeof(body));
        }
      },
      message.body);
  return wire;
}

Expected<Message> decode(std::span<const std::byte> bytes) {
  if (bytes.size() != kMessageBytes) {
    return bad(std::to_string(bytes.size()) + " bytes instead of " + std::to_string(kMessageBytes));
  }
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMessageMagic) return bad("wrong magic number");
  if (header.version != kProtocolVersion) {
    return Error(Errc::kProtocolVersion, "peer speaks version " + std::to_string(header.version) +
                                             ", this side " + std::to_string(kProtocolVersion));
  }
  if (header.reserved != 0) return bad("reserved header bytes are not zero");
  return decode_any(header, bytes.subspan(sizeof(header)),
                    std::make_index_sequence<std::variant_size_v<Body>>{});
}

bool is_valid_name(std::string_view name, std::size_t limit) noexcept {
  return !name.empty() && name.size() < limit &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7F'; });
}

Failure make_failure(const Error& error) noexcept {
  Failure failure;
  failure.errc = static_cast<std::uint64_t>(error.errc());
  set_text(failure.detail,
           error.errc() == Errc::kSystem ? std::string_view(error.code.message()) : error.detail);
  return failure;
}

Error to_error(const Failure& failure) {
  return {static_cast<Errc>(failure.errc), std::string(text(failure.detail))};
}

}  // namespace allot::protocol
