#include "replay/address_places.h"

namespace standpipe::replay {

AddressPlaces::Taken AddressPlaces::take(const boost::asio::ip::address& address) {
  const std::lock_guard lock(mutex_);
  if (stats_.taken >= total_max_) {
    ++stats_.refused_total;
    return Taken::full;
  }
  std::size_t& own = places_[address];
  if (own >= per_address_max_) {
    ++stats_.refused_address;
    return Taken::address_full;
  }
  ++own;
  ++stats_.taken;
  return Taken::place;
}

void AddressPlaces::give_back(const boost::asio::ip::address& address) {
  const std::lock_guard lock(mutex_);
  --stats_.taken;
  const auto own = places_.find(address);
  if (--own->second == 0) places_.erase(own);
}

AddressPlaces::Stats AddressPlaces::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

}  // namespace standpipe::replay
