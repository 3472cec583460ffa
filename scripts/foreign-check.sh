#!/usr/bin/env bash
# Clients that are not ours against a real node: Ethereum's viem, ethers, cast and alloy; MQTT's mosquitto,
# paho-mqtt and MQTT.js.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
binary=$1
cargo build --quiet --release --locked -p aceso -p aceso-ward -p aceso-foreign-alloy
node tests-foreign/rpc/run.mjs "$binary" "$(dirname "$binary")/aceso-foreign-alloy"
PYTHONDONTWRITEBYTECODE=1 exec "$ACESO_PYTHON/bin/python" tests-foreign/run.py "$binary"
