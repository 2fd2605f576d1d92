// A copy of an open archive that shares its tables.
#include <shared_mutex>
#include <string>
#include <system_error>

#include "storage/core.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCheckpoint = "checkpoint";
constexpr std::string_view kUnfinished = "checkpoint.partial";

Error failed_to(std::string_view verb, const fs::path& path, const std::error_code& why) {
  return Error{why == std::errc::no_space_on_device ? Errc::limit : Errc::io,
               "cannot " + std::string(verb) + " " + path.string() + ": " + why.message()};
}

}  // namespace

Result<void> remove_checkpoint(const fs::path& dir) {
  for (const std::string_view name : {kUnfinished, kCheckpoint}) {
    std::error_code failed;
    fs::remove_all(dir / name, failed);
    if (failed) return failed_to("remove", dir / name, failed);
  }
  return {};
}

// The database and a witness of the same moment, under another name until both are durable.
Result<fs::path> make_checkpoint(Core& core) {
  const fs::path unfinished = core.dir / kUnfinished;
  std::error_code failed;
  fs::create_directory(unfinished, failed);
  if (failed) return failed_to("create", unfinished, failed);
  {
    const std::shared_lock lock(core.store_mutex);
    if (core.store == nullptr) return Error{Errc::closed, "the archive is closed"};
    STANDPIPE_CHECK(core.store->checkpoint(unfinished / "db"));
  }
  WitnessState state;
  {
    const std::lock_guard lock(core.mutex);
    state = core.witness_state(/*is_clean=*/false);
  }
  STANDPIPE_TRY(Witness witness, Witness::open(unfinished / "witness"));
  STANDPIPE_CHECK(witness.write(std::move(state)));
  // Who reads an archive does not make the file that it locks.
  STANDPIPE_CHECK(DirectoryLock::acquire(unfinished, Access::write));
  STANDPIPE_CHECK(sync_directory(unfinished));
  fs::path checkpoint = core.dir / kCheckpoint;
  fs::rename(unfinished, checkpoint, failed);
  if (failed) return failed_to("rename", unfinished, failed);
  return checkpoint;
}

}  // namespace standpipe::storage
