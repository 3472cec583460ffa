#!/usr/bin/env bash
# Adafruit's MCP9808 driver writes a negative alarm limit as sign and magnitude: -25 degC becomes -231 degC.
#
# Expected: lower_temperature = -25 sets the chip's lower alarm limit to -25 degC, and reads back as -25.
# What happens: the chip holds its limits, as its readings, in two's complement (data sheet DS25095, 5.1.2 and
#   register 5-3). The driver sets the sign bit and beside it the plain 25, which is -231 degC; its own getter,
#   which is right, says so. Limits of 0 and above are exact. No error is raised.
# Why it matters: on a freezer for vaccines or plasma a lower limit of -25 never alarms, and an upper limit of -15
#   alarms without end, so that it is switched off; with a limit in the fridge's +2..+8 all tests had passed.
# Instead: write the register oneself, (round(limit * 4) << 2) & 0x1ffc, and read every limit back after setting it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-deps adafruit-circuitpython-mcp9808==3.3.32 \
  adafruit-circuitpython-busdevice==5.2.17 adafruit-circuitpython-register==1.13.0

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
import adafruit_mcp9808

class Bus:
    """An MCP9808 on a bus: 16-bit registers, high byte first, and its alarm comparator."""
    def __init__(self):
        self.registers = {2: 0, 3: 0, 4: 0, 5: 0, 6: 0x0054, 7: 0x0400}
    def try_lock(self):
        return True
    def unlock(self):
        pass
    def writeto(self, address, data, start=0, end=None):
        data = bytes(data[start:end])
        if len(data) == 3:
            self.registers[data[0]] = int.from_bytes(data[1:], "big")
    def writeto_then_readfrom(self, address, out, into, out_start=0, out_end=None, in_start=0, in_end=None):
        into[in_start:in_start + 2] = self.registers[out[out_start]].to_bytes(2, "big")
    @staticmethod
    def celsius(register):
        value = register & 0x1FFF                      # bit 12 is the sign of 13-bit two's complement
        return (value - 0x2000 if value & 0x1000 else value) / 16
    def alarms(self, celsius):
        return celsius < self.celsius(self.registers[3]), celsius > self.celsius(self.registers[2])

bus = Bus()
sensor = adafruit_mcp9808.MCP9808(bus)
bus.registers[5] = 0x1EC0                              # the chip measures -20 degC
print("a reading of register 0x1ec0:", sensor.temperature, flush=True)
for low, high in ((2, 8), (-25, -15)):
    sensor.lower_temperature, sensor.upper_temperature = low, high
    right = [f"0x{(limit * 16) & 0x1FFC:04x}" for limit in (low, high)]
    wrote = [f"0x{bus.registers[r]:04x}" for r in (3, 2)]
    print(f"limits {low} and {high}: registers {wrote[0]} {wrote[1]}, by the data sheet {right[0]} {right[1]};",
          f"the driver reads back {sensor.lower_temperature:g} and {sensor.upper_temperature:g}")
print("freezer at -20 (fine), chip says too cold, too warm:", *bus.alarms(-20))
print("freezer at -40 (too cold), chip says too cold, too warm:", *bus.alarms(-40))
PY
echo "adafruit-circuitpython-mcp9808 3.3.32"
seen=$(venv/bin/python chip.py)
echo "$seen"
echo "Data sheet DS25095, 5.1.2: the limit registers 'contain 11-bit data in two's complement format (0.25 degC)'."

if [[ $seen == *"register 0x1ec0: -20.0"* && $seen == *"0x0020 0x0080, by the data sheet 0x0020 0x0080; the driver reads back 2 and 8"* &&
  $seen == *"0x1190 0x10f0, by the data sheet 0x1e70 0x1f10; the driver reads back -231 and -241"* &&
  $seen == *"(fine), chip says too cold, too warm: False True"* && $seen == *"(too cold), chip says too cold, too warm: False True"* ]]; then
  echo "finding holds: adafruit-circuitpython-mcp9808 3.3.32 sets limits of -25 and -15 degC to -231 and -241 degC"
else
  echo "finding gone: negative limits are set as asked, or fail otherwise than before"
  exit 1
fi
