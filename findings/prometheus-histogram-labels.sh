#!/usr/bin/env bash
# npm parse-prometheus-text-format keeps one histogram a family: the last labelled series replaces the others.
#
# Expected: two labelled histograms of one family (bed="1", bed="2") are two entries with their labels, as gauges
#   and counters are in the same package, and as prom2json, which it names as its model, gives them.
# What happens: the buckets of all label sets are laid over each other by "le" alone, so the later bed's counts
#   stand; labels, _sum and _count are gone. A summary suffers the same by "quantile". Nothing is raised.
# Why it matters: a status page built on it shows one bed's alarm delays as the ward's, and which bed depends on
#   the order of the lines; the slow bed can be the one that vanished.
# Instead: parse histograms sample by sample (the Python client's parser keeps the labels), or export one family a bed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv && venv/bin/pip -q install --disable-pip-version-check prometheus-client==0.26.0
npm init -y >/dev/null
npm install --silent --no-audit --no-fund parse-prometheus-text-format@1.1.1 >/dev/null

cat >metrics.txt <<'TXT'
# HELP alarm_delay_seconds From threshold crossed to alarm shown.
# TYPE alarm_delay_seconds histogram
alarm_delay_seconds_bucket{bed="1",le="1"} 10
alarm_delay_seconds_bucket{bed="1",le="10"} 11
alarm_delay_seconds_bucket{bed="1",le="+Inf"} 40
alarm_delay_seconds_sum{bed="1"} 1900
alarm_delay_seconds_count{bed="1"} 40
alarm_delay_seconds_bucket{bed="2",le="1"} 7
alarm_delay_seconds_bucket{bed="2",le="10"} 8
alarm_delay_seconds_bucket{bed="2",le="+Inf"} 8
alarm_delay_seconds_sum{bed="2"} 5
alarm_delay_seconds_count{bed="2"} 8
# HELP heart_rate Beats per minute.
# TYPE heart_rate gauge
heart_rate{bed="1"} 72
heart_rate{bed="2"} 81
TXT
cat >second.py <<'PY'
from prometheus_client.parser import text_string_to_metric_families as parse
for family in parse(open("metrics.txt").read()):
    for s in family.samples:
        if s.name == "alarm_delay_seconds_bucket" and s.labels["le"] == "+Inf":
            print("bed", s.labels["bed"], "has", int(s.value), end="; ")
PY
cat >first.js <<'JS'
const { default: d, ...rest } = require('parse-prometheus-text-format');
const parse = d || require('parse-prometheus-text-format');
const text = require('fs').readFileSync('metrics.txt', 'utf8');
const family = parse(text).find(f => f.name === process.argv[2]);
console.log(JSON.stringify(family.metrics));
JS

echo "parse-prometheus-text-format 1.1.1, prometheus-client 0.26.0"
second=$(venv/bin/python second.py)
gauge=$(node first.js heart_rate)
histogram=$(node first.js alarm_delay_seconds)
echo "the Python client's parser, measurements a bed: $second"
echo "the npm package, the gauge:                     $gauge"
echo "the npm package, the histogram:                 $histogram"
echo "Exposition format 0.0.4: a histogram is told from another by its labels other than le; bed 1 had 29 of 40 late."

if [[ $second == "bed 1 has 40; bed 2 has 8; " && $gauge == *'"bed":"1"'*'"bed":"2"'* &&
  $histogram == '[{"buckets":{"1":"7","10":"8","+Inf":"8"}}]' ]]; then
  echo "finding holds: of two labelled histograms parse-prometheus-text-format 1.1.1 keeps the last one's buckets, unlabelled"
else
  echo "finding gone: both labelled histograms are kept, or fail otherwise than before"
  exit 1
fi
