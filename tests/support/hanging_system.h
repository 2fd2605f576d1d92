// Names that are not found out, for as long as a test likes.
#pragma once

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "archiver/firehose/ws_client.h"
#include "schema/base/result.h"

namespace standpipe::test {

using Addresses = Result<std::vector<std::string>>;

// A system that does not find a name for as long as this is there. A lookup outlives those who
// wanted it, so it shares what it waits for.
class HangingSystem {
 public:
  HangingSystem() : ended_(end_.get_future()) {}
  ~HangingSystem() { end_.set_value(); }

  firehose::ResolveHost resolve() {
    return [asked = asked_, ended = ended_](const std::string&) -> Addresses {
      asked->set_value();
      ended.wait();
      return Error{Errc::not_found, "the end of the test"};
    };
  }
  void wait_until_asked() { asked_->get_future().wait(); }

 private:
  std::promise<void> end_;
  std::shared_ptr<std::promise<void>> asked_ = std::make_shared<std::promise<void>>();
  std::shared_future<void> ended_;
};

}  // namespace standpipe::test
