#!/usr/bin/env bash
# Fails on an include that the map of folders forbids, naming the file and the line.
# usage: include_arrows.sh SOURCE_ROOT
#
# A folder includes itself and the folders to its left:
#   schema <- storage <- { archiver, replay } <- tools;  archiver and replay never each other.
# tests may include anything. Headers include no Beast, RocksDB, OpenSSL, zstd or nlohmann/json.hpp
# (those outside tests: whoever includes a header must not pay for its packages).
set -euo pipefail
cd "${1:?usage: include_arrows.sh SOURCE_ROOT}"

declare -A allowed=(
  [schema]='schema'
  [storage]='schema|storage'
  [archiver]='schema|storage|archiver'
  [replay]='schema|storage|replay'
  [tools]='schema|storage|archiver|replay|tools'
)
include='^[[:space:]]*#[[:space:]]*include[[:space:]]*'
heavy='boost/beast|rocksdb/|openssl/|zstd|zdict|nlohmann/json\.hpp'
findings=0

# report WHY: prints the grep lines on stdin, each with WHY behind it.
report() {
  local line
  while IFS= read -r line; do
    printf '%s   <- %s\n' "$line" "$1"
    findings=$((findings + 1))
  done
}

checked=0
for folder in schema storage archiver replay tools; do
  [ -d "$folder" ] || continue
  checked=$((checked + $(find "$folder" -name '*.h' -o -name '*.cc' | wc -l)))
  # Project includes are written from the repository root, in quotes.
  report "a file of $folder/ includes only ${allowed[$folder]//|/, } (from the repository root)" \
    < <(grep -rnE --include='*.h' --include='*.cc' "$include\"" "$folder" |
        grep -vE "^[^\"]*\"(${allowed[$folder]})/" || true)
  report "a project header is included in quotes" \
    < <(grep -rnE --include='*.h' --include='*.cc' \
        "$include<(schema|storage|archiver|replay|tools|tests)/" "$folder" || true)
  report "not in a header: hide it behind std::unique_ptr<Impl> in the .cc file" \
    < <(grep -rnE --include='*.h' "$include[<\"]($heavy)" "$folder" || true)
done

# The client library is others' too: it stands on schema alone.
if [ -d archiver/firehose ]; then
  report "a file of archiver/firehose/ includes only schema and itself" \
    < <(grep -rnE --include='*.h' --include='*.cc' "$include\"" archiver/firehose |
        grep -vE '^[^"]*"(schema|archiver/firehose)/' || true)
fi

if [ "$checked" -eq 0 ]; then
  echo "no sources under $PWD: nothing was checked"
  exit 1
fi
echo "$checked files checked, $findings wrong includes"
[ "$findings" -eq 0 ]
