// The size of a process over a long run: sampled each second, and judged flat or not.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/bench_process.h"
#include "tests/support/bench_report.h"

namespace standpipe::test {

// The first quarter is warming up; behind it the first tenth, the one in the middle and the last
// are held against each other, each by its median, for memory goes up and down with each flush.
class SizeRecord {
 public:
  // What a warmed-up server has been fed: as much as its live log holds by default.
  static constexpr std::uint64_t kWarmBytes = 256 << 20;

  void add(const ProcessSize& size, std::uint64_t fed_bytes) {  // once a second
    samples_.push_back({size, fed_bytes});
  }

  std::string last_text() const {
    const ProcessSize& last = samples_.back().size;
    return fmt::format("{:.1f} MB resident, {} descriptors ({} of the database)",
                       static_cast<double>(last.resident_bytes) / 1e6, last.descriptors,
                       last.database_descriptors);
  }

  std::vector<BenchRow> rows(std::size_t minutes, const std::string& load) const {
    const auto megabytes = [](const ProcessSize& size) {
      return static_cast<double>(size.resident_bytes) / 1e6;
    };
    const auto sockets = [](const ProcessSize& size) {
      return static_cast<double>(size.descriptors - size.database_descriptors);
    };
    const auto tables = [](const ProcessSize& size) {
      return static_cast<double>(size.database_descriptors);
    };
    const Parts resident = parts(megabytes), open = parts(sockets), files = parts(tables);
    const std::uint64_t fed = samples_[warm()].fed_bytes;
    const bool is_warm = fed >= kWarmBytes;
    const auto limit = [&](double at_most) {
      return is_warm ? std::optional<double>(at_most) : std::nullopt;
    };
    const std::string when = fmt::format("after {:.3g} of them", static_cast<double>(minutes) / 4);
    return {
        bench_row(fmt::format("resident size after {} minutes", minutes), when,
                  resident.end / resident.begin, "x",
                  fmt::format("{:.1f}, {:.1f} and {:.1f} MB (first, middle, last), slope {:+.1f} "
                              "MB/h; {}{}",
                              resident.begin, resident.middle, resident.end,
                              slope_per_hour(megabytes), load,
                              is_warm ? std::string()
                                      : fmt::format("; not judged: {} MB were fed by then, and "
                                                    "the live log takes {}",
                                                    fed >> 20, kWarmBytes >> 20)),
                  limit(1.05)),
        bench_row("its descriptors but those of the database", when, open.end / open.begin, "x",
                  fmt::format("{:.0f}, {:.0f} and {:.0f}, slope {:+.1f} an hour", open.begin,
                              open.middle, open.end, slope_per_hour(sockets)),
                  limit(1.05)),
        bench_row("its descriptors of the database", "-", files.end, "",
                  fmt::format("{:.0f}, {:.0f} and {:.0f}: the archive grows", files.begin,
                              files.middle, files.end)),
    };
  }

 private:
  struct Sample {
    ProcessSize size;
    std::uint64_t fed_bytes;
  };
  struct Parts {
    double begin, middle, end;
  };

  std::size_t warm() const { return samples_.size() / 4; }  // samples that do not count

  template <typename Of>
  Parts parts(const Of& of) const {
    const std::size_t count = samples_.size() - warm();
    const std::size_t tenth = std::max<std::size_t>(1, count / 10);
    const auto median_from = [&](std::size_t first) {
      std::vector<double> values;
      for (std::size_t i = first; i < first + tenth; ++i) values.push_back(of(samples_[i].size));
      return median(std::move(values));
    };
    return {median_from(warm()), median_from(warm() + (count - tenth) / 2),
            median_from(samples_.size() - tenth)};
  }

  // Of the straight line nearest to all samples that count.
  template <typename Of>
  double slope_per_hour(const Of& of) const {
    const auto count = static_cast<double>(samples_.size() - warm());
    double mean_time = 0, mean = 0, covariance = 0, variance = 0;
    for (std::size_t i = warm(); i < samples_.size(); ++i) {
      mean_time += static_cast<double>(i) / count;
      mean += of(samples_[i].size) / count;
    }
    for (std::size_t i = warm(); i < samples_.size(); ++i) {
      const double time = static_cast<double>(i) - mean_time;
      covariance += time * (of(samples_[i].size) - mean);
      variance += time * time;
    }
    return variance > 0 ? covariance / variance * 3600 : 0;
  }

  std::vector<Sample> samples_;
};

}  // namespace standpipe::test
