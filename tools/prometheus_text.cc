#include "tools/prometheus_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace standpipe::tools {
namespace {

// Spec: in help a backslash and a line feed are escaped, in the value of a label the quote, too.
std::string escaped(std::string_view text, bool is_label) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || (is_label && c == '"')) out += '\\';
      out += c;
    }
  }
  return out;
}

std::string text_of(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

}  // namespace

std::string_view to_string(MetricType type) {
  switch (type) {
    case MetricType::counter:
      return "counter";
    case MetricType::gauge:
      return "gauge";
    case MetricType::histogram:
      break;
  }
  return "histogram";
}

void PrometheusText::family(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name,
                 escaped(help, /*is_label=*/false), name, to_string(type));
}

void PrometheusText::sample(std::string_view suffix, Labels labels, std::string_view value) {
  text_.append(name_).append(suffix);
  char before = '{';
  for (const auto& [name, label] : labels) {
    if (name.empty()) continue;
    text_ += std::exchange(before, ',');
    fmt::format_to(std::back_inserter(text_), "{}=\"{}\"", name, escaped(label, /*is_label=*/true));
  }
  if (before != '{') text_ += '}';
  text_.append(" ").append(value).append("\n");
}

void PrometheusText::count(Labels labels, std::uint64_t value) {
  sample("", labels, fmt::format("{}", value));
}

void PrometheusText::value(Labels labels, double value) { sample("", labels, text_of(value)); }

void PrometheusText::histogram(std::string_view label, std::string_view label_value,
                               const DurationHistogram& durations) {
  // The classes of the format are cumulative.
  std::uint64_t up_to_here = 0;
  for (std::size_t i = 0; i < durations.counts.size(); ++i) {
    up_to_here += durations.counts[i];
    const bool is_last = i == DurationHistogram::kBounds.size();
    const std::string bound = is_last ? "+Inf" : text_of(DurationHistogram::kBounds[i]);
    sample("_bucket", {{label, label_value}, {"le", bound}}, fmt::format("{}", up_to_here));
  }
  sample("_sum", {{label, label_value}}, text_of(durations.sum_seconds));
  sample("_count", {{label, label_value}}, fmt::format("{}", up_to_here));
}

}  // namespace standpipe::tools
