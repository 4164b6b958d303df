// place_text(): a place in the source as people read it.
#pragma once

#include <string>

#include <allot/place.hpp>

namespace allot::detail {

/// "file:line"; of one that is longer than `room_bytes` the end, which tells more.
[[nodiscard]] inline std::string place_text(Place place, std::size_t room_bytes) {
  std::string text = std::string(place.file) + ':' + std::to_string(place.line);
  if (text.size() > room_bytes) text.erase(0, text.size() - room_bytes);
  return text;
}

}  // namespace allot::detail
