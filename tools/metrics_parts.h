// The parts of metrics_text(), each in a file of its own.
#pragma once

#include <string_view>

#include "tools/metrics.h"
#include "tools/prometheus_text.h"

namespace standpipe::tools {

void add_process_metrics(PrometheusText& text, const MetricsSample& sample);
void add_stream_metrics(PrometheusText& text, const MetricsSample& sample);    // as it is stored
void add_upstream_metrics(PrometheusText& text, const MetricsSample& sample);  // as it comes
void add_archive_metrics(PrometheusText& text, const MetricsSample& sample);
void add_server_metrics(PrometheusText& text, const MetricsSample& sample);

// Families of one sample without labels.
void add_gauge(PrometheusText& text, std::string_view name, std::string_view help,
               std::uint64_t value);
void add_counter(PrometheusText& text, std::string_view name, std::string_view help,
                 std::uint64_t value);

}  // namespace standpipe::tools
