#include "tests/support/mst_twin.h"

#include <openssl/sha.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "schema/cbor_json.h"
#include "schema/cid.h"
#include "schema/multibase.h"

namespace standpipe::test {
namespace {

using Item = MstModel::const_iterator;
using json = nlohmann::json;

int layer_of(const std::string& key) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), digest);
  int zero_bits = 0;
  for (const unsigned char byte : digest) {
    for (int bit = 7; bit >= 0; --bit) {
      if ((byte >> bit & 1) != 0) return zero_bits / 2;
      ++zero_bits;
    }
  }
  return zero_bits / 2;
}

json link(const std::string& cid) { return json{{"$link", cid}}; }

// The node at `layer` of the items in [begin, end), none of which stands higher. By way of JSON:
// neither the writer nor the prefixes are those under test.
std::optional<std::string> build(Item begin, Item end, int layer, MstTwin& twin, bool is_root) {
  if (begin == end && !is_root) return std::nullopt;
  json node{{"e", json::array()}, {"l", nullptr}};
  std::string previous;
  Item run = begin;
  const auto close_run = [&](Item run_end) {
    const auto child = layer > 0 ? build(run, run_end, layer - 1, twin, false) : std::nullopt;
    json& slot = node["e"].empty() ? node["l"] : node["e"].back()["t"];
    if (child) slot = link(*child);
  };
  for (Item item = begin; item != end; ++item) {
    const std::string& key = item->first;
    if (layer_of(key) != layer) continue;
    close_run(item);
    run = std::next(item);
    const auto shared = static_cast<std::size_t>(
        std::mismatch(key.begin(), key.end(), previous.begin(), previous.end()).first -
        key.begin());
    node["e"].push_back({{"k", {{"$bytes", to_base64(as_bytes(key.substr(shared)))}}},
                         {"p", shared},
                         {"t", nullptr},
                         {"v", link(cid_to_string(item->second))}});
    previous = key;
  }
  close_run(end);
  Bytes block = json_to_cbor(node).value();
  std::string cid = Cid::of_dag_cbor(block).to_string();
  twin.nodes.emplace(cid, std::move(block));
  return cid;
}

}  // namespace

MstTwin build_mst_twin(const MstModel& model) {
  int layer = 0;
  for (const auto& [key, value] : model) layer = std::max(layer, layer_of(key));
  MstTwin twin;
  twin.root = *build(model.begin(), model.end(), layer, twin, true);
  return twin;
}

}  // namespace standpipe::test
