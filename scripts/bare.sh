#!/usr/bin/env bash
# The README's two commands on bare Debian machines, as root and as an ordinary user with sudo: no question is
# answered, and times and sizes are printed. Needs root and debootstrap, half an hour and 15 GB a machine.
#   scripts/bare.sh [bookworm|trixie ...]
# Each machine is a fresh minimal root in namespaces of its own, with git, CA certificates and this machine's Rust;
# where packages come from is taken over from this machine's configuration. What is committed is what is tried.
#   BARE_USERS="root user"   who runs them
#   BARE_STEPS="ward test"   which targets of the Makefile
#   BARE_FOLDER=…            where the roots lie
#   BARE_SHARED=yes          machines of one release share the clone and what cargo fetched and built: sooner, but no
#                            cold times
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

releases=${*:-bookworm trixie}
users=${BARE_USERS:-root user}
export BARE_STEPS=${BARE_STEPS:-ward test}
folder=${BARE_FOLDER:-$HOME/.cache/aceso/bare}

[ "$(id -u)" = 0 ] || fail "debootstrap, chroot and mount need root."
need debootstrap command -v debootstrap
need debian-archive-keyring test -e /usr/share/keyrings/debian-archive-keyring.gpg
install_missing

# Where this machine takes Debian's packages from.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(find /etc/apt -name '*.list' -o -name '*.sources' | sort | xargs -r cat |
  sed -nE 's/^(URIs:|deb( \[[^]]*\])?) *([a-z]+:[^ ]+).*/\3/p' | sed -n 1p)
# What else says where packages come from, and whom to believe. Files keep their place.
settings=(/etc/hosts /etc/resolv.conf /etc/pip.conf /etc/ssl/certs/ca-certificates.crt /usr/local/share/ca-certificates)
environment=()
while IFS='=' read -r name value; do
  # A folder of this machine that the root will not have.
  [[ $value != /* || -f $value ]] || continue
  case $name in
    *_proxy | *_PROXY | PIP_* | npm_config_* | NPM_CONFIG_* | CARGO_HTTP_* | CARGO_NET_* | CARGO_REGISTRIES_* | \
      CARGO_SOURCE_* | SSL_CERT_* | *_CA_BUNDLE | *_CA_CERTS | GIT_SSL_CAINFO)
      environment+=("$name=$value")
      [ ! -f "$value" ] || settings+=("$value")
      ;;
  esac
done < <(env)

take_over() { # ROOT: this machine's settings
  local root=$1 file
  for file in "${settings[@]}"; do
    [ -e "$file" ] || continue
    mkdir -p "$root$(dirname "$file")"
    cp -rL --no-target-directory "$file" "$root$file"
  done
}

base() { # RELEASE: makes its minimal root, once
  local root=$folder/base-$1 file
  [ ! -e "$root/.made" ] || return 0
  rm -rf -- "$root"
  mkdir -p "$root"
  echo "== a minimal Debian: $1"
  debootstrap --variant=minbase "$1" "$root" ${mirror:+"$mirror"} >"$folder/debootstrap-$1.log" 2>&1 ||
    { tail -n 20 "$folder/debootstrap-$1.log"; fail "debootstrap failed"; }
  if [ "$codename" ] && compgen -G '/etc/apt/sources.list.d/*.sources' >/dev/null; then
    rm -f -- "$root/etc/apt/sources.list"
  fi
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
    [ ! -s "$file" ] || sed "s/\b$codename\b/$1/g" "$file" >"$root$file"
  done
  for file in /etc/apt/apt.conf /etc/apt/apt.conf.d/*; do
    [ ! -f "$file" ] || ! grep -q '^ *Acquire' "$file" || cp "$file" "$root$file"
  done
  take_over "$root"
  chroot "$root" bash -euc 'apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
    --no-install-recommends ca-certificates git sudo >/dev/null 2>&1; apt-get clean; rm -rf /var/lib/apt/lists/*'
  # Only now: the package has written its own.
  take_over "$root"
  touch "$root/.made"
}

machine() { # RELEASE USER: a fresh root, and the two commands in it
  local release=$1 user=$2 root=$folder/$1-$2 home=/root file
  rm -rf -- "$root"
  cp -a "$folder/base-$release" "$root"
  if [ "$user" != root ]; then
    home=/home/$user
    # One who may become root without a password, and one who may not at all.
    chroot "$root" useradd --create-home --shell /bin/bash "$user"
    chroot "$root" useradd --create-home --shell /bin/bash visitor
    echo "$user ALL=(ALL) NOPASSWD: ALL" >"$root/etc/sudoers.d/$user"
  fi
  for file in ~/.npmrc ~/.cargo/config.toml ~/.config/pip/pip.conf; do
    [ ! -e "$file" ] || install -D "$file" "$root$home/${file#"$HOME/"}"
  done
  mkdir -p "$root/srv" "$root/opt/rust" "$root$home/.cache/aceso"
  git bundle create --quiet "$root/srv/aceso.bundle" HEAD
  cp scripts/bare-machine.sh "$root/srv/"
  if [ "${BARE_SHARED:-}" ]; then
    # One place for whoever runs: cargo builds anew what lies elsewhere.
    mkdir -p "$folder/shared-$release" "$root/var/tmp/shared"
    environment+=(CARGO_TARGET_DIR=/var/tmp/shared/target CARGO_HOME=/var/tmp/shared/cargo)
  fi
  chroot "$root" chown -R "$user:" "$home"
  # Mounts and processes end with the namespaces.
  unshare --mount --pid --fork --kill-child bash -euc '
    root=$1 release=$2 user=$3 home=$4 sysroot=$5
    shift 5
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount --bind "$sysroot" "$root/opt/rust"
    mount -o remount,bind,ro "$root/opt/rust"
    if [ -d "$root/var/tmp/shared" ]; then
      mount --bind "$(dirname "$root")/shared-$release" "$root/var/tmp/shared"
      chroot "$root" chown -R "$user:" /var/tmp/shared
    fi
    path=/usr/local/bin:/usr/bin:/bin
    [ "$user" != root ] || path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    exec chroot --userspec="$user:$user" --groups="$user" "$root" env -i "$@" HOME="$home" USER="$user" LANG=C.UTF-8 \
      PATH="$path:/opt/rust/bin" BARE_STEPS="$BARE_STEPS" bash /srv/bare-machine.sh </dev/null
  ' bare "$root" "$release" "$user" "$home" "$(rustc --print sysroot)" "${environment[@]}"
}

failed=0
for release in $releases; do
  base "$release"
  for user in $users; do
    echo "== $release as $user"
    if machine "$release" "$user" 2>&1 | tee "$folder/$release-$user.log"; then
      echo "== $release as $user: pass ($BARE_STEPS)"
    else
      echo "== $release as $user: FAILED, see $folder/$release-$user.log"
      failed=1
    fi
  done
done
exit "$failed"
