#!/usr/bin/env bash
# Clients that are not ours against a real node: Ethereum's viem, ethers, cast, alloy and web3.py; MQTT's mosquitto,
# paho-mqtt and MQTT.js.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
binary=$1
cargo build --quiet --release --locked -p aceso -p aceso-ward -p aceso-foreign-alloy
node tests-foreign/rpc/run.mjs "$binary" "$(dirname "$binary")/aceso-foreign-alloy" "$ACESO_TOOLS/web3/bin/python"
PYTHONDONTWRITEBYTECODE=1 exec "$ACESO_PYTHON/bin/python" tests-foreign/run.py "$binary"
