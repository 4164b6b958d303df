// Text of others made harmless: labels, names and whatever else came from a client or a daemon.
//
// A terminal obeys escape sequences and C1 controls, an XML reader angle brackets; neither gets to
// see any. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace allot::ctl {

/// `text` with every byte that is not printable ASCII made '?'.
[[nodiscard]] inline std::string plain_text(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

/// The same, fit for the inside of an XML element or of a quoted attribute.
[[nodiscard]] inline std::string xml_text(std::string_view text) {
  std::string out;
  for (const char c : plain_text(text)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&apos;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace allot::ctl
