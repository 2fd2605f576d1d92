#include "tools/simulation.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "storage/frame_file.h"
#include "tools/held_archive.h"
#include "tools/import_run.h"
#include "tools/sim/did_docs.h"
#include "tools/sim/labels.h"
#include "tools/sim/spec.h"
#include "tools/values.h"

namespace standpipe::tools {

using nlohmann::json;

namespace {

// Half the time of the usual level 3, and 1 % larger: what frames are made of does not compress.
constexpr int kZstdLevel = 1;

}  // namespace

Simulation::Simulation(SimulationOptions options)
    : options_(std::move(options)),
      signal_([] {}),
      clock_(options_.network.start_ms),
      progress_(Progress::on_stderr("simulate", options_.is_quiet)) {}

Result<void> Simulation::run() {
  auto simulated = options_.data.empty() ? to_file() : to_archive();
  progress_.finish();
  STANDPIPE_CHECK(simulated);
  if (!options_.labels.empty()) STANDPIPE_CHECK(write_labels());
  if (options_.did_docs.empty()) return {};
  const sim::Labeler labeler(options_.network);
  STANDPIPE_TRY(did_docs_,
                sim::write_did_docs(*network_, options_.labels.empty() ? nullptr : &labeler,
                                    options_.did_docs));
  return {};
}

Error Simulation::stopped() const {
  return {Errc::closed, fmt::format("stopped by a signal after {} of {} frames",
                                    format_count(frames_before() + report_.frames()),
                                    format_count(options_.network.frames))};
}

// Those with a seq: of an #info nobody knows whether it was there.
std::uint64_t Simulation::frames_before() const {
  const std::int64_t first = to_int(options_.network.first_seq);
  return after_ == kSeqNone ? 0 : static_cast<std::uint64_t>(to_int(after_) - first + 1);
}

Result<void> Simulation::create_network(Seq after) {
  sim::NetworkOptions network = options_.network;
  network.after = after;
  STANDPIPE_TRY(network_, sim::Network::create(network));
  return {};
}

Result<void> Simulation::take_all(const Take& take) {
  const auto frames = static_cast<double>(options_.network.frames);
  const std::uint64_t passed = frames_before();
  while (network_->pass_over()) {
    if (signal_.was_raised()) return stopped();
  }
  while (auto frame = network_->next()) {
    if (signal_.was_raised()) return stopped();
    STANDPIPE_CHECK(take(*frame));
    STANDPIPE_CHECK(report_.take(frame->bytes));
    progress_.update({report_.frames(), report_.bytes(),
                      static_cast<double>(passed + report_.frames()) / frames});
  }
  return {};
}

Result<void> Simulation::to_file() {
  STANDPIPE_CHECK(create_network(kSeqNone));
  STANDPIPE_TRY(auto writer, storage::FrameFileWriter::create(options_.output, kZstdLevel));
  STANDPIPE_CHECK(
      take_all([&](const sim::SimulatedFrame& frame) { return writer.write(frame.bytes); }));
  return writer.finish();
}

Result<void> Simulation::to_archive() {
  storage::ArchiveOptions opening = options_.archive;
  opening.clock = &clock_;
  STANDPIPE_TRY(HeldArchive held,
                HeldArchive::open(options_.data, opening, [](std::string_view) {}));
  auto taken = append(held.archive());
  auto closed = held.close();
  return taken ? closed : taken;
}

// What is there already is gone on with, if it is of the same network.
Result<void> Simulation::append(storage::Archive& archive) {
  sim::Spec network;
  network.network = options_.network;
  network.has_start = true;
  storage::StreamSpec spec;
  spec.name = options_.stream;
  spec.url = to_string(network);
  spec.density = storage::Density::dense;
  if (const auto known = archive.find_stream(spec.name)) {
    if (known->spec.url != spec.url) {
      return Error{Errc::invalid,
                   fmt::format("stream '{}' of {} is of '{}', and these options make '{}': choose "
                               "another --stream",
                               spec.name, options_.data, known->spec.url, spec.url)};
    }
  }
  STANDPIPE_TRY(const storage::StreamInfo stream, archive.ensure_stream(spec, false));
  STANDPIPE_TRY(storage::Appender appender, archive.appender(stream.id));
  after_ = stream.epochs.back().newest;
  STANDPIPE_CHECK(create_network(after_));
  ImportRun run(appender, {}, clock_, [](std::uint64_t, Seq) -> Result<void> { return {}; });
  auto taken = take_all([&](const sim::SimulatedFrame& frame) {
    clock_.set(frame.time_ms);
    return run.take(frame.bytes, frame.bytes.size());
  });
  auto committed = run.commit();
  return taken ? committed : taken;
}

Result<void> Simulation::write_labels() {
  sim::Labeler labeler(options_.network);
  STANDPIPE_TRY(auto writer, storage::FrameFileWriter::create(options_.labels));
  while (const auto slot = labeler.next()) {
    if (signal_.was_raised()) return stopped();
    STANDPIPE_CHECK(writer.write(labeler.make_frame(*slot)));
    ++label_frames_;
  }
  return writer.finish();
}

std::string Simulation::text() const {
  const std::string where = options_.data.empty() ? options_.output : options_.data;
  std::string out = fmt::format("{}: {} frames, {}, seed {}, {} accounts\n", where,
                                format_count(report_.frames()), format_size(report_.bytes()),
                                options_.network.seed, format_count(network_->accounts()));
  if (after_ != kSeqNone) {
    out += fmt::format("{}: went on after seq {}\n", where, to_int(after_));
  }
  if (!options_.labels.empty()) {
    out += fmt::format("{}: {} frames of labels\n", options_.labels, format_count(label_frames_));
  }
  if (!options_.did_docs.empty()) {
    out += fmt::format("{}: {} DID documents\n", options_.did_docs, format_count(did_docs_));
  }
  return out + sim::to_text(report_.figures());
}

std::string Simulation::json_line() const {
  json figures = json::array();
  for (const sim::Figure& figure : report_.figures()) {
    figures.push_back({{"name", figure.name},
                       {"unit", figure.unit},
                       {"simulated", figure.simulated},
                       {"real", figure.real}});
  }
  json operations = json::object();
  for (const auto& [name, count] : report_.operations()) operations[name] = count;
  const json out = {{"output", options_.data.empty() ? options_.output : options_.data},
                    {"seed", options_.network.seed},
                    {"after", to_int(after_)},
                    {"frames", report_.frames()},
                    {"bytes", report_.bytes()},
                    {"accounts", network_->accounts()},
                    {"did_docs", did_docs_},
                    {"label_frames", label_frames_},
                    {"operations", std::move(operations)},
                    {"figures", std::move(figures)}};
  return out.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace standpipe::tools
