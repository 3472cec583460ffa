#!/usr/bin/env bash
# Adafruit's ENS160 driver shows air of index 5, "unhealthy", as index 1, "excellent", and index 4 as 0.
#
# Expected: the chip gives an air quality index of 1 (excellent) to 5 (unhealthy) in the low three bits of its register
#   DATA_AQI (ScioSense data sheet, address 0x21); the driver's AQI attribute is this number.
# What happens: the attribute takes two bits of the three. 1, 2 and 3 are right, 4 is 0 and 5 is 1. The same driver's
#   read_all_sensors() gives 4 and 5 for the very same register, and so does the independent package ens160.
# Why it matters: in good air, where such a thing is tried out, all is well. A rule "warn from 4 on" in an isolation
#   room, where disinfectants are used, never fires: the worst air there is shows as the best.
# Instead: take the index from read_all_sensors(), or read the register's low three bits oneself; treat 0 as an error.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-deps adafruit-circuitpython-ens160==1.1.2 \
  adafruit-circuitpython-busdevice==5.2.17 adafruit-circuitpython-register==1.13.0 ens160==0.0.2

cat >chip.py <<'PY'
import sys, types, typing
# What the driver takes from the board's own Python: const(), which does nothing, and names for its annotations.
def board(name, **names):
    sys.modules[name] = types.SimpleNamespace(**names)
board("micropython", const=lambda value: value)
board("busio", I2C=object)
board("circuitpython_typing", ReadableBuffer=bytes, WriteableBuffer=bytearray)
board("circuitpython_typing.device_drivers", I2CDeviceDriver=object)
sys.modules["typing_extensions"] = typing
import adafruit_ens160
import ens160

class Bus:
    """An ENS160 on a bus: registers of bytes, low byte first; 0x20 status, 0x21 index, 0x22 TVOC, 0x24 eCO2."""
    def __init__(self):
        self.memory = bytearray(0x60)
        self.memory[0:2] = (0x0160).to_bytes(2, "little")
    def measured(self, index, tvoc, eco2):
        self.memory[0x20:0x26] = bytes([0x82, index]) + tvoc.to_bytes(2, "little") + eco2.to_bytes(2, "little")
    def try_lock(self):
        return True
    def unlock(self):
        pass
    def writeto(self, address, data, start=0, end=None):
        data = bytes(data[start:end])
        if data:
            self.memory[data[0]:data[0] + len(data) - 1] = data[1:]
    def writeto_then_readfrom(self, address, out, into, out_start=0, out_end=None, in_start=0, in_end=None):
        count = len(into) if in_end is None else in_end
        into[in_start:count] = self.memory[out[out_start]:][:count - in_start]

class Wire(ens160.ICommunication):
    """The same chip, for the other package."""
    def __init__(self, bus):
        self.bus = bus
    def read(self, register, size):
        return self.bus.memory[register] if size == 1 else list(self.bus.memory[register:register + size])

bus = Bus()
sensor = adafruit_ens160.ENS160(bus)
other = ens160.Driver(Wire(bus))
names = {1: "excellent", 2: "good", 3: "moderate", 4: "poor", 5: "unhealthy"}
for index, tvoc, eco2 in ((1, 40, 420), (2, 120, 640), (3, 400, 900), (4, 1500, 1300), (5, 6000, 2400)):
    bus.measured(index, tvoc, eco2)
    print(f"chip: {index} {names[index]:9} TVOC {tvoc:4} ppb | driver: AQI {sensor.AQI}, TVOC {sensor.TVOC}, eCO2 {sensor.eCO2}",
          f"| its read_all_sensors: {sensor.new_data_available and sensor.read_all_sensors()['AQI']} | ens160: {other.get_aqi()}")
PY
echo "adafruit-circuitpython-ens160 1.1.2, beside it ens160 0.0.2"
seen=$(venv/bin/python chip.py)
echo "$seen"
echo "Data sheet: DATA_AQI (address 0x21), bits 0 to 2: index by the UBA, 1 to 5."

if [[ $seen == *"chip: 1 "*"driver: AQI 1, TVOC 40, "*"read_all_sensors: 1 | ens160: 1"* && $seen == *"chip: 3 "*"driver: AQI 3,"* &&
  $seen == *"chip: 4 poor      TVOC 1500 ppb | driver: AQI 0, TVOC 1500, eCO2 1300 | its read_all_sensors: 4 | ens160: 4"* &&
  $seen == *"chip: 5 unhealthy TVOC 6000 ppb | driver: AQI 1, TVOC 6000, eCO2 2400 | its read_all_sensors: 5 | ens160: 5"* ]]; then
  echo "finding holds: adafruit-circuitpython-ens160 1.1.2 shows the worst air quality, 5, as 1, the best"
else
  echo "finding gone: the index is read with its three bits, or fails otherwise than before"
  exit 1
fi
