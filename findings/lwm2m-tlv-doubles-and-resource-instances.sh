#!/usr/bin/env bash
# npm lwm2m-codec reads a 64-bit float in LwM2M TLV as another number, and integers in a list as broken text.
#
# Expected: OMA LwM2M lets a device send a Float as 32 or 64 bits (TS Core, Appendix C "Data Types"); the length
#   stands in the TLV header, so a decoder takes four or eight bytes. The items of a multiple resource have the
#   resource's type, as the specification's own example message shows (voltages of two power sources in mV).
# What happens: of eight bytes the first four are taken as a whole float: 36.6 is read as 3.0359373. The example's
#   voltages 3800 and 5000 come out as text of control characters and replacement marks, from which no number can be
#   got back; a battery level beside them is right. Nothing is raised.
# Why it matters: a thermometer that sends doubles is in the record with a plausible wrong number, in every reading.
# Instead: decode TLV by the header's length oneself (some 40 lines), or ask devices for SenML CBOR.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund lwm2m-codec@0.1.1 >/dev/null

cat >read.js <<'JS'
process.noDeprecation = true;
const codec = require('lwm2m-codec');
// A second reader, from the specification's header layout alone: [[type, id, value bytes], ...]
function tlv(bytes) {
  const items = [];
  for (let at = 0; at < bytes.length;) {
    const head = bytes[at++];
    const id = head & 0x20 ? bytes.readUInt16BE(at) : bytes[at];
    at += head & 0x20 ? 2 : 1;
    const width = head >> 3 & 3;
    const length = width ? bytes.readUIntBE(at, width) : head & 7;
    at += width;
    items.push([head >> 6, id, bytes.subarray(at, at + length)]);
    at += length;
  }
  return items;
}
const real = bytes => bytes.length === 8 ? bytes.readDoubleBE() : bytes.readFloatBE();

for (const [bits, hex] of [[32, 'e4164442126666'], [64, 'e816440840424ccccccccccd']]) {
  const bytes = Buffer.from(hex, 'hex');   // resource 5700 of object 3303: the sensor's value
  console.log(`${bits}-bit float: specification ${real(tlv(bytes)[0][2]).toFixed(4)},`,
    `lwm2m-codec ${codec.decode('tlv', '/3303/0', bytes).sensorValue.toFixed(4)}`);
}
// From the specification's example, a read of object 3: power source voltages (resource 7) and battery level (9).
const example = Buffer.from('88070842000ed842011388c10964', 'hex');
const [voltages, battery] = tlv(example);
const device = codec.decode('tlv', '/3/0', example);
console.log('voltages: specification', tlv(voltages[2]).map(i => i[2].readInt16BE()).join(' '),
  ', lwm2m-codec', JSON.stringify(Object.values(device.pwrSrcVoltage).map(v =>
    typeof v === 'string' ? [...v].map(c => c.codePointAt(0).toString(16)) : v)));
console.log('battery level: specification', battery[2].readInt8(), ', lwm2m-codec', device.battLevel);
JS
echo "lwm2m-codec 0.1.1"
seen=$(node read.js)
echo "$seen"
echo "OMA LwM2M TS Core, Appendix C: a Float in TLV is binary32 (Length 4) or binary64 (Length 8), as appropriate."

if [[ $seen == *"32-bit float: specification 36.6000, lwm2m-codec 36.6000"* &&
  $seen == *"64-bit float: specification 36.6000, lwm2m-codec 3.0359"* &&
  $seen == *'specification 3800 5000 , lwm2m-codec [["e","fffd"],["13","fffd"]]'* &&
  $seen == *"battery level: specification 100 , lwm2m-codec 100"* ]]; then
  echo "finding holds: lwm2m-codec 0.1.1 reads a 64-bit 36.6 as 3.0359, and 3800 mV in a list as unusable text"
else
  echo "finding gone: doubles and lists are read as sent, or fail otherwise than before"
  exit 1
fi
