// Metrics in the text format of Prometheus, version 0.0.4.
// Spec: prometheus.io/docs/instrumenting/exposition_formats.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "schema/base/duration_histogram.h"

namespace standpipe::tools {

inline constexpr std::string_view kPrometheusContentType =
    "text/plain; version=0.0.4; charset=utf-8";

enum class MetricType : std::uint8_t { counter, gauge, histogram };
std::string_view to_string(MetricType type);

// One thread. Families come one after another, each with its samples behind it; one without samples
// is told all the same, so that what can be scraped does not depend on what runs.
class PrometheusText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // `help`: one line. A histogram takes no samples but those of histogram().
  void family(std::string_view name, MetricType type, std::string_view help);
  // Of the family begun last. Counts are written exactly, whatever their size.
  void count(Labels labels, std::uint64_t value);
  void value(Labels labels, double value);
  void histogram(std::string_view label, std::string_view label_value,
                 const DurationHistogram& durations);

  std::string take() { return std::move(text_); }

 private:
  void sample(std::string_view suffix, Labels labels, std::string_view value);

  std::string text_;
  std::string name_;  // of the family begun last
};

}  // namespace standpipe::tools
