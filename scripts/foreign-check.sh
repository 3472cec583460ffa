#!/usr/bin/env bash
# Clients that are not ours against a real node: Ethereum's viem, ethers and cast; MQTT's mosquitto,
# paho-mqtt and MQTT.js.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
python="${ACESO_PYTHON:-$HOME/.cache/aceso/python}/bin/python"
node tests-foreign/rpc/run.mjs "$binary"
PYTHONDONTWRITEBYTECODE=1 exec "$python" tests-foreign/run.py "$binary"
