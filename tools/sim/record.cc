#include "tools/sim/record.h"

#include <algorithm>
#include <array>

#include "schema/base/assert.h"
#include "schema/cbor_writer.h"
#include "schema/cid.h"
#include "schema/datetime.h"
#include "schema/hash.h"
#include "schema/mst_node.h"
#include "tools/sim/persona.h"
#include "tools/sim/tid.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::array<std::string_view, 96> kWords = {
    "the",    "of",     "and",    "to",       "a",
    "in",     "is",     "it",     "that",     "was",
    "for",    "on",     "are",    "with",     "as",
    "this",   "be",     "at",     "have",     "from",
    "or",     "one",    "had",    "by",       "word",
    "but",    "not",    "what",   "all",      "were",
    "we",     "when",   "your",   "can",      "said",
    "there",  "each",   "which",  "she",      "do",
    "how",    "their",  "if",     "will",     "up",
    "other",  "about",  "out",    "many",     "then",
    "them",   "these",  "so",     "some",     "would",
    "make",   "like",   "him",    "into",     "time",
    "has",    "look",   "two",    "more",     "write",
    "see",    "number", "no",     "way",      "could",
    "people", "than",   "first",  "water",    "been",
    "call",   "who",    "oil",    "its",      "now",
    "find",   "long",   "down",   "day",      "did",
    "get",    "come",   "made",   "may",      "part",
    "\u4eca", "\u65e5", "\u306f", "n\u00e3o", "a\u00e7\u00e3o",
    "\u2728"};

constexpr std::array<std::string_view, 6> kLangs = {"en", "en", "en", "ja", "pt", "de"};

// Words up to `bytes`, give or take one.
std::string make_text(std::size_t bytes, Random& random) {
  std::string text;
  text.reserve(bytes + 8);
  while (text.size() < bytes) {
    if (!text.empty()) text += ' ';
    text += kWords[random.below(kWords.size())];
  }
  return text;
}

BlessedCid random_cid(Random& random) {
  Sha256Digest digest;
  random.fill(digest);
  return blessed_cid(digest);
}

// Few accounts are known by many.
std::string foreign_did(const RecordContext& context, Random& random) {
  const std::uint64_t among = random.happens(300'000) ? 2'000 : 20'000'000;
  return did_of(context.seed, 1'000'000'000 + random.below(among));
}

}  // namespace

Foreign foreign_record(std::string_view collection, const RecordContext& context, Random& random) {
  const std::uint64_t age = exp2_fixed(static_cast<std::uint32_t>(random.below(41U << 16)));
  const TidText tid(context.micros - std::min(age, context.micros),
                    static_cast<unsigned>(random.below(32)));
  Foreign foreign;
  foreign.cid = cid_to_string(random_cid(random));
  foreign.uri = "at://" + foreign_did(context, random);
  foreign.uri += '/';
  foreign.uri += collection;
  foreign.uri += '/';
  foreign.uri += tid.view();
  return foreign;
}

namespace {

void write_foreign(CborWriter& writer, const Foreign& foreign) {
  CborMapWriter map(writer, 2);
  map.write_key("cid");
  writer.write_text(foreign.cid);
  map.write_key("uri");
  writer.write_text(foreign.uri);
}

void write_text_pair(CborMapWriter& map, CborWriter& writer, std::string_view key,
                     std::string_view text) {
  map.write_key(key);
  writer.write_text(text);
}

std::string created_at(const RecordContext& context) {
  return format_datetime_ms(static_cast<std::int64_t>(context.micros / 1000));
}

void write_blob(CborWriter& writer, Random& random) {
  Sha256Digest digest;
  random.fill(digest);
  BlessedCid cid = blessed_cid(digest);
  cid[1] = std::byte{kCodecRaw};
  CborMapWriter map(writer, 4);
  map.write_key("ref");
  writer.write_link(cid);
  map.write_key("size");
  writer.write_integer(static_cast<std::int64_t>(20'000 + random.below(900'000)));
  write_text_pair(map, writer, "$type", "blob");
  write_text_pair(map, writer, "mimeType", "image/jpeg");
}

// A like or a repost.
void write_approval(CborWriter& writer, std::string_view type, const RecordContext& context,
                    Random& random) {
  const bool has_via = random.happens(160'000);
  CborMapWriter map(writer, has_via ? 4 : 3);
  if (has_via) {
    map.write_key("via");
    write_foreign(writer, foreign_record("app.bsky.feed.repost", context, random));
  }
  write_text_pair(map, writer, "$type", type);
  map.write_key("subject");
  write_foreign(writer, foreign_record("app.bsky.feed.post", context, random));
  write_text_pair(map, writer, "createdAt", created_at(context));
}

// A follow or a block.
void write_relation(CborWriter& writer, std::string_view type, const RecordContext& context,
                    Random& random) {
  CborMapWriter map(writer, 3);
  write_text_pair(map, writer, "$type", type);
  write_text_pair(map, writer, "subject", foreign_did(context, random));
  write_text_pair(map, writer, "createdAt", created_at(context));
}

void write_images(CborWriter& writer, Random& random) {
  CborMapWriter map(writer, 2);
  write_text_pair(map, writer, "$type", "app.bsky.embed.images");
  map.write_key("images");
  writer.write_array(1);
  CborMapWriter image(writer, 3);
  write_text_pair(image, writer, "alt",
                  random.happens(400'000) ? make_text(60 + random.below(120), random) : "");
  image.write_key("image");
  write_blob(writer, random);
  image.write_key("aspectRatio");
  CborMapWriter ratio(writer, 2);
  ratio.write_key("width");
  writer.write_integer(static_cast<std::int64_t>(600 + random.below(1400)));
  ratio.write_key("height");
  writer.write_integer(static_cast<std::int64_t>(600 + random.below(1400)));
}

std::string make_url(Random& random) {
  std::string url = "https://www.";
  url += kWords[random.below(80)];
  url += kWords[random.below(80)];
  url += ".example/";
  const std::uint64_t words = 3 + random.below(4);
  for (std::uint64_t i = 0; i < words; ++i) {
    url += kWords[random.below(80)];
    url += '-';
  }
  return url + std::to_string(random.below(1'000'000));
}

void write_link_card(CborWriter& writer, Random& random) {
  CborMapWriter map(writer, 2);
  write_text_pair(map, writer, "$type", "app.bsky.embed.external");
  map.write_key("external");
  CborMapWriter external(writer, 4);
  write_text_pair(external, writer, "uri", make_url(random));
  external.write_key("thumb");
  write_blob(writer, random);
  write_text_pair(external, writer, "title", make_text(30 + random.below(60), random));
  write_text_pair(external, writer, "description", make_text(40 + random.below(160), random));
}

void write_facets(CborWriter& writer, std::size_t text_bytes, Random& random) {
  writer.write_array(1);
  CborMapWriter facet(writer, 2);
  facet.write_key("index");
  {
    const std::size_t begin = random.below(text_bytes);
    CborMapWriter index(writer, 2);
    index.write_key("byteEnd");
    writer.write_integer(static_cast<std::int64_t>(text_bytes));
    index.write_key("byteStart");
    writer.write_integer(static_cast<std::int64_t>(begin));
  }
  facet.write_key("features");
  writer.write_array(1);
  CborMapWriter feature(writer, 2);
  write_text_pair(feature, writer, "uri", make_url(random));
  write_text_pair(feature, writer, "$type", "app.bsky.richtext.facet#link");
}

void write_reply(CborWriter& writer, const RecordContext& context, Random& random) {
  CborMapWriter map(writer, 2);
  const Foreign root = foreign_record("app.bsky.feed.post", context, random);
  map.write_key("root");
  write_foreign(writer, root);
  map.write_key("parent");
  write_foreign(writer, random.happens(450'000)
                            ? root
                            : foreign_record("app.bsky.feed.post", context, random));
}

void write_post(CborWriter& writer, const std::string& text, const RecordContext& context,
                Random& random) {
  const bool is_reply = random.happens(560'000);
  const std::uint64_t embed = random.below(1000);  // below 220: images, below 400: a link
  const bool has_embed = embed < 400;
  const bool has_facets = random.happens(150'000);
  CborMapWriter map(
      writer, std::size_t{4} + (is_reply ? 1 : 0) + (has_embed ? 1 : 0) + (has_facets ? 1 : 0));
  write_text_pair(map, writer, "text", text);
  write_text_pair(map, writer, "$type", "app.bsky.feed.post");
  if (has_embed) {
    map.write_key("embed");
    embed < 220 ? write_images(writer, random) : write_link_card(writer, random);
  }
  map.write_key("langs");
  writer.write_array(1);
  writer.write_text(kLangs[random.below(kLangs.size())]);
  if (is_reply) {
    map.write_key("reply");
    write_reply(writer, context, random);
  }
  if (has_facets) {
    map.write_key("facets");
    write_facets(writer, text.size(), random);
  }
  write_text_pair(map, writer, "createdAt", created_at(context));
}

void write_threadgate(CborWriter& writer, const RecordContext& context) {
  std::string uri = "at://";
  uri += context.own_did;
  uri += "/app.bsky.feed.post/";
  uri += context.post_rkey;
  CborMapWriter map(writer, 5);
  write_text_pair(map, writer, "post", uri);
  write_text_pair(map, writer, "$type", "app.bsky.feed.threadgate");
  map.write_key("allow");
  writer.write_array(1);
  {
    CborMapWriter rule(writer, 1);
    write_text_pair(rule, writer, "$type", "app.bsky.feed.threadgate#mentionRule");
  }
  write_text_pair(map, writer, "createdAt", created_at(context));
  map.write_key("hiddenReplies");
  writer.write_array(0);
}

void write_profile(CborWriter& writer, Random& random) {
  CborMapWriter map(writer, 4);
  write_text_pair(map, writer, "$type", "app.bsky.actor.profile");
  map.write_key("avatar");
  write_blob(writer, random);
  write_text_pair(map, writer, "description", make_text(20 + random.below(200), random));
  write_text_pair(map, writer, "displayName", make_text(6 + random.below(18), random));
}

void write_status(CborWriter& writer, const RecordContext& context, Random& random) {
  CborMapWriter map(writer, 4);
  write_text_pair(map, writer, "$type", "app.bsky.actor.status");
  write_text_pair(map, writer, "status", "app.bsky.actor.status#live");
  write_text_pair(map, writer, "createdAt", created_at(context));
  map.write_key("durationMinutes");
  writer.write_integer(static_cast<std::int64_t>(30 + random.below(210)));
}

void write_track(CborWriter& writer, Random& random) {
  CborMapWriter map(writer, 2);
  map.write_key("artists");
  writer.write_array(1);
  {
    CborMapWriter artist(writer, 1);
    write_text_pair(artist, writer, "artistName", make_text(8 + random.below(16), random));
  }
  write_text_pair(map, writer, "trackName", make_text(8 + random.below(24), random));
}

void write_teal_status(CborWriter& writer, const RecordContext& context, Random& random) {
  CborMapWriter map(writer, 4);
  map.write_key("item");
  write_track(writer, random);
  write_text_pair(map, writer, "time", created_at(context));
  write_text_pair(map, writer, "$type", "fm.teal.alpha.actor.status");
  RecordContext later = context;
  later.micros += 600'000'000;
  write_text_pair(map, writer, "expiry", created_at(later));
}

void write_teal_play(CborWriter& writer, const RecordContext& context, Random& random) {
  CborMapWriter map(writer, 4);
  write_text_pair(map, writer, "$type", "fm.teal.alpha.feed.play");
  map.write_key("artists");
  writer.write_array(1);
  {
    CborMapWriter artist(writer, 1);
    write_text_pair(artist, writer, "artistName", make_text(8 + random.below(16), random));
  }
  write_text_pair(map, writer, "trackName", make_text(8 + random.below(24), random));
  write_text_pair(map, writer, "playedTime", created_at(context));
}

// Most posts are short, a few fill what is allowed.
std::size_t post_text_bytes(Random& random) {
  return std::min<std::uint64_t>(300, 8 + ((random.exponential() * 110) >> 16));
}

}  // namespace

Bytes make_record(Collection collection, const RecordContext& context, Random& random) {
  Bytes out;
  out.reserve(600);
  CborWriter writer(out);
  switch (collection) {
    case Collection::like:
    case Collection::repost:
      write_approval(writer, traits(collection).nsid, context, random);
      break;
    case Collection::block:
    case Collection::follow:
      write_relation(writer, traits(collection).nsid, context, random);
      break;
    case Collection::post:
      write_post(writer, make_text(post_text_bytes(random), random), context, random);
      break;
    case Collection::threadgate:
      write_threadgate(writer, context);
      break;
    case Collection::profile:
      write_profile(writer, random);
      break;
    case Collection::status:
      write_status(writer, context, random);
      break;
    case Collection::teal_status:
      write_teal_status(writer, context, random);
      break;
    case Collection::teal_play:
      write_teal_play(writer, context, random);
      break;
  }
  return out;
}

Bytes make_huge_post(std::size_t text_bytes, const RecordContext& context, Random& random) {
  Bytes out;
  out.reserve(text_bytes + 2048);
  CborWriter writer(out);
  write_post(writer, make_text(text_bytes, random), context, random);
  return out;
}

}  // namespace standpipe::tools::sim
