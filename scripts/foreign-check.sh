#!/usr/bin/env bash
# Clients that are not ours against a real node: Ethereum's viem, ethers, cast and alloy; MQTT's mosquitto,
# paho-mqtt and MQTT.js.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/tools.sh
binary=$1
targets="${CARGO_TARGET_DIR:-$HOME/.cache/aceso/target}/foreign-alloy"
CARGO_TARGET_DIR=$targets cargo build --quiet --release --locked --manifest-path tests-foreign/alloy/Cargo.toml
node tests-foreign/rpc/run.mjs "$binary" "$targets/release/aceso-foreign-alloy"
PYTHONDONTWRITEBYTECODE=1 exec "$ACESO_PYTHON/bin/python" tests-foreign/run.py "$binary"
