# shellcheck shell=bash
# Sourced by the other scripts: where the tests' own tools lie, and how missing ones are brought.
# What a script needs is there afterwards, or the script has ended and said what to do: no check may pass
# because its tool is missing.

: "${ACESO_TOOLS:=$HOME/.cache/aceso/tools}"
: "${ACESO_PYTHON:=$HOME/.cache/aceso/python}"
export ACESO_TOOLS ACESO_PYTHON
# Node's oldest version that Playwright runs on, and npm keeps forge and cast for.
NODE_MAJOR_MIN=20

# The PATH without our own folder, to see what the machine itself has.
own_path=:$PATH:
own_path=${own_path//":$ACESO_TOOLS/bin:"/:}
own_path=${own_path#:}
own_path=${own_path%:}
export PATH="$ACESO_TOOLS/bin:$own_path"

fail() {
  echo "$*" >&2
  exit 1
}

missing=()
# need PACKAGE COMMAND...: Debian's package is missing if the command fails.
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

# Programs of /usr/sbin count, although an ordinary user's PATH has no such folder.
has() {
  local name
  for name in "$@"; do
    PATH="$own_path:/usr/local/sbin:/usr/sbin:/sbin" command -v "$name" >/dev/null || return 1
  done
}

compiles() {
  local folder status=0
  folder=$(mktemp -d) || return 1
  printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' >"$folder/try.c"
  cc -o "$folder/try" "$folder/try.c" || status=1
  rm -rf -- "$folder"
  return "$status"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Root, or a sudo that asks nothing; one that asks for a password needs somebody who types it.
may_be_root() {
  [ "$(id -u)" = 0 ] && return
  command -v sudo >/dev/null || return 1
  sudo -n true 2>/dev/null || [ -t 0 ]
}

# Brings all that `need` found missing: one update, one installation, no question.
install_missing() {
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "missing, by the names of Debian's packages: ${missing[*]}"
  if ! may_be_root; then
    fail "missing Debian packages: ${missing[*]}
Nothing was checked. As root (or with sudo in front of each command) run

  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends ${missing[*]}

and then the same again."
  fi
  echo "installing Debian packages: ${missing[*]}"
  as_root apt-get -o DPkg::Lock::Timeout=120 -qq update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -qq install -y --no-install-recommends \
    "${missing[@]}" >/dev/null
  missing=()
}

# venv FOLDER REQUIREMENTS [PIP OPTION...]: a Python of our own with these packages. The folder is made anew when
# the requirements or the machine's Python changed.
venv() {
  local folder=$1 requirements=$2 stamp
  shift 2
  stamp="$(python3 --version) $(sha256sum <"$requirements")"
  if [ "$(cat "$folder/.stamp" 2>/dev/null)" = "$stamp" ] && "$folder/bin/python" -c '' 2>/dev/null; then
    return 0
  fi
  python3 -m venv --clear "$folder" || return
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" -r "$requirements" || return
  echo "$stamp" >"$folder/.stamp"
}

# link PROGRAM [NAME]: puts a program into our folder on PATH.
link() {
  mkdir -p "$ACESO_TOOLS/bin"
  ln -sfn "$1" "$ACESO_TOOLS/bin/${2:-$(basename "$1")}"
}

# Node's major version under this PATH, or 0 if Node or npm is missing.
node_major() {
  local major
  major=$(PATH=$1 node --print 'process.versions.node.split(".")[0]' 2>/dev/null) &&
    PATH=$1 npm --version >/dev/null 2>&1 || major=0
  echo "$major"
}
