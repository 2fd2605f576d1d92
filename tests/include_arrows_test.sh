#!/usr/bin/env bash
# Plants includes in a tree of its own and checks the verdict of include_arrows.sh on each.
set -euo pipefail
checker="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/include_arrows.sh"
tree="$(mktemp -d)"
trap 'rm -rf "$tree"' EXIT
failed=0

# expect accepts|refuses FILE INCLUDE-LINE
expect() {
  local verdict=accepts
  rm -rf "${tree:?}"/*
  mkdir -p "$tree/schema" "$(dirname "$tree/$2")"
  printf '#pragma once\n' > "$tree/schema/seq.h"
  printf '%s\n' "$3" > "$tree/$2"
  bash "$checker" "$tree" > /dev/null || verdict=refuses
  if [ "$verdict" != "$1" ]; then
    echo "$2 with $3: the checker $verdict it, the test wants: $1"
    failed=1
  fi
}

expect accepts schema/cbor.cc '#include "schema/seq.h"'
expect accepts schema/cbor.cc '#include <nlohmann/json.hpp>'
expect accepts schema/cbor.h '#include <nlohmann/json_fwd.hpp>'
expect accepts storage/archive.cc '#include <rocksdb/db.h>'
expect accepts storage/archive.h '#include "schema/seq.h"'
expect accepts replay/server.cc '#include "storage/archive.h"'
expect accepts tools/mirror.cc '#include "archiver/writer.h"'
expect accepts tools/mirror.cc '#include "replay/server.h"'
expect accepts archiver/writer.cc '#include "storage/archive.h"'
expect accepts archiver/firehose/client.cc '#include "archiver/firehose/upstream.h"'
expect accepts tests/unit/x_test.cc '#include "tools/mirror.h"'

expect refuses schema/cbor.cc '#include "storage/archive.h"'
expect refuses schema/base/clock.h '#include "tests/support/x.h"'
expect refuses schema/cbor.cc '#include "seq.h"'
expect refuses schema/cbor.cc '  #  include   "replay/server.h"'
expect refuses schema/cbor.cc '#include <storage/archive.h>'
expect refuses storage/archive.cc '#include "archiver/writer.h"'
expect refuses storage/archive.cc '#include "tools/main.h"'
expect refuses archiver/writer.cc '#include "replay/server.h"'
expect refuses archiver/firehose/client.cc '#include "storage/archive.h"'
expect refuses archiver/firehose/client.h '#include "archiver/writer.h"'
expect refuses replay/server.cc '#include "archiver/writer.h"'
expect refuses tools/mirror.cc '#include "tests/support/x.h"'
expect refuses schema/cbor.h '#include <nlohmann/json.hpp>'
expect refuses storage/archive.h '#include <rocksdb/db.h>'
expect refuses storage/group.h '#include <zstd.h>'
expect refuses archiver/ws.h '#include <boost/beast/core.hpp>'
expect refuses tools/sim/sign.h '#include <openssl/evp.h>'

# An empty tree must not pass for a clean one.
rm -rf "${tree:?}"/*
if bash "$checker" "$tree" > /dev/null; then
  echo "a tree without sources passes"
  failed=1
fi
exit "$failed"
