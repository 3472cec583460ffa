#!/usr/bin/env bash
# Sparkplug B: sparkplug-payload reads every value of a correct NDATA or DDATA message as null.
#
# Expected: a metric's value is in the message, so a decoder hands it on; NDATA and DDATA are the live readings.
# What happens: the specification asks senders to leave the datatype out of NDATA, NCMD, DDATA and DCMD (it was
#   told once, at birth). npm sparkplug-payload chooses the value by the metric's own datatype only, so it answers
#   value null and type undefined for each, and gives no other way to the number that stands in the message. A
#   metric that is truly null looks just the same. (Its README names version 2.1; the namespace is one: spBv1.0.)
# Why it matters: births read well, so a bridge seems to work; from then on each heart rate arrives as "no value".
# Instead: decode the Protobuf with one's own schema, or put the datatype back from the birth before decoding.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv && venv/bin/pip -q install --disable-pip-version-check pysparkplug==0.6.1
npm init -y >/dev/null
npm install --silent --no-audit --no-fund sparkplug-payload@1.0.3 protobufjs@6.11.6 >/dev/null

cat >write.py <<'PY'
from pysparkplug import DataType, DBirth, DData, Metric
at = 1790000000000
metrics = (
    Metric(timestamp=at, name="heart rate", datatype=DataType.UINT16, value=72),
    Metric(timestamp=at, name="SpO2", datatype=DataType.FLOAT, value=97.5),
    Metric(timestamp=at, name="lead off", datatype=DataType.BOOLEAN, value=True),
    Metric(timestamp=at, name="etCO2", datatype=DataType.FLOAT, value=None, is_null=True),
)
open("birth.bin", "wb").write(DBirth(timestamp=at, seq=1, metrics=metrics).encode())
open("data.bin", "wb").write(DData(timestamp=at, seq=2, metrics=metrics).encode())
PY
venv/bin/python write.py

# The second reader: the public schema's field numbers, no Sparkplug library.
cat >read.js <<'JS'
const fs = require('fs');
const spb = require('sparkplug-payload').get('spBv1.0');
const proto = require('protobufjs').parse(`syntax = "proto2";
  message Metric { optional string name = 1; optional uint32 datatype = 4; optional bool is_null = 7;
    oneof value { uint32 int_value = 10; float float_value = 12; bool boolean_value = 14; } }
  message Payload { optional uint64 timestamp = 1; repeated Metric metrics = 2; optional uint64 seq = 3; }`).root;
const plain = bytes => proto.lookupType('Payload').decode(bytes).metrics
  .map(m => `${m.name}=${m.isNull ? null : m[m.value]}`).join(', ');
const library = bytes => spb.decodePayload(bytes).metrics.map(m => `${m.name}=${m.value}`).join(', ');
const [, , how, file] = process.argv;
console.log((how === 'plain' ? plain : library)(fs.readFileSync(file)));
JS

echo "sparkplug-payload 1.0.3; messages written by pysparkplug 0.6.1; schema read with protobufjs 6.11.6"
birth=$(node read.js library birth.bin)
data=$(node read.js library data.bin)
plain=$(node read.js plain data.bin)
echo "DBIRTH, read by sparkplug-payload:  $birth"
echo "DDATA,  read by the schema alone:   $plain"
echo "DDATA,  read by sparkplug-payload:  $data"
echo "Sparkplug 3.0, tck-id-payloads-metric-datatype-not-req: the datatype SHOULD NOT be in NDATA, NCMD, DDATA, DCMD."

right="heart rate=72, SpO2=97.5, lead off=true, etCO2=null"
wrong="heart rate=null, SpO2=null, lead off=null, etCO2=null"
if [[ $birth == "$right" && $plain == "$right" && $data == "$wrong" ]]; then
  echo "finding holds: sparkplug-payload 1.0.3 gives null for every value of a DDATA message that leaves the datatype out"
else
  echo "finding gone: the values of a DDATA message without datatypes are read, or fail otherwise than before"
  exit 1
fi
