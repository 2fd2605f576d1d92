// An archive that this process holds for writing, with its control socket.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "schema/base/result.h"
#include "storage/archive.h"
#include "tools/control.h"

namespace standpipe::tools {

class HeldArchive {
 public:
  // As Archive::open. `on_epoch`: as control_routes; called from threads of the control socket.
  static Result<HeldArchive> open(const std::filesystem::path& dir, storage::ArchiveOptions options,
                                  std::function<void(std::string_view stream)> on_epoch);

  storage::Archive& archive() { return *archive_; }
  // The socket first, so that nobody reads an archive that is closing; then a clean stop.
  Result<void> close();

 private:
  HeldArchive(std::unique_ptr<storage::Archive> archive, std::unique_ptr<ControlServer> control);

  std::unique_ptr<storage::Archive> archive_;
  std::unique_ptr<ControlServer> control_;  // reads archive_: gone before it
};

}  // namespace standpipe::tools
