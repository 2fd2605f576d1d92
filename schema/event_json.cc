#include "schema/event_json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <unordered_map>

#include "schema/car.h"
#include "schema/cbor_json.h"
#include "schema/cid.h"
#include "schema/frame.h"
#include "schema/multibase.h"
#include "schema/utf8.h"

namespace standpipe {
namespace {

using nlohmann::json;

// What is shown is not judged: lenient, and as deep as frames may be.
CborOptions shown_options() {
  CborOptions options;
  options.profile = CborProfile::lenient;
  options.depth_max = kFrameDepthMax;
  return options;
}

json bytes_json(ByteView bytes) { return json{{"$bytes", to_base64(bytes)}}; }

// Text is text only if it is UTF-8: JSON knows no other.
json text_json(std::string_view text) {
  if (!is_valid_utf8(text)) return bytes_json(as_bytes(text));
  return json(std::string(text));
}

void show_header(ByteView frame, const Envelope& envelope, json& shown) {
  if (envelope.op != 0) shown["op"] = envelope.op;
  if (envelope.type.data() != nullptr) shown["t"] = text_json(envelope.type);
  if (envelope.payload.empty()) return;
  const auto header_bytes = static_cast<std::size_t>(envelope.payload.data() - frame.data());
  const auto header = cbor_to_json(frame.first(header_bytes), shown_options());
  if (!header || !header->is_object()) return;
  for (const auto& [key, value] : header->items()) {
    if (key == "op" || key == "t") continue;
    shown["header"] = *header;
    return;
  }
}

// The ops that name a CID, by its binary form.
using OpsByCid = std::unordered_multimap<std::string, json*>;

OpsByCid index_ops(json& payload) {
  OpsByCid index;
  const auto ops = payload.find("ops");
  if (ops == payload.end() || !ops->is_array()) return index;
  for (json& op : *ops) {
    if (!op.is_object()) continue;
    const auto cid = op.find("cid");
    if (cid == op.end() || !cid->is_object()) continue;
    const auto link = cid->find("$link");
    if (link == cid->end() || !link->is_string()) continue;
    const auto parsed = Cid::parse(link->get_ref<const std::string&>());
    if (parsed) index.emplace(as_text(parsed->bytes()), &op);
  }
  return index;
}

void show_record(const CarBlock& block, json& op) {
  if (op.contains("record")) return;  // the CAR repeats it
  if (check_block_hash(block.cid, block.bytes) == HashCheck::mismatch) {
    op["record_error"] = "the block does not have the hash that its CID gives";
    return;
  }
  auto record = cbor_to_json(block.bytes, shown_options());
  if (record) {
    op["record"] = *std::move(record);
    return;
  }
  op["record"] = bytes_json(block.bytes);
  op["record_error"] = record.error().detail;
}

void show_records(ByteView blocks, json& shown) {
  const OpsByCid ops = index_ops(shown["payload"]);
  if (ops.empty() || blocks.empty()) return;
  auto car = CarReader::open(blocks);
  if (!car) {
    shown["blocks_error"] = car.error().detail;
    return;
  }
  std::size_t shown_bytes = 0;
  while (true) {
    const auto block = car->next();
    if (!block) {
      shown["blocks_error"] = block.error().detail;
      return;
    }
    if (!block->has_value()) return;
    const auto [begin, end] = ops.equal_range(std::string(as_text((*block)->cid)));
    for (auto op = begin; op != end; ++op) {
      shown_bytes += (*block)->bytes.size();
      if (shown_bytes > kFrameBytesMax) {
        (*op->second)["record_error"] = "more bytes of records than are shown of one frame";
        return;
      }
      show_record(**block, *op->second);
    }
  }
}

}  // namespace

json frame_to_json(ByteView frame, const FrameJsonOptions& options) {
  const FrameScan scan = scan_frame(frame);
  const Envelope& envelope = scan.envelope;
  json shown = json::object();
  show_header(frame, envelope, shown);
  const bool is_note =
      scan.why == Unarchivable::error_frame || scan.why == Unarchivable::info_frame;
  if (scan.why != Unarchivable::archivable && !is_note) {
    shown["unarchivable"] = std::string(to_string(scan.why));
  }
  const bool is_two_items =
      !envelope.payload.empty() &&
      envelope.payload.data() + envelope.payload.size() == frame.data() + frame.size();
  if (!is_two_items) shown["frame"] = bytes_json(frame);
  if (envelope.payload.empty()) return shown;
  auto payload = cbor_to_json(envelope.payload, shown_options());
  if (!payload) {
    shown["payload"] = bytes_json(envelope.payload);
    shown["payload_error"] = payload.error().detail;
    return shown;
  }
  shown["payload"] = *std::move(payload);
  if (envelope.kind != FrameKind::commit || !shown["payload"].is_object()) return shown;
  if (options.with_records) show_records(envelope.blocks, shown);
  if (!options.with_blocks) shown["payload"].erase("blocks");
  return shown;
}

}  // namespace standpipe
