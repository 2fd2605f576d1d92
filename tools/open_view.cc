#include <fmt/format.h>

#include <utility>

#include "tools/archive_view.h"
#include "tools/control_routes.h"
#include "tools/local_view.h"

namespace standpipe::tools {

Result<std::unique_ptr<ArchiveView>> open_view(const std::filesystem::path& dir) {
  // Twice: a holder that lets go between the two questions leaves an archive that can be opened.
  for (int attempt = 0;; ++attempt) {
    storage::ArchiveOptions options;
    options.access = storage::Access::read_only;
    options.create_if_missing = false;
    auto archive = storage::Archive::open(dir, options);
    if (archive) return make_local_view(std::move(*archive));
    if (archive.error().code != Errc::busy) return archive.error();
    const auto health = control_call(dir, {"GET", "/health", ""});
    if (health) return make_remote_view(dir);
    if (attempt > 0) {
      return Error{Errc::busy,
                   fmt::format("{}, and it cannot be asked at {}: {}", archive.error().detail,
                               (dir / "control.sock").string(), health.error().detail)};
    }
  }
}

}  // namespace standpipe::tools
