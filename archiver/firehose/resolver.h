// Looking up a host without waiting for it longer than one wants to. Free of storage/.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "archiver/firehose/ws_client.h"
#include "schema/base/result.h"

namespace standpipe::firehose {

// Numeric addresses, in the order in which the system prefers them. Blocks, perhaps for long.
// not_found, with the reason.
Result<std::vector<std::string>> resolve_by_system(const std::string& host);

// getaddrinfo() cannot be interrupted, and one that gets no answer takes half a minute. So it runs
// on a thread that is left behind when nobody waits for it any more, with nothing of ours in hand.
class Lookup {
 public:
  using Deliver = std::function<void(Result<std::vector<std::string>>)>;

  // `deliver` is called once, on the lookup's thread, with numeric addresses, never none; or not at
  // all, once this object is gone. `resolve`: instead of getaddrinfo(), if not empty.
  Lookup(std::string host, ResolveHost resolve, Deliver deliver);
  ~Lookup();  // waits for a deliver that has begun
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace standpipe::firehose
