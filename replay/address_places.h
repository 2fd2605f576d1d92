// So many at once, in total and for one address. Thread-safe.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

namespace standpipe::replay {

class AddressPlaces {
 public:
  enum class Taken : std::uint8_t { place, full, address_full };

  AddressPlaces(std::size_t total_max, std::size_t per_address_max)
      : total_max_(total_max), per_address_max_(per_address_max) {}

  // `place` must be given back.
  Taken take(const boost::asio::ip::address& address);
  void give_back(const boost::asio::ip::address& address);

  struct Stats {
    std::uint64_t taken = 0;          // now
    std::uint64_t refused_total = 0;  // ever, for each reason
    std::uint64_t refused_address = 0;
  };
  Stats stats() const;

 private:
  const std::size_t total_max_;
  const std::size_t per_address_max_;
  mutable std::mutex mutex_;  // guards everything below
  std::map<boost::asio::ip::address, std::size_t> places_;
  Stats stats_;
};

}  // namespace standpipe::replay
