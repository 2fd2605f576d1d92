// The keys of accounts, as a directory in the shape of plc.directory knows them: what --plc names.
//
// Each did:plc is asked for once, by GET URL/DID, on a few connections, no faster than the rate;
// what was answered is kept, also that there is nobody. A did:web is not asked for: its host would
// be whoever the archive's frames name.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "archiver/http_getter.h"
#include "schema/base/clock.h"
#include "schema/base/result.h"
#include "schema/key_source.h"

namespace standpipe::tools {

struct PlcOptions {
  std::string url;
  std::uint64_t per_second = 10;         // requests, over all connections
  std::size_t connections = 4;           // at a time
  std::size_t accounts_max = 1'000'000;  // that are remembered; some 300 bytes each
  archiver::HttpGetOptions http;         // of each request
  std::filesystem::path cache;           // kept from run to run; empty: nowhere
  std::int64_t cache_age_max_ms = 86'400'000;
  const Clock* clock = &SystemClock::instance();  // not ours
};

struct PlcStats {
  std::uint64_t asked = 0;       // requests
  std::uint64_t found = 0;       // documents
  std::uint64_t none = 0;        // that there is nobody, or nobody any more
  std::uint64_t refused = 0;     // answers that were no document of that DID
  std::uint64_t no_answer = 0;   // accounts that were given up
  std::uint64_t from_cache = 0;  // accounts that the cache file had
};

class PlcKeys final : public KeySource {
 public:
  // invalid: the URL. Asks nobody yet. `documents`, which must outlive this, is looked into first.
  static Result<std::unique_ptr<PlcKeys>> create(PlcOptions options, KeySource& documents);
  ~PlcKeys() override;  // stop()

  // Reads the cache file, where there is one; of more than accounts_max the newest. io, malformed;
  // limit: of more than 1 GiB.
  Result<void> read_cache();
  // Writes it anew, under its name only when it is complete. io.
  Result<void> write_cache();

  KeyAnswer find(std::string_view did) override;
  void expect(std::string_view did) override;

  // What is asked for is given up, and nothing is asked any more. Any thread.
  void stop();
  // Why nothing is asked any more, but for stop(): several requests in a row came to nothing, or
  // the server is none of its kind.
  std::optional<Error> failure() const;
  PlcStats stats() const;

 private:
  struct Entry {
    bool is_done = false;
    KeyAnswer answer;
    std::int64_t asked_ms = 0;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Lock = std::unique_lock<std::mutex>;

  PlcKeys(PlcOptions options, firehose::UpstreamUrl url, KeySource& documents);
  void work(archiver::HttpGetter& getter);
  void ask(archiver::HttpGetter& getter, const std::string& did, Lock& lock);
  bool wait_for_turn(Lock& lock);
  // Whether the account is done with, by this answer to the attempt of that number.
  bool judge(const std::string& did, const Result<archiver::HttpAnswer>& answer, int attempt);
  bool take_document(const std::string& did, std::string_view body);
  void settle(const std::string& did, KeyAnswer answer);
  void fail(const std::string& did, Error error);
  Entry* want(std::string_view did);
  void make_room();
  // What the cache file is to hold, oldest first.
  std::vector<std::pair<std::string, Entry>> answered() const;
  Result<void> take_line(std::string_view line, std::int64_t oldest_ms);

  const PlcOptions options_;
  KeySource& documents_;  // not ours

  mutable std::mutex mutex_;         // guards everything below
  std::condition_variable came_;     // something to ask for, or the end
  std::condition_variable settled_;  // an account is done
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;
  std::deque<std::string> done_;  // oldest first, for make_room
  std::deque<std::string> queue_;
  std::chrono::steady_clock::time_point next_turn_{};
  std::chrono::steady_clock::time_point paused_until_{};  // no request begins before
  int failures_ = 0;                                      // in a row
  std::optional<Error> failure_;
  bool is_stopped_ = false;
  PlcStats stats_;

  std::vector<std::unique_ptr<archiver::HttpGetter>> getters_;  // one for each thread
  std::vector<std::thread> threads_;
};

}  // namespace standpipe::tools
