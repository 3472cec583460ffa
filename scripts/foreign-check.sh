#!/usr/bin/env bash
# MQTT clients that are not ours deliver to a real node: mosquitto's, paho-mqtt and MQTT.js.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1
python="${ACESO_PYTHON:-$HOME/.cache/aceso/python}/bin/python"
PYTHONDONTWRITEBYTECODE=1 exec "$python" tests-foreign/run.py "$binary"
