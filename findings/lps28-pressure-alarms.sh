#!/usr/bin/env bash
# Adafruit's LPS28 driver arms the low alarm when asked for the high one, at a limit whose two bytes are exchanged.
#
# Expected: pressure_high = True sets PHE, bit 0 of INTERRUPT_CFG (0x0B), pressure_low PLE, bit 1, latch_interrupt LIR, bit
#   2; the limit stands in THS_P_L (0x0C) and THS_P_H (0x0D), low byte first; the correction in RPDS_L (0x1A) and RPDS_H.
#   So the data sheet of the LPS28DFW has it, ST's C driver, and circuitpython-ilps28qsw for its sister with these registers.
# What happens: the three switches sit one bit too high: high sets PLE, low sets the latch, the latch nothing. A limit of
#   40 hPa (320) becomes 2048 hPa; a correction goes to 0x18 and 0x19, which are none of it. A pressure below the reference,
#   which auto_zero is there for, has no sign: -1 hPa reads 8191. Absolute pressures are right, and nothing is raised; the
#   limit even reads back as set.
# Why it matters: the part is made for water and up to 4 bar: compression sleeves, pumps, pressure chambers. Their limit is
#   never watched, and a leak that pulls below the reference shows as the highest pressure there is.
# Instead: write 0x0B to 0x0D oneself, low byte first, provoke each alarm once, and give 24-bit readings their sign.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-deps adafruit-circuitpython-lps28==1.0.3 \
  adafruit-circuitpython-busdevice==5.2.17 adafruit-circuitpython-register==1.13.0 circuitpython-ilps28qsw==0.1.2

cat >chip.py <<'PY'
import sys, types, typing
# What the drivers take from the board's own Python: const(), which does nothing, and names for their annotations.
def board(name, **names):
    sys.modules[name] = types.SimpleNamespace(**names)
board("micropython", const=lambda value: value)
board("busio", I2C=object)
board("circuitpython_typing", ReadableBuffer=bytes, WriteableBuffer=bytearray)
board("circuitpython_typing.device_drivers", I2CDeviceDriver=object)
sys.modules["typing_extensions"] = typing
import adafruit_lps28
import ilps28qsw

class Bus:
    """An LPS28DFW on a bus, range 4060 hPa: registers of bytes, and its comparator against the reference pressure."""
    def __init__(self):
        self.memory = bytearray(0x80)
        self.memory[0x0F] = 0xB4
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
    def limit(self):
        return (self.memory[0x0C] | (self.memory[0x0D] & 0x7F) << 8) / 8
    def alarm(self, difference):
        config = self.memory[0x0B]
        return bool(config & 1 and difference > self.limit() or config & 2 and difference < -self.limit())
    def armed(self):
        bits = [name for bit, name in enumerate(("PHE", "PLE", "LIR", "nothing")) if self.memory[0x0B] >> bit & 1]
        return f"{'+'.join(bits)} at {self.limit():g} hPa, alarm at +60: {self.alarm(60)}, at -60: {self.alarm(-60)}"

for name, over, under in (("high", 1, 0), ("low", 0, 1)):
    bus = Bus()
    sensor = adafruit_lps28.LPS28(bus)
    sensor.threshold_pressure = 40 * 8                         # eight steps a hPa in this range
    setattr(sensor, f"pressure_{name}", True)
    print(f"{name} alarm at 40 hPa, adafruit:    {bus.armed()}; reads back {sensor.threshold_pressure / 8:g}")
    bus = Bus()
    ilps28qsw.ILPS28QSW(bus).set_int_on_threshold_mode(ilps28qsw.IntThMd(threshold=40 * 8, over_th=over, under_th=under))
    print(f"{name} alarm at 40 hPa, ilps28qsw:   {bus.armed()}", flush=True)
bus = Bus()
sensor = adafruit_lps28.LPS28(bus)
sensor.latch_interrupt = True
print("latch, adafruit: sets", bus.armed().split(" at")[0])
sensor.pressure_offset = 100
other = Bus()
ilps28qsw.ILPS28QSW(other).set_opc(100)
print(f"correction 100, registers 0x18 to 0x1b: adafruit {bus.memory[0x18:0x1C].hex(' ')}, ilps28qsw {other.memory[0x18:0x1C].hex(' ')}")
sensor.auto_zero = True
for difference in (1.0, -1.0):                                 # 24 bits in two's complement, 2048 a hPa
    bus.memory[0x28:0x2B] = (round(difference * 2048) & 0xFFFFFF).to_bytes(3, "little")
    print(f"zeroed, then a change of {difference:+} hPa: reads {sensor.pressure}")
PY
echo "adafruit-circuitpython-lps28 1.0.3, beside it circuitpython-ilps28qsw 0.1.2"
seen=$(venv/bin/python chip.py)
echo "$seen"
echo "ST's C driver: phe, ple, lir are bits 0, 1, 2 of register 0x0B; THS_P_L 0x0C; RPDS_L 0x1A; PRESS_OUT is a signed 24-bit number."

if [[ $seen == *"high alarm at 40 hPa, adafruit:    PLE at 2048.12 hPa, alarm at +60: False, at -60: False; reads back 40"* &&
  $seen == *"high alarm at 40 hPa, ilps28qsw:   PHE at 40 hPa, alarm at +60: True, at -60: False"* &&
  $seen == *"low alarm at 40 hPa, adafruit:    LIR at 2048.12 hPa, alarm at +60: False, at -60: False"* &&
  $seen == *"low alarm at 40 hPa, ilps28qsw:   PLE at 40 hPa, alarm at +60: False, at -60: True"* &&
  $seen == *"adafruit 00 64 00 00, ilps28qsw 00 00 64 00"* && $seen == *"of +1.0 hPa: reads 1.0"* &&
  $seen == *"of -1.0 hPa: reads 8191.0"* ]]; then
  echo "finding holds: adafruit-circuitpython-lps28 1.0.3 arms the wrong alarm at a wrong limit, and reads -1 hPa as 8191"
else
  echo "finding gone: alarms, limits and signs are as in the data sheet, or fail otherwise than before"
  exit 1
fi
