// The admin listener: metrics and health, for those who look after the process.
//
// Not for the public: on loopback it answers whoever is on the machine, and elsewhere only who
// knows the token. A browser is answered only what its user has asked for by hand: what another
// page asks in the user's name is refused, also where that page's host name leads to this machine.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "replay/health.h"
#include "schema/base/result.h"
#include "tools/http_server.h"

namespace standpipe::tools {

inline constexpr std::size_t kTokenBytesMin = 16;
inline constexpr std::size_t kTokenBytesMax = 4096;

struct AdminOptions {
  std::string address = "127.0.0.1:2481";  // port 0: any
  std::string token;                       // empty: none is asked for, on loopback alone
};

// Called on threads of the listener's own.
struct AdminPages {
  std::function<std::string()> metrics;
  std::function<replay::HealthReport()> health;
};

// The token that a file holds, without white space around it. io: it cannot be read. invalid: too
// short or too long, or not of printable ASCII; the error does not show it.
Result<std::string> read_token_file(const std::string& path);

// What the listener answers: pure, but for the pages.
HttpAnswer answer_admin(const AdminPages& pages, std::string_view token,
                        const HttpRequest& request);

class AdminServer {
 public:
  // invalid: not an address, or one beyond loopback without a token. io: cannot listen there.
  static Result<std::unique_ptr<AdminServer>> start(const AdminOptions& options, AdminPages pages);
  // Waits for pages that are being made.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  const std::string& address() const { return address_; }  // with the port that was taken

 private:
  AdminServer() = default;

  std::string address_;
  std::unique_ptr<HttpServer> server_;
};

// Whether start() would take it: as its errors.
Result<void> check_admin_options(const AdminOptions& options);

}  // namespace standpipe::tools
