// How the control socket's answers spell things: the JSON of errors, sums, sessions, spans, names
// and violations. docs/control.md is the reference for whoever reads them.
//
// Used by the control requests. Pure: values in, JSON out. Units are in the members' names; handles
// are strings, since many readers of JSON keep only 53 bits of a number.
#pragma once

#include <cstdint>
#include <string>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <allot/expected.hpp>

#include "daemon/core/region_core.hpp"
#include "shared/region/arena_note.hpp"
#include "shared/region/audit_report.hpp"

namespace allot::daemon {

/// {"ok":false,"error":{...}} and a newline.
[[nodiscard]] std::string error_line(const Error& error);

/// `value` and a newline.
[[nodiscard]] std::string answer_line(const boost::json::value& value);

/// "0x" and hexadecimal digits.
[[nodiscard]] std::string hex_text(std::uint64_t bits);

/// Adds granted_bytes, live_bytes, ... to `out`.
void add_space(boost::json::object& out, const region::SpaceSums& space);

/// What the session calls itself.
[[nodiscard]] std::string session_label(const core::RegionCore& region, std::uint32_t id);

/// Who it is and since when: session, incarnation, state, label, pid, uid, connected_unix_ns. Of an id
/// that nobody has the state is "absent", and nothing else is told.
[[nodiscard]] boost::json::object holder_json(const core::RegionCore& region, std::uint32_t id);

/// "small", "medium", "large", "chunked", "uncarved" or "invalid". Static storage.
[[nodiscard]] const char* span_kind(const region::Carving& carving) noexcept;

/// `sums`: what the audit found of this session; zeros if it found nothing.
[[nodiscard]] boost::json::object session_json(const core::RegionCore& region, std::uint32_t id,
                                               const core::RegionCore::SessionRecord& record,
                                               const region::SessionSums& sums);

[[nodiscard]] boost::json::object span_json(core::RegionCore& region, const region::SpanSums& span);

/// `name` is empty for a hidden one.
[[nodiscard]] boost::json::object name_json(const core::RegionCore& region, const std::string& name,
                                            const core::RegionCore::NameRecord& record);

/// A published block of chunks; empty if its words make no sense. `name` is empty for a hidden one.
[[nodiscard]] boost::json::object arena_json(const core::RegionCore& region,
                                             const std::string& name,
                                             const core::RegionCore::NameRecord& record);

/// An arena of one process, as that says; `span` holds its note.
[[nodiscard]] boost::json::object note_json(const region::ArenaNote& note,
                                            const core::SpanInfo& span);

[[nodiscard]] boost::json::object violation_json(const region::Violation& violation);

}  // namespace allot::daemon
