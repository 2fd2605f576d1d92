#!/usr/bin/env bash
# The Debian package, as far as a machine lets it: what is in it, what its pages and its unit are
# worth, and that what it installs mirrors a network. usage: deb.sh FILE.deb
#
# Installs and removes it for real only where CI=true and we are root: elsewhere it is unpacked.
set -euo pipefail

deb="$(realpath "$1")"
work="$(mktemp -d)"
mirror=
trap '[ -z "$mirror" ] || kill "$mirror" 2> /dev/null || true; rm -rf "$work"' EXIT
fail() { printf 'deb.sh: %s\n' "$*" >&2; exit 1; }

dpkg-deb -x "$deb" "$work/root"
dpkg-deb -e "$deb" "$work/control"
for file in usr/bin/standpipe usr/lib/systemd/system/standpipe.service \
  usr/lib/systemd/system/standpipe.socket usr/lib/sysusers.d/standpipe.conf \
  etc/standpipe/standpipe.toml usr/share/man/man1/standpipe.1.gz \
  usr/share/bash-completion/completions/standpipe usr/share/zsh/vendor-completions/_standpipe \
  usr/share/doc/standpipe/copyright; do
  [ -s "$work/root/$file" ] || fail "$file is missing"
done
grep -q '^Depends: .*librocksdb' "$work/control/control" || fail "it does not depend on RocksDB"
grep -qx /etc/standpipe/standpipe.toml "$work/control/conffiles" || fail "the options are no conffile"
for script in postinst prerm postrm; do sh -n "$work/control/$script"; done

# Pages: nothing that groff or bash would complain of.
if command -v groff > /dev/null; then
  complaints="$(zcat "$work/root/usr/share/man/man1/standpipe.1.gz" | groff -man -Tutf8 -ww 2>&1 > /dev/null)"
  [ -z "$complaints" ] || fail "the manual page: $complaints"
fi
bash -n "$work/root/usr/share/bash-completion/completions/standpipe"
(
  # shellcheck disable=SC1091
  source "$work/root/usr/share/bash-completion/completions/standpipe"
  COMP_WORDS=(standpipe mirror --cursor-mode ex) COMP_CWORD=3
  _standpipe
  [ "${COMPREPLY[*]}" = exclusive ]
) || fail "completion in bash does not know a value of --cursor-mode"

# The unit: at most 3 of 10 in systemd's count of what a service could do, less being better.
if command -v systemd-analyze > /dev/null; then
  systemd-analyze security --offline=true --threshold=30 "$work/root/usr/lib/systemd/system/standpipe.service" \
    > "$work/security" 2>&1 || { tail -n 3 "$work/security" >&2; fail "the unit is exposed"; }
  tail -n 1 "$work/security"
fi

# Mirrors a simulated network with the options as installed, from the binary at $1.
mirror_once() {
  local listen
  "${@:2}" "$1" mirror --config "$work/root/etc/standpipe/standpipe.toml" --data "$work/archive" \
    --upstream sim:seed=7,rate=200 --listen 127.0.0.1:0 --admin 127.0.0.1:0 --min-free 0 --quiet \
    --ready-file "$work/ready" 2> "$work/log" &
  mirror=$!
  for _ in $(seq 600); do
    [ -s "$work/ready" ] && break
    kill -0 "$mirror" 2> /dev/null || { cat "$work/log" >&2; fail "it ended before it was ready"; }
    sleep 0.1
  done
  listen="$(sed 's/.*"listen":\["\([^"]*\)".*/\1/' "$work/ready")"
  { timeout 60 "$1" tail "ws://$listen" --cursor 0 || true; } | head -n 50 > "$work/frames"
  [ "$(wc -l < "$work/frames")" -eq 50 ] || fail "50 frames were asked for: $(wc -l < "$work/frames")"
  kill "$mirror"
  wait "$mirror" || fail "it did not end with 0: $(tail -n 3 "$work/log")"
  mirror=
  rm -rf "$work/archive" "$work/ready"
}

mirror_once "$work/root/usr/bin/standpipe"

if [ "${CI:-}" = true ] && [ "$(id -u)" -eq 0 ]; then
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$deb" > "$work/install" 2>&1 \
    || { cat "$work/install" >&2; fail "it does not install"; }
  getent passwd standpipe > /dev/null || fail "there is no user standpipe"
  install -d -o standpipe -g standpipe "$work/archive"
  chmod 755 "$work"
  chown standpipe "$work"
  mirror_once /usr/bin/standpipe setpriv --reuid standpipe --regid standpipe --init-groups
  DEBIAN_FRONTEND=noninteractive apt-get remove -y -q standpipe > /dev/null
  [ -s /etc/standpipe/standpipe.toml ] || fail "removing it took the options"
  DEBIAN_FRONTEND=noninteractive apt-get purge -y -q standpipe > /dev/null
  [ ! -e /etc/standpipe/standpipe.toml ] || fail "purging it left the options"
  [ ! -e /usr/bin/standpipe ] || fail "removing it left the program"
fi
printf '1 passed, 0 failed\n'
