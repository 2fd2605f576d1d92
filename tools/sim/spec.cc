#include "tools/sim/spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "schema/datetime.h"
#include "tools/values.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::string_view kScheme = "sim:";

std::uint32_t* share_of(std::string_view name, NetworkOptions& network) {
  if (name == "identity") return &network.mix.identity;
  if (name == "account") return &network.mix.account;
  if (name == "sync") return &network.mix.sync;
  return name == "labels" ? &network.labels_per_mille : nullptr;
}

// "legacy=20": a name, and its value if it has one.
struct Item {
  std::string_view name;
  std::optional<std::string_view> value;
};
Item split(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return {text, std::nullopt};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

Result<std::uint32_t> parse_per_mille(std::string_view text) {
  STANDPIPE_TRY(const std::uint64_t per_mille, parse_count(text, 0, 1000));
  return static_cast<std::uint32_t>(per_mille);
}

Result<void> take_count(std::string_view value, std::uint64_t min, std::uint64_t max,
                        std::uint64_t& target) {
  STANDPIPE_TRY(target, parse_count(value, min, max));
  return {};
}

Result<void> take_value(const Item& item, Spec& spec) {
  NetworkOptions& network = spec.network;
  const std::string_view value = item.value.value_or("");
  if (item.name == "seed") return take_count(value, 0, UINT64_MAX, network.seed);
  if (item.name == "accounts") return take_count(value, 1, kAccountsMax, network.accounts);
  if (item.name == "rate") return take_count(value, 1, kRateMax, network.rate);
  if (item.name == "bursts") return take_count(value, 0, kRateMax, network.burst_rate);
  if (item.name == "frames") return take_count(value, 0, kFramesMax, network.frames);
  if (item.name == "first-seq") {
    STANDPIPE_TRY(network.first_seq, parse_seq(value));
    return {};
  }
  if (item.name == "start") {
    spec.has_start = value != "now";
    if (spec.has_start) {
      STANDPIPE_TRY(network.start_ms, parse_time_ms(value));
    }
    return {};
  }
  if (item.name == "speed") {
    STANDPIPE_TRY(spec.speed, parse_speed(value));
    return {};
  }
  if (std::uint32_t* share = share_of(item.name, network)) {
    STANDPIPE_TRY(*share, parse_per_mille(value));
    return {};
  }
  return Error{Errc::not_found, {}};
}

// `text`: the whole of it, for the error.
Result<void> take_share(Odd odd, const Item& item, std::string_view text, NetworkOptions& network) {
  std::uint32_t per_mille = kOddPerMilleDefault;
  if (item.value) {
    const auto parsed = parse_per_mille(*item.value);
    if (!parsed) return Error{Errc::invalid, fmt::format("{}: {}", text, parsed.error().detail)};
    per_mille = *parsed;
  }
  network.odd_per_mille[static_cast<std::size_t>(odd)] = per_mille;
  return {};
}

Result<void> take(std::string_view text, Spec& spec) {
  const Item item = split(text);
  if (const auto odd = parse_odd(item.name)) return take_share(*odd, item, text, spec.network);
  auto taken = take_value(item, spec);
  if (taken) return taken;
  if (taken.error().code != Errc::not_found) {
    return Error{Errc::invalid, fmt::format("{}: {}", item.name, taken.error().detail)};
  }
  std::string allowed =
      "seed, accounts, rate, bursts, frames, start, first-seq, speed, labels, identity, account, "
      "sync";
  for (const std::string_view name : kOddNames) allowed += fmt::format(", {}", name);
  return Error{Errc::invalid, fmt::format("no option '{}'; allowed: {}", item.name, allowed)};
}

}  // namespace

bool is_sim_url(std::string_view url) { return url.starts_with(kScheme); }

Result<Spec> parse_spec(std::string_view text, const Spec* base) {
  Spec spec;
  spec.network.accounts = kLiveAccounts;
  if (base != nullptr) spec = *base;
  const auto failed = [whole = text](std::string_view detail) {
    return Error{Errc::invalid, fmt::format("'{}': {}", one_line(whole), detail)};
  };
  if (!is_sim_url(text)) return failed("wanted sim: and its options, as in sim:seed=7,rate=340");
  std::string_view rest = text.substr(kScheme.size());
  while (!rest.empty()) {
    const std::size_t size = std::min(rest.find(','), rest.size());
    const auto taken = take(rest.substr(0, size), spec);
    if (!taken) return failed(taken.error().detail);
    rest.remove_prefix(std::min(size + 1, rest.size()));
  }
  const auto checked = check_options(spec.network);
  if (!checked) return failed(checked.error().detail);
  return spec;
}

std::string to_string(const Spec& spec) {
  const NetworkOptions& network = spec.network;
  const NetworkOptions usual;
  std::string out = fmt::format("{}seed={}", kScheme, network.seed);
  const auto add = [&out](std::string_view name, std::uint64_t value, std::uint64_t by_default) {
    if (value != by_default) out += fmt::format(",{}={}", name, value);
  };
  if (spec.has_start) out += fmt::format(",start={}", format_datetime_ms(network.start_ms));
  add("accounts", network.accounts, kLiveAccounts);
  add("rate", network.rate, usual.rate);
  add("bursts", network.burst_rate, usual.burst_rate);
  add("frames", network.frames, usual.frames);
  add("first-seq", static_cast<std::uint64_t>(to_int(network.first_seq)), 1);
  add("identity", network.mix.identity, usual.mix.identity);
  add("account", network.mix.account, usual.mix.account);
  add("sync", network.mix.sync, usual.mix.sync);
  add("labels", network.labels_per_mille, usual.labels_per_mille);
  for (std::size_t i = 0; i < kOddKinds; ++i) add(kOddNames[i], network.odd_per_mille[i], 0);
  return out;
}

Result<void> take_odd(std::string_view text, NetworkOptions& network) {
  const Item item = split(text);
  STANDPIPE_TRY(const Odd odd, parse_odd(item.name));
  return take_share(odd, item, text, network);
}

Result<void> take_mix(std::string_view text, NetworkOptions& network) {
  const Item item = split(text);
  std::uint32_t* target = share_of(item.name, network);
  if (target == nullptr || !item.value) {
    return Error{Errc::invalid,
                 "give identity=N, account=N or sync=N, of a thousand frames, or labels=N, of a "
                 "thousand commits"};
  }
  STANDPIPE_TRY(*target, parse_per_mille(*item.value));
  return {};
}

Result<std::uint64_t> parse_speed(std::string_view text) {
  if (text == "max") return std::uint64_t{0};
  const auto speed = parse_count(text, 1, kSpeedMax);
  if (speed) return *speed;
  return Error{Errc::invalid, fmt::format("'{}' is neither max nor a number from 1 to {}",
                                          one_line(text), kSpeedMax)};
}

}  // namespace standpipe::tools::sim
