#!/usr/bin/env bash
# Run by bare.sh inside a bare machine, as the one who is to use it: what the README says, step by step.
set -euo pipefail
cd
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
megabytes() { du -smxc "$@" 2>/dev/null | tail -n 1 | cut -f 1; }
# What Debian's packages take, as dpkg counts.
debian() { dpkg-query -W -f '${Installed-Size}\n' | awk '{ sum += $1 } END { print int(sum / 1024) }'; }
cargo_sizes() {
  echo "cargo's registry $(megabytes "${CARGO_HOME:-$HOME/.cargo}") MB, target $(megabytes "${CARGO_TARGET_DIR:-$HOME/.cache/aceso/target}") MB"
}
fail() {
  echo "FAILED: $*"
  exit 1
}
began=$SECONDS
said() {
  printf '%5d s  %s\n' $((SECONDS - began)) "$*"
  began=$SECONDS
}

clone=aceso
if [ -d /var/tmp/shared ]; then
  # The next machine of this release finds what is unchanged where cargo built it; nothing else is left of the last.
  clone=/var/tmp/shared/aceso
fi
if [ -d "$clone" ]; then
  git -C "$clone" fetch --quiet /srv/aceso.bundle HEAD
  git -C "$clone" reset --quiet --hard FETCH_HEAD
  git -C "$clone" clean -ffdxq
else
  git -c advice.detachedHead=false -c init.defaultBranch=main clone --quiet /srv/aceso.bundle "$clone"
fi
cd "$clone"
packages=$(debian)

# The README's own line.
line=$(sed -n 's/^\(.*apt-get install .*\bmake\b.*libc6-dev\).*/\1/p' README.md | head -n 1)
[ "$line" ] || fail "README.md names no packages"
# Without a compiler the line is said, and nothing is built.
as_root apt-get -qq update
as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends make >/dev/null 2>&1
if make ward >ward.out 2>&1; then fail "make ward passes without a compiler"; fi
grep -q 'apt-get install .*gcc libc6-dev' ward.out || { cat ward.out; fail "make ward does not say what is missing"; }
said "make ward without a compiler says what to install"
[ "$(id -u)" != 0 ] || line=${line//sudo /}
DEBIAN_FRONTEND=noninteractive bash -euc "$line" >apt.out 2>&1 || { cat apt.out; fail "$line"; }
said "the README's packages: $(($(debian) - packages)) MB"

# Who may not become root is told the line before any check, and is asked nothing.
if id visitor >/dev/null 2>&1; then
  cp -r . /tmp/visited
  sudo chown -R visitor: /tmp/visited
  if sudo -u visitor env HOME=/home/visitor PATH="$PATH" make -C /tmp/visited test >visitor.out 2>&1; then
    fail "make test passes without its tools"
  fi
  grep -q 'apt-get install .*python3-venv' visitor.out || { cat visitor.out; fail "make test does not say what is missing"; }
  ! grep -qE 'Compiling|Checking|checks passed' visitor.out || fail "make test began without its tools"
  sudo rm -rf /tmp/visited
  said "make test without sudo says what to install"
fi

# As in a terminal: a process group of its own, ended by Ctrl-C once the page answers.
run_ward() {
  # Plain HTTP: a bare machine has nothing that speaks TLS.
  setsid make ward WARD_OPTIONS=--http >ward.out 2>&1 &
  ward=$!
  until grep -q '^Open http' ward.out; do
    kill -0 "$ward" 2>/dev/null || { cat ward.out; fail "make ward ended"; }
    sleep 0.2
  done
  said "make ward, to the address of the page; $(cargo_sizes)"
  address=$(sed -n 's#^Open http://\([^/ ]*\).*#\1#p' ward.out)
  exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
  printf 'GET /sign-in HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$address" >&3
  head -n 1 <&3 | grep -q ' 200 ' || fail "the page does not answer"
  exec 3>&-
  kill -INT -- "-$ward"
  wait "$ward" || true
  ! kill -0 -- "-$ward" 2>/dev/null || fail "Ctrl-C did not end the ward"
  grep -v '^ *\(Compiling\|Download\)' ward.out | tail -n 12
  said "the page answers, and Ctrl-C ends the ward"
}

for step in $BARE_STEPS; do
  if [ "$step" = ward ]; then
    run_ward
  else
    make "$step" || fail "make $step"
    said "make $step"
  fi
done
[ ! -e /usr/sbin/mosquitto ] || fail "a broker was brought along"
echo "Debian's packages $(($(debian) - packages)) MB; ~/.cache/aceso without target $(megabytes --exclude=target ~/.cache/aceso) MB; npm's $(megabytes ./*/node_modules) MB; $(cargo_sizes)"
echo "all steps pass on $(. /etc/os-release && echo "$PRETTY_NAME") as $(id -un)"
