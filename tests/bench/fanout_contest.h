// One sender and those it sends to, measured: the mirror, or what it is held against.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/bench_feeder.h"
#include "tests/support/bench_load.h"
#include "tests/support/bench_process.h"
#include "tests/support/bench_report.h"
#include "tests/support/bench_senders.h"
#include "tests/support/bench_wire.h"

namespace standpipe::test {

constexpr std::size_t kWarmFrames = 16;  // fed before anybody subscribes

// -- Who sends ------------------------------------------------------------------------------------

class Subject {
 public:
  Subject() = default;
  virtual ~Subject() = default;
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual std::uint16_t port() const = 0;
  virtual pid_t id() const = 0;
  virtual void release(std::size_t frames) = 0;          // all up to so many of the feed
  virtual std::vector<double> sending_seconds() const {  // CPU of each thread that sends
    return {process_cpu_seconds(id())};
  }
};

class Denominator final : public Subject {
 public:
  Denominator(const BenchWire& wire, const SenderOptions& options, const std::vector<int>& cores)
      : sender_(wire, options, cores) {}
  std::uint16_t port() const override { return sender_.port(); }
  pid_t id() const override { return sender_.id(); }
  void release(std::size_t frames) override { sender_.release(frames); }

 private:
  BenchSender sender_;
};

class Mirror final : public Subject {
 public:
  Mirror(const BenchWire& feed, const std::vector<int>& cores,
         std::vector<std::string> arguments = {"--network-threads", "1"}, std::size_t listener = 0)
      : feed_(feed), listener_(listener) {
    arguments.insert(arguments.end(), {"--upstream", feeder_.url()});
    server_ = std::make_unique<BenchServer>("mirror", std::move(arguments), cores);
    feeder_.accept();
    release(kWarmFrames);
    wait_until_durable();
  }
  std::uint16_t port() const override { return server_->port(listener_); }
  pid_t id() const override { return server_->id(); }
  std::vector<double> sending_seconds() const override {
    return thread_cpu_seconds(id(), "network");
  }
  void release(std::size_t frames) override { feeder_.feed_up_to(feed_, frames); }
  void wait_until_durable() const { server_->wait_until_durable(feed_.seqs[feeder_.fed() - 1]); }

 private:
  const BenchWire& feed_;
  const std::size_t listener_;
  BenchFeeder feeder_;
  std::unique_ptr<BenchServer> server_;
};

// -- What is measured -----------------------------------------------------------------------------

struct Round {
  double sending_us = 0;  // CPU of the threads that send, per delivered frame
  double process_us = 0;  // of the whole process
  double fed_us = 0;      // of the threads that send, per subscriber and frame of the feed
  double busiest = 0;     // share of the thread that sends most
};

// A sender, those it sends to, and how far they are.
class Contest {
 public:
  Contest(std::unique_ptr<Subject> subject, const BenchWire& wanted, const LoadOptions& load,
          const std::vector<int>& cores)
      : subject_(std::move(subject)),
        wanted_(wanted),
        subscribers_(load.subscribers),
        load_(wanted, load, cores) {}

  // One subscriber more, who gets all of the feed: each measure ends once it has the last frame,
  // also where nobody else wants that.
  void add_witness(const BenchWire& feed, const LoadOptions& load, const std::vector<int>& cores) {
    witness_ = std::make_unique<BenchLoad>(feed, load, cores);
  }

  // All that many at once, as fast as they are taken; or each once all have got the one before.
  Round burst(std::size_t frames) {
    return measure(frames, [&] { feed_to(fed_ + frames); });
  }
  Round one_by_one(std::size_t frames) {
    return measure(frames, [&] {
      for (std::size_t i = 0; i < frames; ++i) feed_to(fed_ + 1);
    });
  }

  std::vector<Round> bursts, steps;

 private:
  void feed_to(std::size_t frames) {
    load_.expect(wanted_.count_before(frames));
    if (witness_ != nullptr) witness_->expect(frames);
    subject_->release(frames);
    load_.wait();
    if (witness_ != nullptr) witness_->wait();
    fed_ = frames;
  }

  template <typename Feed>
  Round measure(std::size_t frames, const Feed& feed) {
    const std::size_t before = wanted_.count_before(fed_);
    const double process = process_cpu_seconds(subject_->id());
    const std::vector<double> threads = subject_->sending_seconds();
    feed();
    const std::vector<double> after = subject_->sending_seconds();
    const double process_spent = process_cpu_seconds(subject_->id()) - process;
    const double spent = sum(after) - sum(threads);
    double most = 0;
    for (std::size_t i = 0; i < threads.size(); ++i) {
      most = std::max(most, after[i] - threads[i]);
    }
    const auto each = static_cast<double>(subscribers_);
    const auto delivered = static_cast<double>(wanted_.count_before(fed_) - before) * each;
    return {spent * 1e6 / delivered, process_spent * 1e6 / delivered,
            spent * 1e6 / (static_cast<double>(frames) * each), most / spent};
  }

  std::unique_ptr<Subject> subject_;
  const BenchWire& wanted_;
  const std::size_t subscribers_;
  BenchLoad load_;
  std::unique_ptr<BenchLoad> witness_;
  std::size_t fed_ = kWarmFrames;
};

inline Spread spread_of(const std::vector<Round>& rounds,
                        double Round::*what = &Round::sending_us) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(round.*what);
  return spread_of(values);
}

}  // namespace standpipe::test
