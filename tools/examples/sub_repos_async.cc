// The types of messages and how many of each, counted by a coroutine; every 1,000 frames a line.
//
//     example_sub_repos_async [BASE_URI [CURSOR]]
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iostream>
#include <map>

#include "archiver/firehose/async_client.h"
#include "tools/examples/example_options.h"

namespace asio = boost::asio;
namespace firehose = standpipe::firehose;

namespace {

asio::awaitable<void> count(firehose::AsyncFirehoseSubscribeReposClient& client) {
  std::map<std::string, std::uint64_t, std::less<>> counts;
  for (std::uint64_t frames = 1;; ++frames) {
    const auto frame = co_await client.async_next(asio::use_awaitable);
    if (!frame) co_return;
    ++counts[std::string(frame->type())];
    if (frames % 1'000 != 0) continue;
    std::cout << frames << " frames:";
    for (const auto& [type, number] : counts) std::cout << ' ' << type << ' ' << number;
    std::cout << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = standpipe::examples::parse_arguments(argc, argv);
  asio::io_context io;
  firehose::AsyncFirehoseSubscribeReposClient client(io.get_executor(), options.params,
                                                     options.client);
  asio::co_spawn(io, count(client), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
  return 0;
}
