#!/usr/bin/env bash
# A pulse above the limit is reported as below it, and the other way round, by sbm69 (a blood pressure cuff's reader).
#
# Expected: the Blood Pressure Measurement ends with a 16-bit status. Its bits 3 and 4 are one number: 1 = the pulse
#   rate exceeds the upper limit, 2 = it is less than the lower limit (GATT Specification Supplement, same name).
# What happens: sbm69 turns the bits of each byte round so as to name the single flags in order, and with them the
#   two bits of this number: 1 becomes 2 and 2 becomes 1. Every single flag, the pressures, the pulse and the time
#   are right, and so is the package's own table of the three values.
# Why it matters: the pulse itself may be left out of a measurement; then this is all there is, and a fast pulse is
#   filed as a slow one. Where both are there they contradict each other, and a rule on the status misfires.
# Instead: take the number from the little-endian word, (status >> 3) & 3, and test each value of such a field.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-deps sbm69==0.4.1 construct==2.10.70 labmcp-ble-health==0.1.3

cat >cuff.py <<'PY'
import asyncio, struct, sys, types
# What the packages take from elsewhere: names for annotations, errors, and a connection, which is a cuff here.
def module(name, **names):
    sys.modules[name] = types.SimpleNamespace(**names)
module("bleak", BleakClient=object)
module("bleak.backends")
module("bleak.backends.device", BLEDevice=object)
module("labmcp", **{"Instrument" + n: Exception for n in ("ConnectionError", "Error", "ProtocolError", "Timeout")})

class Cuff:
    """Sends its stored measurements when asked for them, then hangs up, as these cuffs do."""
    def __init__(self, stored, hung_up):
        self.stored, self.hung_up = stored, hung_up
    async def pair(self):
        pass
    async def read_gatt_char(self, uuid):
        return bytearray(b"test cuff")
    async def start_notify(self, uuid, tell):
        for measurement in self.stored:
            tell(0, bytearray(measurement))
        self.hung_up(self)

async def establish_connection(device, disconnected_callback, **rest):
    return Cuff(device, disconnected_callback)
module("bleak_retry_connector", establish_connection=establish_connection)

from labmcp_ble_health.driver import parse_blood_pressure_measurement
from sbm69 import SBM69Connection

def measurement(pulse, status):
    """Flags: time, pulse, user, status. The pressures are SFLOATs with the exponent 0, so plain numbers too."""
    return struct.pack("<B3H H5B H B H", 0x1E, 120, 80, 93, 2026, 11, 30, 8, 15, 0, pulse, 1, status)

cases = [("in range", 72, 0), ("body moved", 72, 1), ("irregular", 72, 4), ("arm position", 72, 32),
         ("above the limit", 190, 1 << 3), ("below the limit", 31, 2 << 3)]
stored = [measurement(pulse, status) for _, pulse, status in cases]
read = asyncio.run(SBM69Connection(stored).fetch_data())["blood_pressure_measurements"]
for (name, pulse, status), raw, got in zip(cases, stored, read):
    flags = got.measurement_status
    single = [n for n in ("body_movement_detected", "irregular_pulse", "improper_measurement_position") if flags[n]]
    other = parse_blood_pressure_measurement(raw)
    print(f"{name:16} status 0x{status:02x} pulse {got.pulse_rate:3} pressure {got.systolic}/{got.diastolic}"
          f" | sbm69: {flags.pulse_rate_range} {' '.join(single)} | other: {' '.join(other.status) or 'nothing'}")
PY
echo "sbm69 0.4.1, beside it labmcp-ble-health 0.1.3"
seen=$(venv/bin/python cuff.py)
echo "$seen"
echo "GATT supplement, Measurement Status: pulse rate range 1 exceeds the upper limit, 2 is less than the lower limit."

if [[ $seen == *"in range "*"sbm69: not_exceeded  | other: nothing"* && $seen == *"sbm69: not_exceeded irregular_pulse | other: irregular_pulse_detected"* &&
  $seen == *"0x08 pulse 190 pressure 120/80 | sbm69: lower_limit_exceeded  | other: pulse_rate_exceeds_upper_limit"* &&
  $seen == *"0x10 pulse  31 pressure 120/80 | sbm69: upper_limit_exceeded  | other: pulse_rate_below_lower_limit"* ]]; then
  echo "finding holds: sbm69 0.4.1 reports a pulse above the cuff's limit as below it, and one below as above it"
else
  echo "finding gone: the two limits are reported as the cuff sends them, or fail otherwise than before"
  exit 1
fi
