#include "tools/prometheus_text.h"

#include <gtest/gtest.h>

#include <limits>

namespace standpipe::tools {
namespace {

TEST(PrometheusText, AFamilyIsTwoLinesAndItsSamplesFollow) {
  PrometheusText text;
  text.family("a_total", MetricType::counter, "What it counts.");
  text.count({}, 18'446'744'073'709'551'615U);
  text.count({{"stream", "repos"}, {"reason", "late"}}, 7);
  text.family("b_seconds", MetricType::gauge, "How long.");
  text.value({{"stream", "repos"}}, 0.25);
  text.value({}, -3);
  EXPECT_EQ(text.take(),
            "# HELP a_total What it counts.\n# TYPE a_total counter\n"
            "a_total 18446744073709551615\n"
            "a_total{stream=\"repos\",reason=\"late\"} 7\n"
            "# HELP b_seconds How long.\n# TYPE b_seconds gauge\n"
            "b_seconds{stream=\"repos\"} 0.25\nb_seconds -3\n");
}

TEST(PrometheusText, WhatWouldEndALineOrAValueIsEscaped) {
  PrometheusText text;
  text.family("a", MetricType::gauge, "one \\ and\n\"two\"");
  text.count({{"label", "one \\ and\n\"two\""}}, 1);
  EXPECT_EQ(text.take(),
            "# HELP a one \\\\ and\\n\"two\"\n# TYPE a gauge\n"
            "a{label=\"one \\\\ and\\n\\\"two\\\"\"} 1\n");
}

TEST(PrometheusText, ValuesThatAreNoNumbersHaveNamesOfTheirOwn) {
  PrometheusText text;
  text.family("a", MetricType::gauge, "x");
  text.value({}, std::numeric_limits<double>::quiet_NaN());
  text.value({}, std::numeric_limits<double>::infinity());
  text.value({}, -std::numeric_limits<double>::infinity());
  EXPECT_EQ(text.take(), "# HELP a x\n# TYPE a gauge\na NaN\na +Inf\na -Inf\n");
}

TEST(PrometheusText, TheClassesOfAHistogramAddUp) {
  DurationHistogram durations;
  durations.add(0.0005);  // the upper end belongs to its class
  durations.add(0.0006);
  durations.add(0.7);
  durations.add(11);  // above the last bound
  PrometheusText text;
  text.family("a_seconds", MetricType::histogram, "x");
  text.histogram("stream", "repos", durations);
  EXPECT_EQ(text.take(),
            "# HELP a_seconds x\n# TYPE a_seconds histogram\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.0005\"} 1\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.001\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.0025\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.005\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.01\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.025\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.05\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.1\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.25\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"0.5\"} 2\n"
            "a_seconds_bucket{stream=\"repos\",le=\"1\"} 3\n"
            "a_seconds_bucket{stream=\"repos\",le=\"2.5\"} 3\n"
            "a_seconds_bucket{stream=\"repos\",le=\"10\"} 3\n"
            "a_seconds_bucket{stream=\"repos\",le=\"+Inf\"} 4\n"
            "a_seconds_sum{stream=\"repos\"} 11.7011\n"
            "a_seconds_count{stream=\"repos\"} 4\n");
}

}  // namespace
}  // namespace standpipe::tools
