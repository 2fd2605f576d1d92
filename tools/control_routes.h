// What can be asked at the control socket, without the socket.
//
//   GET  /health                                    {status, detail}; 503 unless ok or read_only
//   GET  /inspect?stream=                           what `inspect --json` prints
//   GET  /locate?stream=&epoch=                     {stream, kind, epoch, newest, window_floor}
//   GET  /position?stream=&epoch=&clock_ms=         {position}
//   GET  /frames?stream=&epoch=&after=&until=       a page of frames, tools/frame_page.h
//   GET  /gaps?stream=&epoch=&after=&before=&max=   [{after, before, reason, recorded_ms, detail}]
//   GET  /verify                                    {} once every stored byte has been re-read
//   POST /checkpoint                                {name} of the directory in DIR where it stands
//   POST /checkpoint/end                            {} once it is gone
//   POST /epoch {stream, reason}                    {stream, epoch}: begun, durable
//
// Errors: {code, detail}, the code as code_name gives it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "storage/archive.h"
#include "tools/archive_view.h"
#include "tools/control.h"

namespace standpipe::tools {

// Of an epoch's reason.
inline constexpr std::size_t kReasonBytesMax = 1'000;

// `archive` must outlive the handler. `on_epoch`, if set, is called with the stream's name after an
// epoch has begun, on the thread that answers.
ControlHandler control_routes(storage::Archive& archive,
                              std::function<void(std::string_view stream)> on_epoch = {});

// The other side: a view that asks the process which holds `dir`.
std::unique_ptr<ArchiveView> make_remote_view(std::filesystem::path dir);
// POST /epoch. The number of the epoch that has begun.
Result<storage::EpochNumber> call_begin_epoch(const std::filesystem::path& dir,
                                              std::string_view stream, std::string_view reason);

// POST /checkpoint, as long as it takes: where it stands. POST /checkpoint/end.
Result<std::filesystem::path> call_make_checkpoint(const std::filesystem::path& dir);
Result<void> call_remove_checkpoint(const std::filesystem::path& dir);

}  // namespace standpipe::tools
