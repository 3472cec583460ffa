#!/usr/bin/env bash
# The night the clocks go back, read from an EMAY oximeter's CSV by emay-sleepo2: its correction never takes effect.
#
# Expected: the export holds local wall time, so the hour from 1 to 2 comes twice. The package knows it: parse_csv has
#   correct_dst_fold = True, and its class says it "restores physical (monotonic) time", since else an hour of data is
#   erased. With the time zone given, each reading should come out at the instant it was taken, one every ten seconds.
# What happens: to see the change it asks whether an hour BEFORE the last reading was summer time and the last reading
#   is not; but that last reading, 1:59:59, is still summer time. So nothing is corrected, in no zone with such a night:
#   the second hour lies upon the first, 360 readings an hour early, the result is the same with the switch off.
# Why it matters: put in a table by time, one of the two hours is lost or both are mixed; a desaturation at 1:30 of the
#   second hour stands before the alarm of the first. No warning is in the list it returns for such things.
# Instead: walk through the file oneself and set fold = 1 from the first step back on, then go over to UTC.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-deps emay-sleepo2==1.0.6 tzdata==2025.2

cat >night.py <<'PY'
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
from emay_sleepo2 import parse_csv

def export(zone, start, hours):
    """What the device's app writes: local wall time, one reading every ten seconds; each with the instant it was taken."""
    rows, taken = ["Date,Time,SpO2(%),PR(bpm)"], []
    for second in range(0, hours * 3600, 10):
        instant = start + timedelta(seconds=second)
        rows.append(instant.astimezone(zone).strftime("%m/%d/%Y,%I:%M:%S %p") + ",95,60")
        taken.append(instant)
    return "\n".join(rows), taken

def by_hand(times):
    """The plain way: after a step back of the wall clock the readings are of the second pass."""
    out, second_pass = [], 0
    for before, now in zip([times[0]] + times, times):
        second_pass |= now.replace(tzinfo=None) < before.replace(tzinfo=None)
        out.append(now.replace(fold=int(second_pass)).astimezone(timezone.utc))
    return out

def show(name, got, taken):
    late = {}
    for a, b in zip(got, taken):
        late[round((a - b).total_seconds() / 60)] = late.get(round((a - b).total_seconds() / 60), 0) + 1
    print(f"{name:<52}{len(got):>6} readings, {len(set(got)):>5} instants, off by minutes: {late}")

nights = {"New York, an ordinary night": ("America/New_York", datetime(2026, 10, 25, 4, tzinfo=timezone.utc)),
          "New York, clocks go back": ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=timezone.utc)),
          "Berlin, clocks go back": ("Europe/Berlin", datetime(2026, 10, 24, 22, tzinfo=timezone.utc))}
for name, (key, start) in nights.items():
    zone = ZoneInfo(key)
    text, taken = export(zone, start, 5)
    for switch in (True, False):
        readings, warned = parse_csv(text, timezone=zone, correct_dst_fold=switch)
        show(f"{name}: correct_dst_fold={switch}", [r.timestamp.astimezone(timezone.utc) for r in readings], taken)
        assert not warned
    show(f"{name}: by hand", by_hand([r.timestamp for r in readings]), taken)
PY
echo "emay-sleepo2 1.0.6"
seen=$(venv/bin/python night.py)
echo "$seen"

if [[ $seen == *"ordinary night: correct_dst_fold=True "*"1800 readings,  1800 instants, off by minutes: {0: 1800}"* &&
  $seen == *"New York, clocks go back: correct_dst_fold=True "*"1800 readings,  1440 instants, off by minutes: {0: 1440, -60: 360}"* &&
  $seen == *"Berlin, clocks go back: correct_dst_fold=True "*" 1440 instants, off by minutes: {0: "*", -60: "*"by hand "*" 1800 instants, off by minutes: {0: 1800}"* ]]; then
  echo "finding holds: emay-sleepo2 1.0.6 lays the second hour of the night of the clock change upon the first, with its correction on"
else
  echo "finding gone: the hour that comes twice is told apart, or fails otherwise than before"
  exit 1
fi
