#include "tests/support/loopback_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "schema/base/assert.h"

namespace standpipe::test {

LoopbackListener::LoopbackListener()
    : socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  STANDPIPE_ASSERT(::bind(socket.get(), generic, size) == 0 &&
                       ::listen(socket.get(), SOMAXCONN) == 0 &&
                       ::getsockname(socket.get(), generic, &size) == 0,
                   "cannot listen on 127.0.0.1");
  port = ntohs(address.sin_port);
}

}  // namespace standpipe::test
