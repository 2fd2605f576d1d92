#include "tools/control_routes.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "tools/frame_page.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;

constexpr std::size_t kPageBytes = 2 << 20;  // aimed at; one run of frames may exceed it
constexpr std::size_t kGapsMax = 1'000;

using Query = std::map<std::string, std::string, std::less<>>;

ControlReply reply(json body, int status = 200) {
  return {status, "application/json", body.dump(-1, ' ', false, json::error_handler_t::replace)};
}

int status_of(Errc code) {
  switch (code) {
    case Errc::not_found:
      return 404;
    case Errc::invalid:
    case Errc::malformed:
      return 400;
    case Errc::busy:
      return 409;
    case Errc::unsupported:
      return 501;
    case Errc::closed:
    case Errc::limit:
      return 503;
    case Errc::corrupt:
    case Errc::io:
      break;
  }
  return 500;
}

ControlReply reply(const Error& error) {
  return reply(json{{"code", code_name(error.code)}, {"detail", error.detail}},
               status_of(error.code));
}

// %XX becomes its byte; a % that begins no escape stays as it is.
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' ? parse_hex(text.substr(i + 1, 2)) : Result<Bytes>(Bytes{});
    if (byte && byte->size() == 1) {
      out += static_cast<char>(byte->front());
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Query parse_query(std::string_view target) {
  Query query;
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return query;
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    query.emplace(pair.substr(0, equals), unescaped(pair.substr(equals + 1)));
  }
  return query;
}

std::string_view text_of(const Query& query, std::string_view name) {
  const auto found = query.find(name);
  return found == query.end() ? std::string_view() : std::string_view(found->second);
}

Result<std::uint64_t> number_of(const Query& query, std::string_view name, std::uint64_t otherwise,
                                std::uint64_t max) {
  const std::string_view text = text_of(query, name);
  if (text.empty()) return otherwise;
  auto number = parse_count(text, 0, max);
  if (!number) return Error{Errc::invalid, fmt::format("{}: {}", name, number.error().detail)};
  return *number;
}

Result<Seq> seq_of(const Query& query, std::string_view name, Seq otherwise) {
  STANDPIPE_TRY(const std::uint64_t number,
                number_of(query, name, static_cast<std::uint64_t>(to_int(otherwise)),
                          static_cast<std::uint64_t>(to_int(kSeqMax))));
  return Seq{static_cast<std::int64_t>(number)};
}

Result<Place> place_of(ArchiveView& view, const Query& query) {
  STANDPIPE_TRY(const std::uint64_t epoch, number_of(query, "epoch", 0, UINT32_MAX));
  std::optional<storage::EpochNumber> number;
  if (epoch != 0) number = storage::EpochNumber{static_cast<std::uint32_t>(epoch)};
  return view.locate(text_of(query, "stream"), number);
}

class Routes {
 public:
  Routes(storage::Archive& archive, std::function<void(std::string_view)> on_epoch)
      : archive_(&archive), on_epoch_(std::move(on_epoch)) {}

  ControlReply answer(const ControlRequest& request) const {
    const std::string_view path =
        std::string_view(request.target).substr(0, request.target.find('?'));
    for (const Route& route : kRoutes) {
      if (route.path != path) continue;
      if (route.method != request.method) {
        return reply(json{{"code", "invalid"},
                          {"detail", fmt::format("{} takes {} alone", path, route.method)}},
                     405);
      }
      auto answered = (this->*route.handle)(request);
      return answered ? std::move(*answered) : reply(answered.error());
    }
    return reply(Error{Errc::not_found, fmt::format("nothing is at {}", path)});
  }

 private:
  struct Route {
    std::string_view method, path;
    Result<ControlReply> (Routes::*handle)(const ControlRequest&) const;
  };
  static const std::array<Route, 10> kRoutes;

  Result<ControlReply> health(const ControlRequest&) const {
    const storage::ArchiveStats stats = archive_->stats();
    const bool is_well =
        stats.health == storage::Health::ok || stats.health == storage::Health::read_only;
    return reply(
        json{{"status", storage::to_string(stats.health)}, {"detail", stats.health_detail}},
        is_well ? 200 : 503);
  }

  Result<ControlReply> inspect(const ControlRequest& request) const {
    const Query query = parse_query(request.target);
    STANDPIPE_TRY(std::string text,
                  view_of(*archive_)->describe(text_of(parse_query(request.target), "stream")));
    return ControlReply{200, "application/json", std::move(text)};
  }

  Result<ControlReply> locate(const ControlRequest& request) const {
    const auto view = view_of(*archive_);
    STANDPIPE_TRY(const Place place, place_of(*view, parse_query(request.target)));
    return reply(json{{"stream", place.stream},
                      {"kind", static_cast<int>(place.kind)},
                      {"epoch", to_int(place.epoch)},
                      {"newest", to_int(place.newest)},
                      {"window_floor", to_int(place.window_floor)}});
  }

  Result<ControlReply> position(const ControlRequest& request) const {
    const auto view = view_of(*archive_);
    const Query query = parse_query(request.target);
    STANDPIPE_TRY(const Place place, place_of(*view, query));
    STANDPIPE_TRY(const std::uint64_t clock_ms, number_of(query, "clock_ms", 0, INT64_MAX));
    STANDPIPE_TRY(const Seq position,
                  view->position_at(place, static_cast<std::int64_t>(clock_ms)));
    return reply(json{{"position", to_int(position)}});
  }

  Result<ControlReply> frames(const ControlRequest& request) const {
    const auto view = view_of(*archive_);
    const Query query = parse_query(request.target);
    STANDPIPE_TRY(const Place place, place_of(*view, query));
    STANDPIPE_TRY(const Seq after, seq_of(query, "after", kSeqNone));
    STANDPIPE_TRY(const Seq until, seq_of(query, "until", kSeqMax));
    ControlReply page{200, "application/octet-stream", ""};
    Seq position = after;
    bool is_last = false;
    while (!is_last && page.body.size() < kPageBytes) {
      STANDPIPE_TRY(const FramePage part, view->read_after(place, position, until));
      // A gap stands before the frames of its page: it begins a page of its own.
      if (!part.passed.empty() && !page.body.empty()) break;
      append_page(page.body, part);
      position = part.position;
      is_last = part.is_last;
    }
    finish_page(page.body, position, is_last);
    return page;
  }

  Result<ControlReply> gaps(const ControlRequest& request) const {
    const auto view = view_of(*archive_);
    const Query query = parse_query(request.target);
    STANDPIPE_TRY(const Place place, place_of(*view, query));
    STANDPIPE_TRY(const Seq after, seq_of(query, "after", kSeqNone));
    STANDPIPE_TRY(const Seq before, seq_of(query, "before", kSeqMax));
    STANDPIPE_TRY(const std::uint64_t max, number_of(query, "max", kGapsMax, kGapsMax));
    STANDPIPE_TRY(const auto gaps, view->gaps(place, after, before, max));
    json out = json::array();
    for (const storage::Gap& gap : gaps) {
      out.push_back({{"after", to_int(gap.after)},
                     {"before", to_int(gap.before)},
                     {"reason", static_cast<int>(gap.reason)},
                     {"recorded_ms", gap.recorded_ms},
                     {"detail", gap.detail}});
    }
    return reply(std::move(out));
  }

  Result<ControlReply> verify(const ControlRequest&) const {
    STANDPIPE_CHECK(archive_->verify_files());
    return reply(json::object());
  }

  Result<ControlReply> checkpoint(const ControlRequest&) const {
    STANDPIPE_TRY(const std::filesystem::path made, archive_->make_checkpoint());
    return reply(json{{"name", made.filename().string()}});
  }

  Result<ControlReply> end_checkpoint(const ControlRequest&) const {
    STANDPIPE_CHECK(archive_->remove_checkpoint());
    return reply(json::object());
  }

  Result<ControlReply> epoch(const ControlRequest& request) const {
    const json body = json::parse(request.body, nullptr, false);
    if (!body.is_object() || !body.contains("stream") || !body["stream"].is_string() ||
        !body.contains("reason") || !body["reason"].is_string()) {
      return Error{Errc::invalid, "the body must be {\"stream\": NAME, \"reason\": TEXT}"};
    }
    const std::string reason = body["reason"];
    if (reason.empty() || reason.size() > kReasonBytesMax) {
      return Error{Errc::invalid,
                   fmt::format("the reason must have 1 to {} bytes", kReasonBytesMax)};
    }
    STANDPIPE_TRY(const Place place, view_of(*archive_)->locate(std::string(body["stream"]), {}));
    const auto stream = archive_->find_stream(place.stream);
    if (!stream) return Error{Errc::not_found, fmt::format("no stream '{}'", place.stream)};
    STANDPIPE_TRY(const storage::EpochInfo begun, archive_->begin_epoch(stream->id, reason));
    if (on_epoch_) on_epoch_(place.stream);
    return reply(json{{"stream", place.stream}, {"epoch", to_int(begun.number)}});
  }

  storage::Archive* archive_;
  std::function<void(std::string_view)> on_epoch_;
};

const std::array<Routes::Route, 10> Routes::kRoutes{
    {{"GET", "/health", &Routes::health},
     {"GET", "/inspect", &Routes::inspect},
     {"GET", "/locate", &Routes::locate},
     {"GET", "/position", &Routes::position},
     {"GET", "/frames", &Routes::frames},
     {"GET", "/gaps", &Routes::gaps},
     {"GET", "/verify", &Routes::verify},
     {"POST", "/checkpoint", &Routes::checkpoint},
     {"POST", "/checkpoint/end", &Routes::end_checkpoint},
     {"POST", "/epoch", &Routes::epoch}}};

}  // namespace

ControlHandler control_routes(storage::Archive& archive,
                              std::function<void(std::string_view)> on_epoch) {
  return [routes = Routes(archive, std::move(on_epoch))](const ControlRequest& request) {
    return routes.answer(request);
  };
}

}  // namespace standpipe::tools
