// A program of somebody else's, against the installed library: prints what comes until seq UNTIL.
#include <archiver/firehose/firehose.h>

#include <cstdio>
#include <cstdlib>

int main(int, char** argv) {
  standpipe::firehose::ClientOptions options;
  options.base_uri = argv[1];
  standpipe::firehose::FirehoseSubscribeReposClient client({standpipe::Seq{0}}, options);
  client.start([&](const standpipe::firehose::MessageFrame& frame) {
    std::printf("%s %s\n", std::string(frame.type()).c_str(), std::string(frame.did()).c_str());
    if (frame.seq() == standpipe::Seq{std::atoll(argv[2])}) client.stop();
  });
}
