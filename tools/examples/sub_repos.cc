// Every record that is created, as JSON, one per line. Ends with the pipe or by Ctrl-C.
//
//     example_sub_repos [BASE_URI [CURSOR]]     example_sub_repos wss://bsky.network
#include <iostream>
#include <nlohmann/json.hpp>

#include "archiver/firehose/firehose.h"
#include "tools/examples/example_options.h"

namespace firehose = standpipe::firehose;

namespace {

void print_created(const firehose::MessageFrame& frame) {
  // The header alone decides: nothing else of the frame is decoded.
  if (frame.kind() != standpipe::FrameKind::commit) return;
  const auto message = firehose::or_throw(firehose::parse_subscribe_repos_message(frame));
  const auto& commit = std::get<firehose::Commit>(message);
  if (commit.blocks.empty()) return;
  const auto car = firehose::or_throw(firehose::Car::from_bytes(commit.blocks));
  for (const firehose::RepoOp& op : commit.ops) {
    if (op.action != "create" || !op.cid) continue;
    const nlohmann::json line = {
        {"uri", "at://" + std::string(commit.repo) + "/" + std::string(op.path)},
        {"cid", op.cid->to_string()},
        {"record", firehose::or_throw(car.record(*op.cid))}};
    std::cout << line.dump() << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = standpipe::examples::parse_arguments(argc, argv);
  firehose::FirehoseSubscribeReposClient client(options.params, options.client);
  client.start([&](const firehose::MessageFrame& frame) {
    print_created(frame);
    if (!std::cout) client.stop();
  });
  return 0;
}
