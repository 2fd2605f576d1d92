#include "archiver/firehose/resolver.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "schema/base/thread_name.h"

namespace standpipe::firehose {
namespace {

struct AddressListDelete {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

constexpr std::size_t kAddressesMax = 16;

}  // namespace

// The order is that of RFC 6724.
Result<std::vector<std::string>> resolve_by_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  if (failed != 0) {
    return Error{Errc::not_found,
                 fmt::format("cannot resolve {}: {}", host,
                             failed == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(failed))};
  }
  const std::unique_ptr<addrinfo, AddressListDelete> owned(list);
  std::vector<std::string> addresses;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text.data());
    }
  }
  return addresses;
}

struct Lookup::Shared {
  std::mutex mutex;  // guards deliver; held while it is called
  Deliver deliver;
};

Lookup::Lookup(std::string host, ResolveHost resolve, Deliver deliver)
    : shared_(std::make_shared<Shared>()) {
  shared_->deliver = std::move(deliver);
  const auto look_up = [shared = shared_, host = std::move(host), resolve = std::move(resolve)] {
    name_this_thread("resolve");
    Result<std::vector<std::string>> found = resolve ? resolve(host) : resolve_by_system(host);
    if (found && found->empty()) {
      found = Error{Errc::not_found, fmt::format("{} has no address", host)};
    }
    if (found && found->size() > kAddressesMax) found->resize(kAddressesMax);
    const std::lock_guard lock(shared->mutex);
    if (shared->deliver) shared->deliver(std::move(found));
  };
  std::thread(look_up).detach();
}

Lookup::~Lookup() {
  const std::lock_guard lock(shared_->mutex);
  shared_->deliver = nullptr;
}

}  // namespace standpipe::firehose
