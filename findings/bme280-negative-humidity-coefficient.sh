#!/usr/bin/env bash
# Pimoroni's BME280 driver shows 0 % humidity for any chip whose factory coefficient dig_H5 (or dig_H4) is negative.
#
# Expected: each chip carries its own trimming values; dig_H4 and dig_H5 are signed (Bosch's data sheet, table 16),
#   and a driver that passed its test on one chip is right on the next.
# What happens: in pimoroni-bme280 a set sign bit gives (value - 1) * 4096 in place of value - 4096, so that -1
#   becomes 16769024. The humidity then lies far outside and is cut to 0.0 %. Temperature and pressure are right, no
#   error is raised. RPi.bme280 reads 53.1 % from the very same registers; at +50 the two agree to the last digits.
# Why it matters: chips with small positive values are what most people test with; the one chip of a delivery that
#   carries a negative one shows a steady 0 %, and exchanging cable, board or software for the same finds nothing.
# Instead: use a driver checked with negative coefficients, and treat exactly 0.0 or 100.0 % as "no reading".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
# Both packages name their module bme280: a folder for each.
venv/bin/pip -q install --disable-pip-version-check --target pimoroni --no-deps pimoroni-bme280==1.0.0 i2cdevice==1.0.0 smbus2==0.6.1
venv/bin/pip -q install --disable-pip-version-check --target rpi --no-deps RPi.bme280==0.2.4 pytz==2026.6 smbus2==0.6.1

cat >room.py <<'PY'
import struct, sys
import bme280

class Chip:
    """A BME280's registers on a bus, as its data sheet lays them out, with one measurement in them."""
    def __init__(self, h4, h5):
        self.registers = {0xD0: 0x60, 0xA1: 75}
        self.put(0x88, struct.pack("<HhhHhhhhhhhh", 27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000))
        self.put(0xE1, struct.pack("<hB", 360, 0))
        self.put(0xE4, [h4 >> 4 & 0xFF, h4 & 15 | (h5 & 15) << 4, h5 >> 4 & 0xFF, 30])
        temperature, pressure, humidity = 519888, 415148, 30000
        self.put(0xF7, (pressure << 44 | temperature << 20 | humidity).to_bytes(8, "big"))
    def put(self, start, values):
        self.registers.update(enumerate(values, start))
    def read_i2c_block_data(self, address, register, count):
        return [self.registers.get(register + i, 0) for i in range(count)]
    def read_byte_data(self, address, register):
        return self.registers.get(register, 0)
    def read_word_data(self, address, register):
        return self.read_byte_data(address, register) | self.read_byte_data(address, register + 1) << 8
    def write_byte_data(self, address, register, value):
        pass
    def write_i2c_block_data(self, address, register, values):
        pass

for h4, h5 in ((320, 50), (320, -1), (320, -7)):
    chip = Chip(h4, h5)
    if sys.argv[1] == "pimoroni":
        driver = bme280.BME280(i2c_dev=chip)
        driver.update_sensor()
        values = driver.temperature, driver.pressure, driver.humidity
    else:
        got = bme280.sample(chip, 0x76, bme280.load_calibration_params(chip, 0x76))
        values = got.temperature, got.pressure, got.humidity
    print("dig_H5 %4d: %.2f degC, %.1f hPa, %.1f %%" % (h5, *values))
PY
pimoroni=$(PYTHONPATH=pimoroni venv/bin/python room.py pimoroni)
rpi=$(PYTHONPATH=rpi venv/bin/python room.py rpi)
printf 'pimoroni-bme280 1.0.0\n%s\nRPi.bme280 0.2.4, the same registers\n%s\n' "$pimoroni" "$rpi"
echo "Data sheet BST-BME280-DS, table 16: dig_H4 (0xE4, 0xE5[3:0]) and dig_H5 (0xE5[7:4], 0xE6) are signed,"
echo "and 4.2.2: each is stored in two's complement."

same="25.08 degC, 1006.5 hPa"
if [[ $rpi == *" 50: $same, 52.2 %"*" -1: $same, 53.1 %"*" -7: $same, 53.2 %" &&
  $pimoroni == *" 50: $same, 52.2 %"*" -1: $same, 0.0 %"*" -7: $same, 0.0 %" ]]; then
  echo "finding holds: pimoroni-bme280 1.0.0 gives 0.0 % where dig_H5 is -1; RPi.bme280 gives 53.1 % from the same registers"
else
  echo "finding gone: the two drivers agree on a negative dig_H5, or fail otherwise than before"
  exit 1
fi
