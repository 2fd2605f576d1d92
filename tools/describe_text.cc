#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "tools/describe.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;

constexpr std::size_t kGapsShown = 20;  // of each epoch; --json has them all

class Text {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
    out_ += '\n';
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// What upstream or the disk said may hold anything; here it must stay on its line.
std::string word(const json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return one_line(value.get<std::string>());
  return value.dump();
}

std::string size(const json& value) { return format_size(value.get<std::uint64_t>()); }
std::string count(const json& value) { return format_count(value.get<std::uint64_t>()); }

void add_epoch(Text& text, const json& epoch) {
  text.line("  epoch {}  after {} up to {}  {} frames  {}  clock {}", word(epoch["number"]),
            word(epoch["window_floor"]), word(epoch["newest"]), count(epoch["frames"]),
            size(epoch["raw_bytes"]), word(epoch["clock"]));
  if (!epoch["reason"].get_ref<const std::string&>().empty()) {
    text.line("    begun {}: {}", word(epoch["started"]), word(epoch["reason"]));
  }
  for (const json& partition : epoch["partitions"]) {
    text.line("    partition {}  {}  seq {} .. {}  clock {} .. {}  {} frames in {} groups  {}",
              word(partition["id"]), word(partition["state"]), word(partition["first"]),
              word(partition["last"]), word(partition["clock_first"]),
              word(partition["clock_last"]), count(partition["frames"]), count(partition["groups"]),
              size(partition["raw_bytes"]));
  }
  const json& gaps = epoch["gaps"];
  for (std::size_t i = 0; i < gaps.size() && i < kGapsShown; ++i) {
    const json& gap = gaps[i];
    text.line("    gap  after {} before {}  {} missing  {}  {}", word(gap["after"]),
              word(gap["before"]), count(gap["missing"]), word(gap["reason"]), word(gap["detail"]));
  }
  if (gaps.size() > kGapsShown || !epoch["gaps_complete"].get<bool>()) {
    text.line("    more gaps: --json lists {}", gaps.size());
  }
}

void add_quarantine(Text& text, const json& quarantine) {
  if (quarantine["entries"] == 0) return;
  text.line("quarantine  {} frames  {}", count(quarantine["entries"]), size(quarantine["bytes"]));
  for (const auto& [reason, number] : quarantine["by_reason"].items()) {
    text.line("  {}  {}", reason, count(number));
  }
  text.line("  newest:");
  for (const json& entry : quarantine["newest"]) {
    text.line("    {}  {}  {}  seq {}  {}  {}", word(entry["received"]), word(entry["stream"]),
              word(entry["reason"]), word(entry["seq"]), size(entry["bytes"]), word(entry["head"]));
  }
}

void add_all(Text& text, const json& archive) {
  const json& bytes = archive["bytes"];
  const std::string detail = word(archive["health_detail"]);
  text.line("{}  format {}  {}{}", word(archive["directory"]), word(archive["format"]),
            word(archive["health"]), detail.empty() ? "" : ": " + detail);
  std::string ratio;
  if (!bytes["stored_over_raw"].is_null()) {
    ratio = fmt::format(" ({:.2f} of raw)", bytes["stored_over_raw"].get<double>());
  }
  text.line("raw {}  stored {}{}  log {}  free {}", size(bytes["raw"]), size(bytes["stored"]),
            ratio, size(bytes["log"]), size(bytes["free"]));
  for (const json& stream : archive["streams"]) {
    text.line("stream {}  {}  {}  density {}", word(stream["name"]), word(stream["kind"]),
              stream["url"] == "" ? "imported" : word(stream["url"]), word(stream["density"]));
    for (const json& epoch : stream["epochs"]) add_epoch(text, epoch);
  }
  add_quarantine(text, archive["quarantine"]);
  if (!archive["notes"].empty()) text.line("notes");
  for (const json& note : archive["notes"]) {
    text.line("  {}  {}  {}: {}", word(note["when"]), word(note["stream"]), word(note["kind"]),
              word(note["text"]));
  }
}

}  // namespace

Result<std::string> describe_as_text(std::string_view description) {
  try {
    Text text;
    add_all(text, json::parse(description));
    return text.take();
  } catch (const json::exception& error) {
    // Only the holder's reply can be wrong here: a program of another version, or not ours.
    return Error{Errc::unsupported,
                 fmt::format("the process that holds the archive describes it in a form that this "
                             "version does not know ({}); try --json",
                             error.what())};
  }
}

}  // namespace standpipe::tools
