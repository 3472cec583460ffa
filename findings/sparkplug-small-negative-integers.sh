#!/usr/bin/env bash
# Sparkplug B: a negative Int8 or Int16 metric comes out of the JavaScript reader as a large positive number.
#
# Expected: -5 written as Int8 by one Sparkplug package is -5 in any other; the metric carries its type.
# What happens: the Protobuf field is uint32, and the packages disagree on how wide the sign is. The Python
#   writers (mqtt-spb-wrapper, pysparkplug) put Int8 -5 there as 251, two's complement in 8 bits; npm
#   sparkplug-payload takes the sign from 32 bits, and hands on 251 under the type "Int8", which no Int8 can be.
#   The other way round it writes 4294967291, and pysparkplug refuses the whole payload over it.
# Why it matters: a cold box at -5 degC is shown as 251 degC, a base excess of -12 as 244; no error is raised.
# Instead: send signed values as Int32 or Int64 (all agree), and on reading cut the field to the metric's width.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
# pysparkplug needs a newer protobuf than the wrapper: a folder of its own.
venv/bin/pip -q install --disable-pip-version-check --target pys pysparkplug==0.6.1
venv/bin/pip -q install --disable-pip-version-check mqtt-spb-wrapper==2.1.2
peer() { PYTHONPATH=pys venv/bin/python peer.py "$@"; }
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sparkplug-payload@1.0.3 >/dev/null

cat >write.py <<'PY'
from mqtt_spb_wrapper import MetricDataType as T, SpbPayloadParser
from mqtt_spb_wrapper.spb_protobuf import Payload, addMetric
payload = Payload(timestamp=1790000000000, seq=1)
for name, kind, value in (("Int8", T.Int8, -5), ("Int16", T.Int16, -300), ("Int32", T.Int32, -70000)):
    addMetric(payload, name, None, kind, value, 1790000000000)
data = payload.SerializeToString()
open("wrapper.bin", "wb").write(data)
print(" ".join(f"{m['name']}={m['value']}" for m in SpbPayloadParser(data).payload["metrics"]))
PY
cat >peer.py <<'PY'
import sys
from pysparkplug import DataType, DBirth, Metric
kinds = ((DataType.INT8, -5), (DataType.INT16, -300), (DataType.INT32, -70000))
if sys.argv[1] == "write":
    metrics = tuple(Metric(timestamp=0, name=k.name.capitalize(), datatype=k, value=v) for k, v in kinds)
    open("pysparkplug.bin", "wb").write(DBirth(timestamp=0, seq=1, metrics=metrics).encode())
try:
    print(" ".join(f"{m.name}={m.value}" for m in DBirth.decode(open(sys.argv[2], "rb").read()).metrics))
except OverflowError as error:
    print("refused:", error)
PY
cat >read.js <<'JS'
const spb = require('sparkplug-payload').get('spBv1.0');
const fs = require('fs');
const [, , what, file] = process.argv;
if (what === 'write') {
  const values = { Int8: -5, Int16: -300, Int32: -70000 };
  const metrics = Object.entries(values).map(([type, value]) => ({ name: type, type, value, timestamp: 0 }));
  fs.writeFileSync(file, spb.encodePayload({ timestamp: 0, seq: 1, metrics }));
}
console.log(spb.decodePayload(fs.readFileSync(file)).metrics.map(m => `${m.name}=${m.value}`).join(' '));
JS

echo "mqtt-spb-wrapper 2.1.2, pysparkplug 0.6.1, sparkplug-payload 1.0.3; written: Int8=-5 Int16=-300 Int32=-70000"
own=$(venv/bin/python write.py)
crossed=$(peer read wrapper.bin)
echo "written and read by mqtt-spb-wrapper:                     $own"
echo "written by mqtt-spb-wrapper, read by pysparkplug:         $crossed"
own_peer=$(peer write pysparkplug.bin)
echo "written and read by pysparkplug:                          $own_peer"
js=$(node read.js read wrapper.bin)
js2=$(node read.js read pysparkplug.bin)
echo "written by mqtt-spb-wrapper, read by sparkplug-payload:   $js"
echo "written by pysparkplug, read by sparkplug-payload:        $js2"
back=$(node read.js write js.bin)
echo "written and read by sparkplug-payload:                    $back"
refused=$(peer read js.bin)
echo "written by sparkplug-payload, read by pysparkplug:        $refused"
echo "Sparkplug 3.0 (Payloads, basic types): Int8 is a signed 8-bit integer, carried in the Protobuf type uint32."
echo "No signed 8-bit integer is 251, and no signed 16-bit integer is 65236."

right="Int8=-5 Int16=-300 Int32=-70000"
wrong="Int8=251 Int16=65236 Int32=-70000"
if [[ $own == "$right" && $crossed == "$right" && $own_peer == "$right" && $back == "$right" &&
  $js == "$wrong" && $js2 == "$wrong" && $refused == refused:*4294967291* ]]; then
  echo "finding holds: two Python writers' Int8 -5 and Int16 -300 are 251 and 65236 in sparkplug-payload 1.0.3"
else
  echo "finding gone: the packages agree on small negative integers, or fail otherwise than before"
  exit 1
fi
