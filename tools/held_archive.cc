#include "tools/held_archive.h"

#include <utility>

#include "tools/control_routes.h"

namespace standpipe::tools {

HeldArchive::HeldArchive(std::unique_ptr<storage::Archive> archive,
                         std::unique_ptr<ControlServer> control)
    : archive_(std::move(archive)), control_(std::move(control)) {}

Result<HeldArchive> HeldArchive::open(const std::filesystem::path& dir,
                                      storage::ArchiveOptions options,
                                      std::function<void(std::string_view)> on_epoch) {
  options.access = storage::Access::write;
  STANDPIPE_TRY(auto archive, storage::Archive::open(dir, std::move(options)));
  STANDPIPE_TRY(auto control,
                ControlServer::start(dir, control_routes(*archive, std::move(on_epoch))));
  return HeldArchive(std::move(archive), std::move(control));
}

Result<void> HeldArchive::close() {
  control_.reset();
  return archive_->close();
}

}  // namespace standpipe::tools
