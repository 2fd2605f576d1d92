// Everything of the firehose client library but the asynchronous clients, which bring Asio with
// them: archiver/firehose/async_client.h.
#pragma once

#include "archiver/firehose/car.h"             // IWYU pragma: export
#include "archiver/firehose/client.h"          // IWYU pragma: export
#include "archiver/firehose/cursor_tracker.h"  // IWYU pragma: export
#include "archiver/firehose/errors.h"          // IWYU pragma: export
#include "archiver/firehose/message_frame.h"   // IWYU pragma: export
#include "archiver/firehose/messages.h"        // IWYU pragma: export
