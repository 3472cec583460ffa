#!/usr/bin/env bash
# A fraction of a second and a time zone in an HL7 v2 time, read by @medplum/core.
#
# Expected: an HL7 v2 time is YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ], so ".5" is half a
# second, ".1234" is 123.4 ms, and a zone may follow any precision.
# Found: parseHl7DateTime takes the digits after the point for a count of milliseconds (".5" is
# 5 ms, ".9999" is ten seconds), and where minutes or seconds are left out it takes the zone's
# digits for them ("2026032901+0200" gains 20 seconds, "20260329+0200" gains 20 minutes).
# Why it matters: senders that write one or two decimals are within the standard. Samples come out
# in another order than they were taken, or up to ten seconds late, and no error is raised.
# Instead: split the text by the standard's grammar, pad the fraction to the right with zeros.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund --ignore-scripts \
    @medplum/core@5.2.13 >/dev/null 2>&1
python3 -m venv py
py/bin/pip install --no-compile --quiet --disable-pip-version-check hl7==0.4.5

cat >times.txt <<'TIMES'
20260329013000.5+0000
20260329013000.25+0000
20260329013000.300+0000
20260329013000.1234+0000
20260329013000.9999+0000
2026032901+0200
20260329+0200
202603290130-0330
TIMES

cat >medplum.mjs <<'JS'
import { readFileSync } from 'node:fs';
globalThis.WebSocket ??= class {}; // the package names it on load; nothing here connects
const { parseHl7DateTime, MEDPLUM_VERSION } = await import('@medplum/core');
console.error('@medplum/core', MEDPLUM_VERSION);
for (const t of readFileSync('times.txt', 'utf8').trim().split('\n')) {
  console.log(t, parseHl7DateTime(t));
}
JS

cat >second.py <<'PY'
# Two readers that share no code: the PyPI package hl7, and the standard's grammar written out.
import re
import sys
from datetime import datetime, timedelta, timezone

import hl7

GRAMMAR = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,4}))?)?)?)?)?)?"
    r"([+-]\d{4})?"
)
print("hl7", hl7.__version__, file=sys.stderr)
for text in open("times.txt").read().split():
    *parts, fraction, zone = GRAMMAR.fullmatch(text).groups()
    year, month, day, hour, minute, second = (
        int(p) if p else d for p, d in zip(parts, (0, 1, 1, 0, 0, 0))
    )
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    offset = -offset if zone[0] == "-" else offset
    micro = int((fraction or "0").ljust(6, "0"))
    moment = datetime(year, month, day, hour, minute, second, micro, timezone(offset))
    other = hl7.parse_datetime(text)
    assert other == moment, (text, other, moment)
    utc = moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    print(text, utc.replace("+00:00", "Z"))
PY

node medplum.mjs >medplum.txt
py/bin/python second.py >second.txt
printf '%-28s %-26s %s\n' 'HL7 v2 time' 'the standard, and hl7' '@medplum/core'
paste -d' ' second.txt <(cut -d' ' -f2 medplum.txt) |
    while read -r text right got; do
        printf '%-28s %-26s %s%s\n' "$text" "$right" "$got" \
            "$([ "$right" = "$got" ] || echo '   <- differs')"
    done

got() { awk -v t="$1" '$1 == t {print $2}' medplum.txt; }
[ "$(got 20260329013000.300+0000)" = 2026-03-29T01:30:00.300Z ] || {
    echo 'finding gone: the plain case is read otherwise now'
    exit 1
}
if [ "$(got 20260329013000.5+0000)" = 2026-03-29T01:30:00.005Z ] &&
    [ "$(got 20260329013000.9999+0000)" = 2026-03-29T01:30:09.999Z ] &&
    [ "$(got 2026032901+0200)" = 2026-03-28T23:00:20.000Z ]; then
    echo 'finding holds: @medplum/core reads ".5" as 5 ms, ".9999" as ten seconds, and a zone after the hour as seconds'
else
    echo 'finding gone: @medplum/core reads fractions and zones otherwise now'
    exit 1
fi
