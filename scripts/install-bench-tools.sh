#!/usr/bin/env bash
# Installs what the benchmark measures a node beside: Debian's mosquitto and PostgreSQL, and a Python
# subscriber's packages. Idempotent; silent when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh

has_postgresql() { compgen -G '/usr/lib/postgresql/*/bin/initdb'; }

need gcc command -v cc
need libc6-dev compiles
need mosquitto has mosquitto
need postgresql has_postgresql
need python3 command -v python3
need python3-venv python3 -c 'import venv, ensurepip'
if [ ${#missing[@]} -gt 0 ] && may_be_root; then
  # Only the programs: systemd starts no broker, neither now nor at the next boot, and no cluster is made.
  if [[ " ${missing[*]} " == *" mosquitto "* ]] && [ ! -e /etc/systemd/system/mosquitto.service ]; then
    as_root mkdir -p /etc/systemd/system
    as_root ln -s /dev/null /etc/systemd/system/mosquitto.service
  fi
  as_root mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/bench.conf >/dev/null
fi
install_missing
venv "${ACESO_BENCH_PYTHON:-$HOME/.cache/aceso/bench-python}" bench/peer/requirements.txt
