// Table: rows of text in aligned columns; and numbers as people read them.
//
// Used by the commands that print lists. Columns are as wide as their widest cell, numbers stand
// right; nothing is cut.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace allot::ctl {

class Table {
 public:
  enum class Align : std::uint8_t { kLeft, kRight };
  struct Column {
    std::string heading;
    Align align = Align::kRight;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// `cells` has one text for each column.
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }

  /// Heading and rows, a line each.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// "0 B", "512 B", "1.5 KiB", "64.0 GiB".
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);

/// "0.4", "12.0": one decimal.
[[nodiscard]] std::string rate_text(double per_second);

/// How long that is, in the unit that says it best: "12 s", "3 min", "5 h", "2 d". "0 s" if `to` is
/// before `from`.
[[nodiscard]] std::string span_of_time_text(std::uint64_t from_unix_ns, std::uint64_t to_unix_ns);

/// What time it is, as the daemon's answers have it.
[[nodiscard]] std::uint64_t unix_now_ns();

/// How long ago that was: "12 s", "3 min", "5 h", "2 d"; "-" for 0.
[[nodiscard]] std::string age_text(std::uint64_t unix_ns);

/// "1 block", "2 blocks".
[[nodiscard]] std::string count_text(std::uint64_t count, const std::string& noun);

}  // namespace allot::ctl
