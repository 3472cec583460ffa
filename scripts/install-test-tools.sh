#!/usr/bin/env bash
# Installs what the tests need, by name and version. Idempotent; silent when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  as_root apt-get update -q
  as_root apt-get install -qy --no-install-recommends nodejs npm
fi
if ! python3 -m pip --version >/dev/null 2>&1; then
  as_root apt-get update -q
  as_root apt-get install -qy --no-install-recommends python3-pip
fi
if ! command -v chromium >/dev/null; then
  as_root apt-get update -q
  as_root apt-get install -qy --no-install-recommends chromium fonts-dejavu-core
fi
if ! command -v mosquitto >/dev/null || ! command -v mosquitto_pub >/dev/null; then
  as_root apt-get update -q
  # Only the programs: the distribution's own broker service is not started.
  as_root env RUNLEVEL=1 apt-get install -qy --no-install-recommends mosquitto mosquitto-clients
fi
# Python packages live in a folder of their own, beside the target folder.
python="${ACESO_PYTHON:-$HOME/.cache/aceso/python}"
sum=$(sha256sum <tests-foreign/requirements.txt)
if [ "$(cat "$python/.requirements-sha256" 2>/dev/null || true)" != "$sum" ]; then
  python3 -m venv "$python" 2>/dev/null || { as_root apt-get install -qy --no-install-recommends python3-venv && python3 -m venv "$python"; }
  "$python/bin/pip" install --quiet --disable-pip-version-check -r tests-foreign/requirements.txt
  echo "$sum" >"$python/.requirements-sha256"
fi
if ! cargo nextest --version >/dev/null 2>&1; then
  cargo install --locked --version 0.9.143 cargo-nextest
fi
for folder in contracts tests-browser tests-foreign tests-chain; do
  [ -f "$folder/package-lock.json" ] || continue
  # npm ci only when the lock changed since the last install.
  stamp="$folder/node_modules/.lock-sha256"
  sum=$(sha256sum <"$folder/package-lock.json")
  if [ "$(cat "$stamp" 2>/dev/null || true)" != "$sum" ]; then
    (cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    echo "$sum" >"$stamp"
  fi
done
