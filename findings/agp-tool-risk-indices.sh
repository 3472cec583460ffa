#!/usr/bin/env bash
# Kovatchev's glucose risk indices (LBGI, HBGI, ADRR) as agp-tool computes them.
#
# Expected: LBGI is the mean, over ALL n readings, of the low-side risk, which is 0 for a reading
# on the high side; HBGI likewise (Kovatchev 2001, which the package's README names as its
# source). ADRR is the mean over the days of max(low risk) + max(high risk) (Kovatchev 2006).
# Found: agp-tool divides by the number of LOW readings only, so one short dip a day gives the
# index of a person who is always that low; its ADRR takes max minus min of the two-sided risk,
# so a day with both a hypo and a peak scores like a day with the worse of them alone.
# Why it matters: LBGI above 5 is read as high risk of severe hypoglycaemia. Here nearly everyone
# is; ranking a ward by this number, or alarming on it, picks the wrong people.
# Instead: divide by all readings, and check an index against a second package first.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
# Only what the two packages import: their table readers for other formats are left out.
py/bin/pip install --no-compile --quiet --disable-pip-version-check --no-deps \
    agp-tool==0.1.0.7 cgmpy==0.6.0 numpy==2.4.6 pandas==3.1.1 matplotlib==3.11.2 seaborn==0.13.2 \
    fpdf2 pillow contourpy cycler fonttools kiwisolver packaging pyparsing python-dateutil six defusedxml

cat >risk.py <<'PY'
import math
from importlib.metadata import version

import pandas as pd
from agp.metrics import compute_adrr, compute_risk_indices
from cgmpy.metrics.variability.risk import hbgi, lbgi

print("agp-tool", version("agp-tool"), " second reader: cgmpy", version("cgmpy"))
times = pd.date_range("2026-03-01", periods=3 * 288, freq="5min")  # three whole days


def day(usual, **spans):
    level = [usual] * 288
    for value, (start, count) in spans.values():
        level[start:start + count] = [value] * count
    return pd.Series([float(x) for x in level * 3])


def published(glucose):
    """The two papers' formulas, reading by reading."""
    low, high, days = [], [], {}
    for when, g in zip(times, glucose):
        f = 1.509 * (math.log(g) ** 1.084 - 5.381)
        low.append(10 * f * f if f < 0 else 0.0)
        high.append(10 * f * f if f > 0 else 0.0)
        days.setdefault(when.date(), []).append((low[-1], high[-1]))
    ranges = [max(l for l, _ in d) + max(h for _, h in d) for d in days.values()]
    return sum(low) / len(low), sum(high) / len(high), sum(ranges) / len(ranges)


cases = {
    "120 mg/dL, 55 for 15 min a day": day(120, hypo=(55, (40, 3))),
    "110 mg/dL, 250 for 30 min a day": day(110, peak=(250, (150, 6))),
    "120, 50 at night, 300 after lunch": day(120, hypo=(50, (40, 6)), peak=(300, (150, 12))),
}
print(f"{'three days of readings':<36}{'':<12}{'LBGI':>8}{'HBGI':>8}{'ADRR':>8}")
table = {}
for name, glucose in cases.items():
    right = published(glucose)
    second = (lbgi(glucose), hbgi(glucose))
    assert all(abs(a - b) < 1e-9 for a, b in zip(right, second)), "the second package disagrees"
    got = (*compute_risk_indices(glucose), compute_adrr(glucose, times.date))
    table[name] = right, got
    for who, values in (("published", right), ("agp-tool", got)):
        print(f"{name:<36}{who:<12}" + "".join(f"{v:8.2f}" for v in values))

(dip, dip_got), (peak, peak_got), (both, both_got) = table.values()
if dip[0] < 0.5 and dip_got[0] > 10 and peak_got[1] > 2 * peak[1] and both_got[2] < 0.75 * both[2]:
    print("finding holds: agp-tool's LBGI and HBGI leave the good readings out of the mean, its ADRR one of the two sides")
else:
    raise SystemExit("finding gone: agp-tool's risk indices agree with the published formulas better now")
PY
py/bin/python risk.py
