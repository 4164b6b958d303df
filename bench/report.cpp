#include "bench/report.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <iomanip>
#include <sstream>

#include "bench/target.hpp"

namespace allot::bench {

namespace {

namespace json = boost::json;

std::string number(double value) {
  std::ostringstream text;
  text << std::setprecision(value != 0 && value < 100 ? 3 : 6) << value;
  return text.str();
}

std::string range(const Sample& sample) {
  return number(sample.median()) + " [" + number(sample.min()) + " .. " + number(sample.max()) +
         "]";
}

json::object by_name(const std::vector<NamedSample>& samples, double (Sample::*statistic)() const) {
  json::object object;
  for (const NamedSample& named : samples) object[named.name] = (named.sample.*statistic)();
  return object;
}

json::object spread(const Measurement& measurement, double (Sample::*statistic)() const) {
  json::object object = by_name(measurement.peers, statistic);
  for (const auto& [name, value] : by_name(measurement.beside, statistic)) object[name] = value;
  object["ours"] = (measurement.ours.*statistic)();
  return object;
}

json::object to_json(const Measurement& measurement) {
  const NamedSample* const best = measurement.best_peer();
  const std::optional<double> ratio = measurement.ratio();
  const Target* const target = target_of(measurement);
  json::object row;
  row["family"] = measurement.family;
  row["case"] = measurement.case_name;
  row["unit"] = measurement.unit;
  row["ours"] = measurement.ours.median();
  row["peers"] = by_name(measurement.peers, &Sample::median);
  row["best_peer"] = best != nullptr ? json::value(best->name) : json::value();
  row["ratio"] = ratio ? json::value(*ratio) : json::value();
  row["target"] = target != nullptr ? json::value(target->at_most) : json::value();
  if (target != nullptr) {
    row["target_of"] = target->of == Target::Of::kRatio ? "ratio" : "ours";
    row["claim"] = json::string_view(target->claim.data(), target->claim.size());
    row["met"] = target->met_by(measurement);
  }
  row["beside"] = by_name(measurement.beside, &Sample::median);
  row["repetitions"] = measurement.ours.count();
  row["min"] = spread(measurement, &Sample::min);
  row["max"] = spread(measurement, &Sample::max);
  return row;
}

using Cells = std::vector<std::string>;

Cells cells(const Measurement& measurement) {
  const NamedSample* const best = measurement.best_peer();
  const std::optional<double> ratio = measurement.ratio();
  const Target* const target = target_of(measurement);
  Cells row = {measurement.family,
               measurement.case_name,
               measurement.unit,
               range(measurement.ours),
               best != nullptr ? best->name + ' ' + range(best->sample) : "-",
               ratio ? number(*ratio) : "-",
               "-",
               ""};
  if (target != nullptr) {
    row[6] = std::string(target->of == Target::Of::kRatio ? "ratio" : "ours") +
             " <= " + number(target->at_most);
    row[7] = target->met_by(measurement) ? "PASS" : "over";
  }
  return row;
}

void write_details(std::ostream& out, const Measurement& measurement) {
  const NamedSample* const best = measurement.best_peer();
  std::string line;
  const auto append = [&line](const NamedSample& named) {
    line += (line.empty() ? "" : ",  ") + named.name + ' ' + range(named.sample);
  };
  for (const NamedSample& beside : measurement.beside) append(beside);
  for (const NamedSample& peer : measurement.peers) {
    if (&peer != best) append(peer);
  }
  if (!line.empty()) out << "    " << line << '\n';
}

}  // namespace

void write_json(std::ostream& out, const std::vector<Measurement>& measurements) {
  out << "[\n";
  for (std::size_t i = 0; i < measurements.size(); ++i) {
    out << "  " << json::serialize(to_json(measurements[i]))
        << (i + 1 < measurements.size() ? ",\n" : "\n");
  }
  out << "]\n";
}

void write_table(std::ostream& out, const std::vector<Measurement>& measurements) {
  std::vector<Cells> rows = {
      {"FAMILY", "CASE", "UNIT", "OURS [MIN .. MAX]", "BEST PEER", "RATIO", "TARGET", ""}};
  for (const Measurement& measurement : measurements) rows.push_back(cells(measurement));
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const Cells& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (std::size_t line = 0; line < rows.size(); ++line) {
    std::ostringstream text;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      text << std::left << std::setw(static_cast<int>(widths[i]) + 2) << rows[line][i];
    }
    std::string trimmed = text.str();
    trimmed.erase(trimmed.find_last_not_of(' ') + 1);
    out << trimmed << '\n';
    if (line > 0) write_details(out, measurements[line - 1]);
  }
}

}  // namespace allot::bench
