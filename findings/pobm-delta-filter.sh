#!/usr/bin/env bash
# The delta filter for pulse oximetry in pobm (Python Oximetry Digital Biomarkers).
#
# Expected: a delta filter drops a sample that jumps by more than Diff % (4 by default) from its
# neighbour: single artefacts go, a steady signal stays. Missing values are NaN in this package:
# its set_range() writes them and its other filters name that as their assumption.
# Found: dfilter compares with the last value it KEPT, and only downwards. After a gap in which
# the saturation fell from 96 to 91, everything is thrown away until it is back above 92: hours
# of hypoxaemia vanish and the minimum reads 96. If the first sample is NaN (a probe put on a
# second late) every other sample goes. A jump up to 99 stays and then deletes the true values.
# What is left is a shorter list without marks, so later samples move forward in time.
# Why it matters: time below 92 % is 0 in a night that was below it for 50 minutes.
# Instead: mark samples in place, compare neighbours in time, and start anew after a gap.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --no-compile --quiet --disable-pip-version-check --no-deps \
    pobm==1.2.0 numpy==2.4.6 scipy==1.17.1

cat >filter.py <<'PY'
from importlib.metadata import version

import numpy as np
import scipy.signal  # pobm.prep uses it without importing it
from pobm.prep import dfilter, set_range

print("pobm", version("pobm"), " numpy", version("numpy"))
OFF = 0  # the oximeter's value while the probe is off the finger


def neighbours(signal):
    """A plain delta filter: each sample against the one before it in time, in both directions."""
    out = np.array(signal, dtype=float)
    before = np.roll(out, 1)
    before[0] = np.nan
    change = np.abs(out - before) / before * 100
    return np.where(change > 4, np.nan, out)


def seconds(spans):
    return np.concatenate([np.full(count, float(value)) for value, count in spans])


nights = {  # one sample a second
    "96, probe off for 20 s, then 91 for 50 min": [(96, 3000), (OFF, 20), (91, 3000), (96, 1800)],
    "probe put on after 1 s, then 95 for 2 h": [(OFF, 1), (95, 7200)],
    "one artefact of 99 in 90 for 1 h": [(90, 1800), (99, 1), (90, 1800)],
    "one artefact of 70 in 96 for 1 h": [(96, 1800), (70, 1), (96, 1800)],
}
print(f"{'':<44}{'samples':>9}{'kept':>7}{'below 92':>10}{'lowest':>8}")
result = {}
for name, spans in nights.items():
    signal = set_range(seconds(spans))
    got = np.array(dfilter(signal))
    for who, kept in (("the night", signal), ("neighbours", neighbours(signal)), ("pobm", got)):
        valid = kept[~np.isnan(kept)]
        lowest = f"{valid.min():8.0f}" if len(valid) else "    none"
        below = int((valid < 92).sum())
        print(f"{name if who == 'the night' else '    ' + who:<44}{len(signal):>9}{len(valid):>7}{below:>10}{lowest}")
    result[name] = len(signal), valid, below

gap, late, up, down = result.values()
if len(down[1]) != down[0] - 1:
    raise SystemExit("finding gone: the single artefact downwards is treated otherwise now")
if gap[2] == 0 and gap[1].min() == 96 and len(late[1]) == 0 and len(up[1]) == 1801 and up[1].max() == 99:
    print("finding holds: pobm's dfilter deletes 50 minutes at 91 % after a gap, and a whole night that starts with NaN")
else:
    raise SystemExit("finding gone: pobm's dfilter keeps these samples now")
PY
py/bin/python filter.py
