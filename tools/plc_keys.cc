#include "tools/plc_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "schema/did_document.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr int kAttempts = 3;                  // at one account
constexpr int kFailuresMax = 5;               // requests in a row that came to nothing ...
constexpr int kTooManyForFailure = 4;         // ... of which so many "too many requests" are one
constexpr milliseconds kPauseOfFailure{200};  // times their number
constexpr std::size_t kQueueMax = 65'536;
constexpr milliseconds kPauseMax{60'000};       // however long a server wants to be left alone
constexpr milliseconds kPauseOfTooMany{5'000};  // where it does not say
constexpr std::uintmax_t kCacheBytesMax = std::uintmax_t{1} << 30;

// The only names that a directory can know; any other would be a stranger's text in our requests.
// Spec: did:plc, "Identifier Syntax".
bool is_plc(std::string_view did) {
  constexpr std::string_view kPrefix = "did:plc:";
  constexpr std::size_t kNameBytes = 24;
  if (!did.starts_with(kPrefix)) return false;
  const std::string_view name = did.substr(kPrefix.size());
  return name.size() == kNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
         });
}

KeyAnswer no_document() { return {KeyState::no_document, nullptr}; }
KeyAnswer no_answer() { return {KeyState::no_answer, nullptr}; }

json keys_as_json(const std::vector<PublicKey>& keys) {
  json out = json::array();
  for (const PublicKey& key : keys) out.push_back(key.to_did_key());
  return out;
}

bool read_keys(const json& list, std::vector<PublicKey>& keys) {
  if (!list.is_array()) return false;
  for (const json& text : list) {
    if (!text.is_string()) return false;
    auto key = PublicKey::parse_did_key(text.get_ref<const std::string&>());
    if (!key) return false;
    keys.push_back(*std::move(key));
  }
  return true;
}

Error cache_error(const std::filesystem::path& path, Errc code, std::string_view why) {
  return {code, fmt::format("--plc-cache {}: {}", path.string(), why)};
}

}  // namespace

Result<std::unique_ptr<PlcKeys>> PlcKeys::create(PlcOptions options, KeySource& documents) {
  STANDPIPE_TRY(firehose::UpstreamUrl url, firehose::parse_http_url(options.url));
  return std::unique_ptr<PlcKeys>(new PlcKeys(std::move(options), std::move(url), documents));
}

PlcKeys::PlcKeys(PlcOptions options, firehose::UpstreamUrl url, KeySource& documents)
    : options_(std::move(options)), documents_(documents) {
  for (std::size_t i = 0; i < options_.connections; ++i) {
    getters_.push_back(std::make_unique<archiver::HttpGetter>(url, options_.http));
    threads_.emplace_back([this, getter = getters_.back().get()] { work(*getter); });
  }
}

PlcKeys::~PlcKeys() {
  stop();
  for (std::thread& thread : threads_) thread.join();
}

void PlcKeys::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  came_.notify_all();
  settled_.notify_all();
  for (const auto& getter : getters_) getter->stop();
}

std::optional<Error> PlcKeys::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

PlcStats PlcKeys::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// -- Asked by those who judge ---------------------------------------------------------------------

KeyAnswer PlcKeys::find(std::string_view did) {
  KeyAnswer known = documents_.find(did);
  if (known.state == KeyState::known || !is_plc(did)) return known;
  Lock lock(mutex_);
  Entry* entry = want(did);
  if (entry == nullptr) return no_answer();
  const std::string name(did);
  while (!entry->is_done) {
    if (is_stopped_ || failure_) return no_answer();
    settled_.wait(lock);
    // What was waited for may have made room for others meanwhile.
    entry = want(name);
    if (entry == nullptr) return no_answer();
  }
  return entry->answer;
}

void PlcKeys::expect(std::string_view did) {
  if (!is_plc(did)) return;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.size() >= kQueueMax) return;  // find() will ask
  }
  if (documents_.find(did).state == KeyState::known) return;
  const std::lock_guard lock(mutex_);
  want(did);
}

// The account's entry, asked for if need be; null where nobody is asked any more. The caller holds
// mutex_.
PlcKeys::Entry* PlcKeys::want(std::string_view did) {
  const auto found = entries_.find(did);
  if (found != entries_.end()) return &found->second;
  if (is_stopped_ || failure_) return nullptr;
  make_room();
  queue_.emplace_back(did);
  came_.notify_one();
  return &entries_[std::string(did)];
}

void PlcKeys::make_room() {
  while (entries_.size() >= options_.accounts_max && !done_.empty()) {
    entries_.erase(done_.front());
    done_.pop_front();
  }
}

// -- Asking ---------------------------------------------------------------------------------------

void PlcKeys::work(archiver::HttpGetter& getter) {
  Lock lock(mutex_);
  for (;;) {
    came_.wait(lock, [this] { return is_stopped_ || failure_ || !queue_.empty(); });
    if (is_stopped_ || failure_) return;
    const std::string did = std::move(queue_.front());
    queue_.pop_front();
    ask(getter, did, lock);
  }
}

// Waits for the next request that the rate allows; false at the end.
bool PlcKeys::wait_for_turn(Lock& lock) {
  const auto is_over = [this] { return is_stopped_ || failure_.has_value(); };
  do {
    const auto turn = std::max(SteadyClock::now(), next_turn_);
    next_turn_ = turn + std::chrono::microseconds(1'000'000 / options_.per_second);
    came_.wait_until(lock, turn, is_over);
    if (is_over()) return false;
    // An answer to somebody else may have asked for a pause meanwhile.
  } while (SteadyClock::now() < paused_until_);
  return true;
}

void PlcKeys::ask(archiver::HttpGetter& getter, const std::string& did, Lock& lock) {
  for (int attempt = 1;; ++attempt) {
    if (!wait_for_turn(lock)) return;
    ++stats_.asked;
    lock.unlock();
    const Result<archiver::HttpAnswer> answer = getter.get("/" + did);
    lock.lock();
    if (is_stopped_ || failure_) return;
    if (judge(did, answer, attempt)) return;
  }
}

bool PlcKeys::judge(const std::string& did, const Result<archiver::HttpAnswer>& answer,
                    int attempt) {
  const bool has_answer = answer.has_value();
  const int status = has_answer ? answer->status : 0;
  if (status == 200 || status == 404 || status == 410) failures_ = 0;
  if (status == 200) return take_document(did, answer->body);
  if (status == 404 || status == 410) {
    ++stats_.none;
    settle(did, no_document());
    return true;
  }
  const std::string why =
      has_answer ? fmt::format("HTTP {} for {}", status, did) : answer.error().detail;
  if (status >= 300 && status < 400) {
    fail(did, {Errc::unsupported, why + ": redirects are not followed"});
    return true;
  }
  const bool is_too_many = status == 429 || status == 503;
  failures_ += is_too_many ? 1 : kTooManyForFailure;
  if (failures_ >= kFailuresMax * kTooManyForFailure) {
    fail(did, {Errc::io, "too many requests in a row came to nothing, the last one: " + why});
    return true;
  }
  const milliseconds pause =
      is_too_many ? std::min(answer->retry_after.value_or(kPauseOfTooMany), kPauseMax)
                  : kPauseOfFailure * failures_ / kTooManyForFailure;
  paused_until_ = std::max(paused_until_, SteadyClock::now() + pause);
  next_turn_ = std::max(next_turn_, paused_until_);
  if (attempt < kAttempts) return false;
  ++stats_.no_answer;
  settle(did, no_answer());
  return true;
}

bool PlcKeys::take_document(const std::string& did, std::string_view body) {
  const auto document = parse_did_document(body);
  if (!document || document->did != did) {
    ++stats_.refused;
    settle(did, no_answer());
    return true;
  }
  ++stats_.found;
  auto keys = std::make_shared<AccountKeys>();
  keys->add(*document);
  settle(did, {KeyState::known, std::move(keys)});
  return true;
}

void PlcKeys::settle(const std::string& did, KeyAnswer answer) {
  Entry& entry = entries_[did];
  entry.is_done = true;
  entry.answer = std::move(answer);
  entry.asked_ms = options_.clock->now_ms();
  done_.push_back(did);
  settled_.notify_all();
}

void PlcKeys::fail(const std::string& did, Error error) {
  ++stats_.no_answer;
  settle(did, no_answer());
  failure_ = Error{error.code, fmt::format("--plc {}: {}", options_.url, error.detail)};
  came_.notify_all();
  settled_.notify_all();
}

// -- The cache file: a JSON object a line, {did, asked_ms, signing, label}; the last two are left
// out where there is nobody -----------------------------------------------------------------------

Result<void> PlcKeys::read_cache() {
  if (options_.cache.empty()) return {};
  std::error_code ec;
  // What could not be written at the end is better told at the beginning.
  const std::string partial = options_.cache.string() + ".partial";
  const bool is_writable = std::ofstream(partial, std::ios::app).is_open();
  const int why_not = errno;
  std::filesystem::remove(partial, ec);
  if (!is_writable) {
    return cache_error(options_.cache, Errc::io,
                       std::string("cannot be written: ") + std::strerror(why_not));
  }
  const auto bytes = std::filesystem::file_size(options_.cache, ec);
  if (ec == std::errc::no_such_file_or_directory) return {};
  if (ec) return cache_error(options_.cache, Errc::io, ec.message());
  if (bytes > kCacheBytesMax) {
    return cache_error(options_.cache, Errc::limit, "it is larger than 1 GiB");
  }
  std::ifstream file(options_.cache);
  if (!file) return cache_error(options_.cache, Errc::io, std::strerror(errno));
  const std::int64_t oldest_ms = options_.clock->now_ms() - options_.cache_age_max_ms;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (const auto taken = take_line(line, oldest_ms); !taken) {
      return cache_error(
          options_.cache, Errc::malformed,
          fmt::format("line {} is none of ours: remove the file, or name another", number));
    }
  }
  if (file.bad()) return cache_error(options_.cache, Errc::io, "reading it failed");
  return {};
}

Result<void> PlcKeys::take_line(std::string_view line, std::int64_t oldest_ms) {
  const Error wrong{Errc::malformed, "not a line of the cache"};
  const json parsed = json::parse(line, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("did") || !parsed["did"].is_string() ||
      !parsed.contains("asked_ms") || !parsed["asked_ms"].is_number_integer()) {
    return wrong;
  }
  Entry entry;
  entry.is_done = true;
  entry.asked_ms = parsed["asked_ms"].get<std::int64_t>();
  if (parsed.contains("signing")) {
    auto keys = std::make_shared<AccountKeys>();
    if (!parsed.contains("label") || !read_keys(parsed["signing"], keys->signing) ||
        !read_keys(parsed["label"], keys->label)) {
      return wrong;
    }
    entry.answer = {KeyState::known, std::move(keys)};
  }
  const std::string& did = parsed["did"].get_ref<const std::string&>();
  if (!is_plc(did)) return wrong;
  if (entry.asked_ms < oldest_ms) return {};
  const std::lock_guard lock(mutex_);
  if (entries_.contains(did)) return {};
  make_room();  // lines that came first are of those who were asked for first
  entries_.emplace(did, std::move(entry));
  done_.push_back(did);
  stats_.from_cache = done_.size();
  return {};
}

std::vector<std::pair<std::string, PlcKeys::Entry>> PlcKeys::answered() const {
  std::vector<std::pair<std::string, Entry>> out;
  const std::lock_guard lock(mutex_);
  out.reserve(done_.size());
  for (const std::string& did : done_) {
    const auto found = entries_.find(did);
    if (found == entries_.end() || found->second.answer.state == KeyState::no_answer) continue;
    out.emplace_back(did, found->second);
  }
  return out;
}

Result<void> PlcKeys::write_cache() {
  if (options_.cache.empty()) return {};
  const std::filesystem::path partial = options_.cache.string() + ".partial";
  std::ofstream file(partial, std::ios::trunc);
  for (const auto& [did, entry] : answered()) {
    json line = {{"did", did}, {"asked_ms", entry.asked_ms}};
    if (entry.answer.keys) {
      line["signing"] = keys_as_json(entry.answer.keys->signing);
      line["label"] = keys_as_json(entry.answer.keys->label);
    }
    file << line.dump() << '\n';
  }
  file.close();
  std::error_code ec;
  if (file) std::filesystem::rename(partial, options_.cache, ec);
  if (file && !ec) return {};
  const std::string why = ec ? ec.message() : std::strerror(errno);
  std::filesystem::remove(partial, ec);
  return cache_error(options_.cache, Errc::io, "cannot write it: " + why);
}

}  // namespace standpipe::tools
