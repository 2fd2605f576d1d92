// The view of an archive that another process holds: questions to its control socket.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/control_routes.h"
#include "tools/frame_page.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;

Error unexpected(std::string_view target, std::string_view what) {
  return Error{Errc::unsupported,
               fmt::format("the process that holds the archive answered {} with {}", target, what)};
}

Error error_of(const ControlReply& reply, std::string_view target) {
  const json body = json::parse(reply.body, nullptr, false);
  if (body.is_object() && body.contains("code") && body.contains("detail") &&
      body["code"].is_string() && body["detail"].is_string()) {
    const auto code = parse_code_name(body["code"].get_ref<const std::string&>());
    if (code) return Error{*code, body["detail"]};
  }
  return unexpected(target, fmt::format("status {}", reply.status));
}

// What is not plainly safe in a query, as %XX.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    out += is_plain ? std::string(1, c) : fmt::format("%{:02x}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<std::string> ask(const std::filesystem::path& dir, ControlRequest request,
                        std::chrono::milliseconds timeout = std::chrono::seconds{30}) {
  STANDPIPE_TRY(ControlReply reply, control_call(dir, request, timeout));
  if (reply.status != 200) return error_of(reply, request.target);
  return std::move(reply.body);
}

// Calls `use` with the JSON of a reply; what it does not find as it should be becomes an error.
template <typename Use>
auto with_json(std::string_view target, const std::string& text, Use use)
    -> Result<decltype(use(std::declval<const json&>()))> {
  try {
    return use(json::parse(text));
  } catch (const json::exception& error) {
    return unexpected(target, error.what());
  }
}

class RemoteView final : public ArchiveView {
 public:
  explicit RemoteView(std::filesystem::path dir) : dir_(std::move(dir)) {}

  Result<Place> locate(std::string_view stream,
                       std::optional<storage::EpochNumber> epoch) override {
    const std::string target = fmt::format("/locate?stream={}&epoch={}", escaped(stream),
                                           epoch ? std::to_string(to_int(*epoch)) : "");
    STANDPIPE_TRY(const std::string text, get(target));
    return with_json(target, text, [](const json& body) {
      Place place;
      place.stream = body.at("stream").get<std::string>();
      place.kind = static_cast<storage::StreamKind>(body.at("kind").get<std::uint8_t>());
      place.epoch = storage::EpochNumber{body.at("epoch").get<std::uint32_t>()};
      place.newest = Seq{body.at("newest").get<std::int64_t>()};
      place.window_floor = Seq{body.at("window_floor").get<std::int64_t>()};
      return place;
    });
  }

  Result<FramePage> read_after(const Place& place, Seq after, Seq until) override {
    STANDPIPE_TRY(std::string bytes, get(fmt::format("/frames?{}&after={}&until={}", of(place),
                                                     to_int(after), to_int(until))));
    return parse_page(std::move(bytes));
  }

  Result<Seq> position_at(const Place& place, std::int64_t clock_ms) override {
    const std::string target =
        fmt::format("/position?{}&clock_ms={}", of(place), std::max<std::int64_t>(clock_ms, 0));
    STANDPIPE_TRY(const std::string text, get(target));
    return with_json(target, text,
                     [](const json& body) { return Seq{body.at("position").get<std::int64_t>()}; });
  }

  Result<std::vector<storage::Gap>> gaps(const Place& place, Seq after, Seq before,
                                         std::size_t max) override {
    const std::string target = fmt::format("/gaps?{}&after={}&before={}&max={}", of(place),
                                           to_int(after), to_int(before), max);
    STANDPIPE_TRY(const std::string text, get(target));
    return with_json(target, text, [](const json& body) {
      std::vector<storage::Gap> gaps;
      for (const json& item : body) {
        gaps.push_back(
            {Seq{item.at("after").get<std::int64_t>()}, Seq{item.at("before").get<std::int64_t>()},
             static_cast<storage::GapReason>(item.at("reason").get<std::uint8_t>()),
             item.at("recorded_ms").get<std::int64_t>(), item.at("detail").get<std::string>()});
      }
      return gaps;
    });
  }

  Result<std::string> describe(std::string_view stream) override {
    return get(fmt::format("/inspect?stream={}", escaped(stream)));
  }

  Result<void> verify() override {
    // As long as it takes: every byte is read again.
    STANDPIPE_CHECK(ask(dir_, {"GET", "/verify", ""}, std::chrono::seconds{0}));
    return {};
  }

 private:
  static std::string of(const Place& place) {
    return fmt::format("stream={}&epoch={}", escaped(place.stream), to_int(place.epoch));
  }

  Result<std::string> get(std::string target) const {
    return ask(dir_, {"GET", std::move(target), ""});
  }

  std::filesystem::path dir_;
};

}  // namespace

std::unique_ptr<ArchiveView> make_remote_view(std::filesystem::path dir) {
  return std::make_unique<RemoteView>(std::move(dir));
}

Result<storage::EpochNumber> call_begin_epoch(const std::filesystem::path& dir,
                                              std::string_view stream, std::string_view reason) {
  const json body = {{"stream", stream}, {"reason", reason}};
  STANDPIPE_TRY(
      const std::string text,
      ask(dir, {"POST", "/epoch", body.dump(-1, ' ', false, json::error_handler_t::replace)}));
  return with_json("/epoch", text, [](const json& reply) {
    return storage::EpochNumber{reply.at("epoch").get<std::uint32_t>()};
  });
}

Result<std::filesystem::path> call_make_checkpoint(const std::filesystem::path& dir) {
  STANDPIPE_TRY(const std::string text,
                ask(dir, {"POST", "/checkpoint", ""}, std::chrono::seconds{0}));
  return with_json("/checkpoint", text,
                   [&dir](const json& reply) { return dir / reply.at("name").get<std::string>(); });
}

Result<void> call_remove_checkpoint(const std::filesystem::path& dir) {
  STANDPIPE_CHECK(ask(dir, {"POST", "/checkpoint/end", ""}));
  return {};
}

}  // namespace standpipe::tools
