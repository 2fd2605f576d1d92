#include "tools/frame_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <variant>

#include "schema/car.h"
#include "schema/cbor.h"
#include "schema/cbor_json.h"
#include "schema/cid.h"
#include "schema/commit_proof.h"
#include "schema/event.h"
#include "schema/event_json.h"
#include "schema/frame.h"
#include "schema/frame_verdict.h"
#include "tools/tree_json.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

// Fields stay in the order in which they are written here: an object is read by people, too.
using json = nlohmann::ordered_json;

constexpr std::size_t kOpsShown = 3;  // on a line
constexpr std::size_t kOpsMax = 1'000;

std::string dumped(const json& value, int indent) {
  // What upstream sent need not be UTF-8.
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

// An item of the data model, as forgivingly as JSON allows.
Result<json> item_as_json(ByteView item) {
  CborOptions options;
  options.profile = CborProfile::lenient;
  options.depth_max = kFrameDepthMax;
  STANDPIPE_TRY(const auto value, cbor_to_json(item, options));
  return json(value);
}

// With records beside the ops; their CAR is shown apart, or not at all.
json event_of(ByteView frame) {
  FrameJsonOptions options;
  options.with_records = true;
  options.with_blocks = false;
  return json(frame_to_json(frame, options));
}

struct BlockShown {
  std::string cid;
  ByteView bytes;
  HashCheck hash = HashCheck::unknown_hash;
};

// The blocks of a frame's CAR up to the first that is wrong, which `error` then describes.
std::vector<BlockShown> blocks_of(ByteView car, std::string& error) {
  std::vector<BlockShown> blocks;
  if (car.empty()) return blocks;
  auto reader = CarReader::open(car);
  if (!reader) {
    error = reader.error().detail;
    return blocks;
  }
  for (;;) {
    const auto block = reader->next();
    if (!block) {
      error = block.error().detail;
      return blocks;
    }
    if (!block->has_value()) return blocks;
    const CarBlock& found = **block;
    blocks.push_back(
        {cid_to_string(found.cid), found.bytes, check_block_hash(found.cid, found.bytes)});
  }
}

std::string_view hash_verdict(HashCheck hash) {
  switch (hash) {
    case HashCheck::match:
      return "match";
    case HashCheck::mismatch:
      return "mismatch";
    case HashCheck::unknown_hash:
      break;
  }
  return "unknown";
}

json blocks_as_json(const std::vector<BlockShown>& blocks) {
  json out = json::array();
  for (const BlockShown& block : blocks) {
    json shown = {
        {"cid", block.cid}, {"bytes", block.bytes.size()}, {"hash", hash_verdict(block.hash)}};
    auto value = item_as_json(block.bytes);
    if (value) {
      shown["value"] = std::move(*value);
    } else {
      shown["value"] = nullptr;
      shown["error"] = value.error().detail;
    }
    out.push_back(std::move(shown));
  }
  return out;
}

json envelope_as_json(const FrameScan& scan, std::span<const EnvelopeOp> ops) {
  const Envelope& envelope = scan.envelope;
  json shown = json::array();
  for (const EnvelopeOp& op : ops.first(std::min(ops.size(), envelope.ops_total))) {
    shown.push_back({{"action", op.action}, {"path", op.path}});
  }
  return {{"op", envelope.op},
          {"type", envelope.type},
          {"kind", to_string(envelope.kind)},
          {"seq", envelope.seq ? json(to_int(*envelope.seq)) : json()},
          {"did", envelope.did},
          {"time", envelope.time},
          {"rev", envelope.rev},
          {"ops", std::move(shown)},
          {"ops_total", envelope.ops_total}};
}

// As `verify` judges it by itself, whatever its kind, without a key.
json verdicts_of(ByteView frame) {
  DidKeys nobody;
  json out = json::array();
  for (const FrameFinding& finding : judge_frame(frame, nobody).findings) {
    json verdict = {{"what", finding.what}};
    if (finding.op) verdict["op"] = *finding.op;
    verdict["detail"] = finding.detail;
    out.push_back(std::move(verdict));
  }
  return out;
}

// Of a #commit whose commit object can be read.
void add_tree(json& body, ByteView frame) {
  const auto event = decode_event(frame);
  const auto* const commit = event ? std::get_if<Commit>(&*event) : nullptr;
  if (commit == nullptr) return;
  const CommitProof proof(*commit);
  if (!proof.repo_commit()) return;
  body["tree"] = tree_as_json(*commit, proof.blocks(), proof.repo_commit()->data);
}

std::string verdicts_as_text(const json& verdicts) {
  if (verdicts.empty()) return "  nothing is wrong, as far as it can be told without a key\n";
  std::string out;
  for (const json& verdict : verdicts) {
    const std::string op = verdict.contains("op") ? "  [" + verdict["op"].dump() + "]" : "";
    out += "  " +
           one_line(verdict["what"].get<std::string>() + op + "  " +
                    verdict["detail"].get<std::string>()) +
           "\n";
  }
  return out;
}

// All of it; `head` is where it is stored and as what, the rest what it says and how it is judged.
struct Shown {
  json head;
  json body;
};

Shown show(const ViewFrame& frame, const FrameDetail& detail) {
  std::vector<EnvelopeOp> ops(kOpsMax);
  const FrameScan scan = scan_frame(frame.bytes, ops);
  std::string car_error;
  const std::vector<BlockShown> blocks = blocks_of(scan.envelope.blocks, car_error);
  Shown shown;
  shown.head = {{"seq", to_int(frame.seq)},
                {"stream", detail.place->stream},
                {"epoch", to_int(detail.place->epoch)},
                {"partition", to_int(frame.partition)},
                {"clock", format_datetime_ms(frame.clock_ms)},
                {"received_from", format_datetime_ms(frame.received_first_ms)},
                {"received_to", format_datetime_ms(frame.received_last_ms)},
                {"verdict", to_string(scan.why)},
                {"bytes",
                 {{"frame", frame.bytes.size()},
                  {"header", frame.bytes.size() - scan.envelope.payload.size()},
                  {"payload", scan.envelope.payload.size()},
                  {"blocks", scan.envelope.blocks.size()},
                  {"blocks_count", blocks.size()}}}};
  shown.body["envelope"] = envelope_as_json(scan, ops);
  shown.body["event"] = event_of(frame.bytes);
  shown.body["verdicts"] = verdicts_of(frame.bytes);
  add_tree(shown.body, frame.bytes);
  shown.body["blocks"] = blocks_as_json(blocks);
  if (!car_error.empty()) shown.body["blocks_error"] = car_error;
  return shown;
}

}  // namespace

std::string frame_as_line(const ViewFrame& frame) {
  std::array<EnvelopeOp, kOpsShown> ops;
  const FrameScan scan = scan_frame(frame.bytes, ops);
  const Envelope& envelope = scan.envelope;
  std::string line = fmt::format("{}  {:24}  {:10}  {}", to_int(frame.seq), envelope.time,
                                 envelope.type, envelope.did);
  for (std::size_t i = 0; i < std::min(ops.size(), envelope.ops_total); ++i) {
    line += fmt::format("{}{} {}", i == 0 ? "  " : ", ", ops[i].action, ops[i].path);
  }
  if (envelope.ops_total > ops.size()) {
    line += fmt::format(", and {} more", envelope.ops_total - ops.size());
  }
  return one_line(line);
}

std::string frame_as_json(const ViewFrame& frame) {
  const Envelope envelope = scan_frame(frame.bytes).envelope;
  json out = {{"seq", to_int(frame.seq)},
              {"did", envelope.did},
              {"time", envelope.time},
              {"bytes", frame.bytes.size()}};
  out.update(event_of(frame.bytes));
  return dumped(out, -1);
}

std::string frame_detail_as_json(const ViewFrame& frame, const FrameDetail& detail) {
  Shown shown = show(frame, detail);
  json out = std::move(shown.head);
  out.update(shown.body);
  if (detail.has_hex) out["hex"] = to_hex(frame.bytes);
  return dumped(out, 2) + "\n";
}

std::string frame_detail_as_text(const ViewFrame& frame, const FrameDetail& detail) {
  const Shown shown = show(frame, detail);
  std::string out = one_line(frame_as_line(frame)) + "\n";
  const json& head = shown.head;
  out += fmt::format("  stream {}  epoch {}  partition {}  clock {}\n", detail.place->stream,
                     to_int(detail.place->epoch), to_int(frame.partition),
                     format_datetime_ms(frame.clock_ms));
  out += fmt::format("  received between {} and {}\n", format_datetime_ms(frame.received_first_ms),
                     format_datetime_ms(frame.received_last_ms));
  out += fmt::format("  verdict {}\n", to_string(scan_frame(frame.bytes).why));
  for (const auto& [name, bytes] : head["bytes"].items()) {
    out += fmt::format("  {}{} {}\n", name, name == "blocks_count" ? "" : " bytes", bytes.dump());
  }
  for (const auto& [name, value] : shown.body.items()) {
    if (name == "verdicts") {
      out += "verdicts\n" + verdicts_as_text(value);
    } else if (name == "tree") {
      out += "tree\n" + tree_as_text(value);
    } else {
      out += fmt::format("{}\n{}\n", name, dumped(value, 2));
    }
  }
  if (detail.has_hex) out += "bytes\n" + hex_dump(frame.bytes);
  return out;
}

std::string hex_dump(ByteView bytes) {
  constexpr std::size_t kPerLine = 16;
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += kPerLine) {
    const ByteView line = bytes.subspan(at, std::min(kPerLine, bytes.size() - at));
    std::string hex, text;
    for (const std::byte byte : line) {
      const auto value = std::to_integer<unsigned>(byte);
      hex += fmt::format("{:02x} ", value);
      text += value >= 0x20 && value < 0x7F ? static_cast<char>(value) : '.';
    }
    out += fmt::format("{:08x}  {:48} {}\n", at, hex, text);
  }
  return out;
}

}  // namespace standpipe::tools
