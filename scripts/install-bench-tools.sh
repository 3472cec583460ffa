#!/usr/bin/env bash
# Installs what the benchmark measures a node beside: Debian's mosquitto and PostgreSQL, and a Python
# subscriber's packages. Idempotent; silent when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
python3 -c 'import venv' 2>/dev/null || missing+=(python3-venv)
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get update -q
  # Only the programs: no cluster is made and no service of the distribution's is started.
  as_root mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/bench.conf >/dev/null
  as_root env RUNLEVEL=1 apt-get install -qy --no-install-recommends "${missing[@]}"
fi
python="${ACESO_BENCH_PYTHON:-$HOME/.cache/aceso/bench-python}"
sum=$(sha256sum <bench/peer/requirements.txt)
if [ "$(cat "$python/.requirements-sha256" 2>/dev/null || true)" != "$sum" ]; then
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check -r bench/peer/requirements.txt
  echo "$sum" >"$python/.requirements-sha256"
fi
