#!/usr/bin/env bash
# The one entrance: sets up what is missing, builds, tests, measures, formats. `./go help` lists it.
set -euo pipefail

caller_dir="$PWD"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
cd "$root"

# Objects of another checkout of the same source are as good as ours.
export CCACHE_BASEDIR="${CCACHE_BASEDIR:-$root}" CCACHE_NOHASHDIR="${CCACHE_NOHASHDIR:-1}"

say() { printf '%s\n' "$*" >&2; }
die() { say "go: $*"; exit 1; }
usage_error() { say "go: $*"; exit 2; }

usage() {
  cat <<'USAGE'
usage: ./go VERB

  run [OPTION...]           mirror a simulated network, live, into ./data-simulated (or
                            $STANDPIPE_DATA): all of the product on a machine without any network
  run URL [OPTION...]       mirror that host into ./data (or $STANDPIPE_DATA) and serve it again at
                            127.0.0.1:2480, from now on unless --from says otherwise
  run public [OPTION...]    the same of the relay of the public network
  run FILE                  import a frame file into ./data and show what the archive holds
  build [PRESET [TARGET..]] configure and build: dev (default), release, asan, tsan, fuzz
  test [PRESET] [CTEST...]  build and run the tests; what follows goes to ctest (-R NAME, -LE slow)
  bench [OPTION...]         build preset release, run all benchmarks, and end with the table of the
                            numbers that the project promised itself; --scale 0.05 is a quick look,
                            --json is for machines
  bench NAME [OPTION...]    run one of them; --help lists its options
  fuzz [TARGET] [SECONDS]   run one fuzz target, or each of them, for SECONDS (default 60)
  soak [HOURS] [OPTION...]  a mirror under load, faults, kills, retention and backups for so long
                            (default 0.17), held against what was simulated in the end; takes some
                            2 GB below $TMPDIR or /tmp. --seed N: other faults
  interop [OPTION...]       run the clients of the field (npm, PyPI, Go) against a real mirror;
                            --client NAME, --scenario NAME: only those. npm and Go 1.26 are not
                            installed for it: without them their rows say so
  package                   make a Debian package of the program, and try it: build/release/*.deb
  docs                      make the reference of the client library: build/docs/html
  fmt                       format every source file
  lint                      check format, include arrows and clang-tidy's findings
  all                       everything that continuous integration does (.ci/run)
  help                      this text

Packages that a verb needs and the machine lacks are installed with apt: as root, or by sudo.
Environment: STANDPIPE_SHARED (real frames for tests, default ../shared), STANDPIPE_DATA,
STANDPIPE_TEST_SCALE (0.1 runs a tenth of the rounds of long tests), JOBS.
USAGE
}

# ---- packages ----

tool_packages=(g++ cmake ninja-build pkg-config)
library_packages=(librocksdb-dev libzstd-dev libssl-dev nlohmann-json3-dev libfmt-dev libspdlog-dev
  libcli11-dev libtomlplusplus-dev libxxhash-dev libsecp256k1-dev libgtest-dev libgmock-dev)
bench_packages=(libbenchmark-dev)
test_packages=(prometheus nginx-light chromium)

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

# Version of the Boost headers that a compiler would find, as 107400; nothing where there are none.
boost_version() {
  local header
  for header in /usr/local/include/boost/version.hpp /usr/include/boost/version.hpp; do
    [ -r "$header" ] || continue
    sed -n 's/^#define BOOST_VERSION \([0-9]*\).*/\1/p' "$header"
    return
  done
}

# Root, or sudo where it can ask for what it needs; else nothing, and the exit status says so.
privilege() {
  if [ "$(id -u)" -eq 0 ]; then return 0; fi
  command -v sudo > /dev/null || return 1
  if sudo -n true 2> /dev/null || [ -t 0 ]; then echo sudo; else return 1; fi
}

# Boost's packages conflict with one another: 1.81 would push out a 1.74 that somebody else needs.
refuse_old_boost() {
  local version
  version="$(boost_version)"
  if [ -z "$version" ] || [ "$version" -ge 108100 ]; then return 0; fi
  die "Boost $((version / 100000)).$((version / 100 % 1000)) is installed and standpipe needs 1.81" \
    "or newer. Debian's Boost packages exclude one another, and set-up removes nothing that is" \
    "installed: if nothing of yours needs the old one, remove libboost1.*-dev and run this again."
}

# The oldest Boost that is new enough: the nearest to what is tested.
newest_enough_boost() {
  apt-cache pkgnames libboost1. | grep -E '^libboost1\.[0-9]+-dev$' | sort -V |
    awk -F'[.-]' '$2 >= 81' | head -n 1
}

# The sanitizers' and libFuzzer's run time for the clang that `clang` stands for.
clang_runtime() {
  local version
  version="$(apt-cache depends clang 2> /dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')"
  echo "libclang-rt-${version:-14}-dev"
}

# need PACKAGE...: installs what is lacking. `boost` and `clang-runtime` stand for the package
# that this release has.
need() {
  local package missing=() as_root
  if ! command -v apt-get > /dev/null; then
    say "go: no apt here; taking for granted what stands for: $*"
    return
  fi
  for package in "$@"; do
    case "$package" in
      boost)
        refuse_old_boost
        [ -n "$(boost_version)" ] || missing+=(boost)
        ;;
      clang-runtime)
        is_installed "$(clang_runtime)" || missing+=(clang-runtime)
        ;;
      *)
        is_installed "$package" || missing+=("$package")
        ;;
    esac
  done
  [ "${#missing[@]}" -gt 0 ] || return 0

  if ! as_root="$(privilege)"; then
    local names=()
    for package in "${missing[@]}"; do
      case "$package" in
        boost) package="$(newest_enough_boost)" && package="${package:-libboost1.81-dev}" ;;
        clang-runtime) package="$(clang_runtime)" ;;
      esac
      names+=("$package")
    done
    say "go: packages are missing, and this is neither root nor has sudo. Have this run:"
    say "  apt-get update && apt-get install --no-remove --no-install-recommends -y ${names[*]}"
    exit 1
  fi
  say "go: installing ${missing[*]}"
  $as_root apt-get update -qq || die "apt-get update failed"
  local resolved=()
  for package in "${missing[@]}"; do
    case "$package" in
      boost)
        package="$(newest_enough_boost)"
        [ -n "$package" ] || die "no libboost1.N-dev with N >= 81 in this release: Debian 12 and" \
          "Ubuntu 24.04 have one"
        ;;
      clang-runtime) package="$(clang_runtime)" ;;
    esac
    resolved+=("$package")
  done
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove \
    --no-install-recommends "${resolved[@]}" > /dev/null ||
    die "apt-get could not install ${resolved[*]} without removing a package, or at all (see above)"
}

need_for_build() {
  local packages=("${tool_packages[@]}" boost "${library_packages[@]}")
  case "$1" in
    asan | fuzz) packages+=(clang clang-runtime lld) ;;
    *) ;;
  esac
  need "${packages[@]}" "${@:2}"
}

# ---- building ----

# One job per core, fewer where memory is short: a unit that includes Beast takes 1.3 GB.
jobs() {
  local cores memory_gib
  cores="$(nproc)"
  memory_gib="$(awk '/^MemTotal/ { printf "%d", $2 / 1048576 / 1.5 }' /proc/meminfo)"
  [ "$memory_gib" -ge 1 ] || memory_gib=1
  echo "${JOBS:-$((cores < memory_gib ? cores : memory_gib))}"
}

is_preset() {
  case "$1" in
    dev | release | asan | tsan | fuzz) return 0 ;;
    *) return 1 ;;
  esac
}

# configure PRESET, then build PRESET [TARGET...].
configure() {
  local log="build/$1/configure.log"
  mkdir -p "build/$1"
  if ! cmake --preset "$1" > "$log" 2>&1; then
    cat "$log" >&2
    die "cmake --preset $1 failed"
  fi
}

build() {
  local preset="$1"
  shift
  configure "$preset"
  ninja -C "build/$preset" -j "$(jobs)" "$@" || die "the build of preset $preset failed"
}

# Thread sanitizers older than the kernel's wider address randomisation need it off.
fixed_addresses() {
  if setarch "$(uname -m)" -R true 2> /dev/null; then
    setarch "$(uname -m)" -R "$@"
  else
    "$@"
  fi
}

# Tests sync at every step, and none of them is about the disk below: memory where there is enough.
scratch_directory() {
  local free_kib
  free_kib="$(df --output=avail /dev/shm 2> /dev/null | tail -n 1)"
  if [ -w /dev/shm ] && [ "${free_kib:-0}" -gt 4000000 ]; then echo /dev/shm; else echo /tmp; fi
}

sources() {
  local folder
  for folder in schema storage archiver replay tools tests; do
    if [ -d "$folder" ]; then find "$folder" -name '*.h' -o -name '*.cc'; fi
  done | sort
}

# ---- verbs ----

verb_build() {
  local preset="${1:-dev}"
  is_preset "$preset" || usage_error "no preset '$preset': dev, release, asan, tsan, fuzz"
  if [ "$preset" = release ]; then
    need_for_build release "${bench_packages[@]}"
  else
    need_for_build "$preset"
  fi
  build "$preset" "${@:2}"
}

verb_test() {
  local preset=dev runner=()
  if [ "$#" -gt 0 ] && is_preset "$1"; then
    preset="$1"
    shift
  fi
  [ "$preset" != fuzz ] || usage_error "preset fuzz has no tests: ./go fuzz"
  [ "$preset" != tsan ] || runner=(fixed_addresses)
  need_for_build "$preset"
  # Some tests look at us through other programs, and are skipped where those are missing; not so in
  # continuous integration. (Where a system runs services, prometheus begins one.)
  [ "${CI:-}" != true ] || need "${test_packages[@]}"
  build "$preset"
  local log="build/$preset/ctest.log" status=0
  local -x TMPDIR="${TMPDIR:-$(scratch_directory)}"
  # Tests of failing disks mostly wait, for RocksDB pauses after a background error.
  "${runner[@]}" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error \
    -j "$(($(jobs) * 2))" "$@" 2>&1 | tee "$log" || status=1
  # ctest ends with what was skipped or failed, at length; the verdict is said again, last.
  grep -E '^[0-9]+% tests passed' "$log" || true
  return "$status"
}

public_relay=wss://relay1.us-west.bsky.network

verb_run() {
  local source="${1:-}" file data="${STANDPIPE_DATA:-$root/data}"
  # Beside ./data, not in it: what is made up never stands among what was received.
  if [[ -z "$source" || "$source" == -* ]]; then
    need_for_build release
    build release standpipe
    exec build/release/standpipe mirror --data "${STANDPIPE_DATA:-$root/data-simulated}" \
      --upstream sim: --labeler sim: "$@"
  fi
  shift
  need_for_build release
  build release standpipe
  if file="$(cd "$caller_dir" && realpath -e -- "$source" 2> /dev/null)" && [ -f "$file" ]; then
    build/release/standpipe import "$file" --data "$data" "$@"
    build/release/standpipe inspect --data "$data"
    return
  fi
  [ "$source" != public ] || source="$public_relay"
  # A relay's backlog is hundreds of gigabytes: who wants it says so.
  case " $* " in *" --from"*) ;; *) set -- --from newest "$@" ;; esac
  exec build/release/standpipe mirror --data "$data" --upstream "$source" "$@"
}

# All of them: the rows of each, and at the end those of the numbers that the project promised
# itself. A bench that fails leaves its rows without figures, and the others run all the same.
bench_all() {
  local bench name given=("$@") options json=0 scale="" out=build/release/bench status=0
  while [ "$#" -gt 0 ]; do
    case "$1" in
      --json) json=1 ;;
      --scale) scale="${2:?go: --scale needs a number}"; shift ;;
      --scale=*) scale="${1#--scale=}" ;;
      *) usage_error "of all benchmarks: --scale X, --json; '$1' is for one: ./go bench NAME ${given[*]}" ;;
    esac
    shift
  done
  rm -rf "$out"
  mkdir -p "$out"
  for bench in tests/bench/*_bench.cc; do
    name="$(basename "$bench" .cc)"
    options=(--json)
    # Those that have no scale are done in seconds.
    if [ -n "$scale" ] && grep -q -- '"--scale"' "$bench"; then options+=(--scale "$scale"); fi
    say "== $name"
    if ! "build/release/$name" "${options[@]}" > "$out/$name.part"; then
      status=1
      continue
    fi
    mv "$out/$name.part" "$out/$name.json"
    [ "$json" -eq 1 ] || build/release/bench_table "$out/$name.json" || status=1
  done
  rm -f "$out"/*.part
  say "== design"
  options=(--design)
  [ "$json" -eq 0 ] || options+=(--json)
  build/release/bench_table "${options[@]}" $(find "$out" -name '*.json' | sort) || status=1
  return "$status"
}

verb_bench() {
  need_for_build release "${bench_packages[@]}"
  build release standpipe benchmarks
  case "${1:-}" in
    "" | -*) bench_all "$@" ;;
    *)
      local bench="${1%_bench}_bench"
      [ -r "tests/bench/$bench.cc" ] || die "no benchmark $1 in tests/bench"
      say "== $bench"
      "build/release/$bench" "${@:2}"
      ;;
  esac
}

# fuzz_one TARGET SECONDS: starts from the repository's corpus; what it finds stays under build/.
fuzz_one() {
  local name="$1" seconds="$2" corpus="build/fuzz/corpus/$1" seeds="tests/fuzz/corpus/$1" extra=()
  mkdir -p "$corpus" build/fuzz/findings
  [ ! -d "$seeds" ] || extra+=("$seeds")
  [ ! -f "tests/fuzz/$name.dict" ] || extra+=("-dict=tests/fuzz/$name.dict")
  say "== fuzz $name, $seconds s"
  "build/fuzz/${name}_fuzz" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/findings/$name-" "$corpus" \
    "${extra[@]}" || die "$name fails: its input is in build/fuzz/findings/"
}

verb_fuzz() {
  local wanted="${1:-}" seconds="${2:-60}" source names=()
  if [[ "$wanted" =~ ^[0-9]+$ ]]; then  # ./go fuzz 20: every target
    seconds="$wanted"
    wanted=""
  fi
  [[ "$seconds" =~ ^[0-9]+$ ]] || usage_error "SECONDS is a number, not '$seconds'"
  for source in tests/fuzz/*_fuzz.cc; do
    source="$(basename "$source" _fuzz.cc)"
    if [ -z "$wanted" ] || [ "${wanted%_fuzz}" = "$source" ]; then names+=("$source"); fi
  done
  [ "${#names[@]}" -gt 0 ] || die "no fuzz target '$wanted' in tests/fuzz"
  need_for_build fuzz
  build fuzz "${names[@]/%/_fuzz}"
  for source in "${names[@]}"; do fuzz_one "$source" "$seconds"; done
}

verb_soak() {
  local hours=0.17
  if [[ "${1:-}" =~ ^[0-9] ]]; then
    hours="$1"
    shift
  fi
  need_for_build release "${bench_packages[@]}"
  build release standpipe soak
  build/release/soak --hours "$hours" "$@"
}

verb_interop() {
  need_for_build dev python3 python3-venv zstd openssl
  build dev standpipe
  python3 -B tests/interop/run.py --standpipe build/dev/standpipe --build build/interop "$@"
}

verb_package() {
  need_for_build release dpkg-dev file groff-base
  build release standpipe
  rm -f build/release/*.deb
  cpack --config build/release/CPackConfig.cmake -B build/release > build/release/cpack.log 2>&1 ||
    { cat build/release/cpack.log >&2; die "cpack failed"; }
  tests/package/deb.sh build/release/standpipe_*.deb || die "the package is not as it should be"
  say "package: $(echo build/release/standpipe_*.deb)"
}

verb_docs() {
  need doxygen
  mkdir -p build/docs
  doxygen docs/Doxyfile || die "the reference has warnings: see above"
  say "docs: build/docs/html/index.html"
}

verb_fmt() {
  need clang-format
  sources | xargs clang-format -i
}

verb_lint() {
  need_for_build dev clang clang-format clang-tidy
  configure dev
  bash tests/include_arrows.sh .
  sources | xargs clang-format --dry-run -Werror || die "not formatted as .clang-format says: ./go fmt"
  # Each unit on its own: memory stays bounded, and one slow unit does not hold up the rest.
  local log=build/dev/lint.log status=0
  sources | grep -E '^(schema|storage|archiver|replay|tools)/.*\.cc$' |
    xargs -P "$(jobs)" -n 1 clang-tidy --quiet -p build/dev > "$log" 2> "$log.errors" || status=1
  # A finding in a header comes once per unit that includes it; it is shown once.
  grep -hE '(warning|error): ' "$log" "$log.errors" | sort -u || true
  [ "$status" -eq 0 ] || die "clang-tidy has findings that are fatal: the errors above, whole in $log"
  say "lint: clean"
}

verb="${1:-help}"
[ "$#" -eq 0 ] || shift
case "$verb" in
  run | build | test | bench | fuzz | soak | interop | package | docs | fmt | lint) "verb_$verb" "$@" ;;
  all) exec "$root/.ci/run" "$@" ;;
  help | --help | -h) usage ;;
  *) usage >&2; usage_error "no verb '$verb'" ;;
esac
