// The little that a client of a stream says: control frames, beside whatever is being read.
//
// Not for users of the library.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstddef>

#include "schema/base/bytes.h"

namespace standpipe::firehose {

// All of it belongs to the executor. The stream and this object outlive what is being written: who
// is done closes the stream and awaits wait().
class ControlWriter {
 public:
  explicit ControlWriter(const boost::asio::any_io_executor& executor) : written_(executor) {}

  // At most kUnsentMax bytes wait: a peer that takes none gets no more.
  template <typename Stream>
  void send(Stream& stream, const Bytes& frame) {
    if (unsent_.size() + frame.size() > kUnsentMax) return;
    unsent_.insert(unsent_.end(), frame.begin(), frame.end());
    write_on(stream);
  }

  bool is_writing() const { return is_writing_; }

  // Nothing more is begun, and what was is over.
  boost::asio::awaitable<void> wait() {
    unsent_.clear();
    while (is_writing_) {
      written_.expires_at(std::chrono::steady_clock::time_point::max());
      [[maybe_unused]] auto waited =
          co_await written_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
  }

 private:
  static constexpr std::size_t kUnsentMax = 4 << 10;

  template <typename Stream>
  void write_on(Stream& stream) {
    if (is_writing_ || unsent_.empty()) return;
    sending_.swap(unsent_);
    unsent_.clear();
    is_writing_ = true;
    boost::asio::async_write(stream, boost::asio::buffer(sending_),
                             [this, &stream](boost::system::error_code ec, std::size_t) {
                               is_writing_ = false;
                               if (ec) unsent_.clear();
                               write_on(stream);
                               written_.cancel();
                             });
  }

  boost::asio::steady_timer written_;
  bool is_writing_ = false;
  Bytes sending_;
  Bytes unsent_;
};

}  // namespace standpipe::firehose
