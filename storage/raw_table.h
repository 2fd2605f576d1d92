// One table file of a damaged database, read by itself: neither the manifest nor the directory is
// asked. What cannot be read is stepped over and told. Private to storage/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "storage/carved_table.h"

namespace standpipe::storage {

// Entries of a table lie in blocks, each with a checksum. A block that fails it is lost as a whole,
// and nothing says where it ends: the least key at which reading succeeds again is searched for.
class RawTable {
 public:
  // The entries between these keys cannot be read: those after `after` (empty: from the wanted one
  // on) and before `before` (empty: to the end of the table).
  struct Unreadable {
    std::string after, before;
    Error error;
  };
  using OnUnreadable = std::function<void(const Unreadable&)>;

  // Where its index cannot be read, the groups that its blocks hold are searched for. corrupt or io
  // where none is found.
  static Result<std::unique_ptr<RawTable>> open(const std::filesystem::path& path);
  ~RawTable();
  RawTable(const RawTable&) = delete;
  RawTable& operator=(const RawTable&) = delete;

  // The column family that it was written for; empty if it does not say.
  const std::string& container() const { return container_; }
  // Why its index cannot be read; empty if it can.
  const std::string& complaint() const { return complaint_; }
  // Called by the moves below; may be empty.
  void on_unreadable(OnUnreadable call) { on_unreadable_ = std::move(call); }

  void seek(std::string_view key);  // the first entry at or after `key` that can be read
  void next();
  bool valid() const;
  std::string_view key() const;  // until the next move
  std::string_view value();

 private:
  struct Reader;
  explicit RawTable(std::unique_ptr<Reader> reader);
  bool can_read_at(const std::string& key);
  void step_over(std::string first_bad, std::string after);
  bool has_failed() const;

  void tell_hole(std::string after);

  std::unique_ptr<Reader> reader_;
  std::optional<CarvedTable> carved_;  // then reader_ is not asked
  std::size_t at_ = 0;                 // of its entries
  std::string container_;
  std::string complaint_;
  std::size_t key_bytes_ = 0;  // the longest key that it may hold
  OnUnreadable on_unreadable_;
};

}  // namespace standpipe::storage
