// RegionAnswer: an answer that goes over regions, one after the other, in slices.
//
// Base of what control_audits.hpp and control_lists.hpp make. Between two slices anything may
// happen to a region; so what is listed is looked up anew in each slice, by key and not by
// position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "daemon/control_query.hpp"
#include "daemon/control_requests.hpp"

namespace allot::daemon {

/// A slice of own words to look at (about 0.2 ms), and of items to turn into text (about as much).
inline constexpr std::uint64_t kControlSliceWords = 65'536;
inline constexpr std::size_t kControlSliceItems = 64;

using Regions = std::vector<core::RegionCore*>;

class RegionAnswer : public ControlRequest {
 public:
  RegionAnswer(const ControlQuery& query, ControlContext context, Regions regions);

  [[nodiscard]] std::optional<std::string> step() final;

 protected:
  /// One slice of work on `region`; true when its JSON object is in `out` as a whole.
  [[nodiscard]] virtual bool step_region(core::RegionCore& region, std::string& out) = 0;

  /// What the daemon's mapping allows to be looked at.
  [[nodiscard]] std::uint64_t window_granules(const core::RegionCore& region) const;
  [[nodiscard]] std::uint32_t heap_window(const core::RegionCore& region) const;
  [[nodiscard]] const ControlContext& context() const noexcept { return context_; }

 private:
  ControlContext context_;
  Regions regions_;
  std::size_t next_region_ = 0;
  std::string text_;
};

/// The text of {"region":NAME,KEY:[item, ...], ...}, made item by item.
class ItemList {
 public:
  void begin(std::string& out, const std::string& region, std::string_view key);
  void add(std::string& out, const boost::json::object& item);
  /// `rest`: further members behind the list.
  void end(std::string& out, const boost::json::object& rest = {});
  [[nodiscard]] bool is_begun() const noexcept { return begun_; }

 private:
  bool begun_ = false;
  bool any_ = false;
};

}  // namespace allot::daemon
