#include "tests/support/frame_json.h"

#include <nlohmann/json.hpp>

#include "schema/cbor.h"
#include "schema/cbor_json.h"

namespace standpipe::test {

Bytes frame_from_json(std::string_view type, const nlohmann::json& payload) {
  Bytes frame;
  CborWriter writer(frame);
  writer.write_map(2);
  writer.write_text("t");
  writer.write_text(type);
  writer.write_text("op");
  writer.write_integer(1);
  writer.write_raw(json_to_cbor(payload).value());
  return frame;
}

}  // namespace standpipe::test
