#!/usr/bin/env bash
# Kidney injury that pyaki does not see: its calculated baseline rests on an ideal weight that is 78 kg too high.
#
# Expected: where no earlier creatinine is known, method CALCULATED takes Cockcroft and Gault's formula backwards with the
#   adjusted body weight (the package's own words). That rests on Devine's ideal weight: 50 kg (women 45.5) and 2.3 kg for
#   each inch ABOVE 60: 70.5 kg for a man of 175 cm. KDIGO's stages are 1.5, 2 and 3 times the baseline.
# What happens: pyaki 1.0.13 has 2.3 * height / 2.54 - 60, without the bracket, so that 60 kg are taken off in place of
#   60 inches, 138 kg: the same man's ideal weight is 148.5 kg (70 for the formula's 72 adds 3 %). His baseline is 1.89 mg/dl
#   in place of 1.12, a woman's of 160 cm 1.38 in place of 0.73. Nothing is raised. The same probe, given the right baseline
#   as CONSTANT, has KDIGO's stages.
# Why it matters: it is wrong for all, and always to the same side: doubled creatinine is stage 0, trebled stage 1, in
#   those very patients of whom nothing is known. The other methods, which need earlier values, are not touched.
# Instead: work the baseline out oneself and hand it over with method CONSTANT.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-compile pandas==2.3.3
# The package asks for Python 3.12 or later; it needs nothing that 3.11 lacks.
venv/bin/pip -q install --disable-pip-version-check --no-compile --no-deps --ignore-requires-python pyaki==1.0.13

cat >stages.py <<'PY'
from importlib.metadata import version

import pandas
from pyaki.probes import CreatinineBaselineMethod, Dataset, DatasetType, RelativeCreatinineProbe

def baseline_by_hand(age, height, weight, gender, clearance=72):
    """Devine 1974, the adjusted weight, and Cockcroft and Gault 1976 solved for creatinine."""
    ideal = (50 if gender == "M" else 45.5) + 2.3 * (height / 2.54 - 60)
    adjusted = ideal + 0.4 * (weight - ideal)
    return (140 - age) * adjusted * (1 if gender == "M" else 0.85) / (72 * clearance)

def stages(method, creatinine, **person):
    values = pandas.DataFrame({"creat": creatinine}, index=pandas.date_range("2026-03-01", periods=len(creatinine), freq="1h"))
    person = pandas.Series(person)
    probe = RelativeCreatinineProbe(method=method)             # expected clearance 72 ml/min by default
    result = probe.probe([Dataset(DatasetType.CREATININE, values), Dataset(DatasetType.DEMOGRAPHICS, person)])
    return float(probe.creatinine_baseline(values, person).iloc[0]), [int(x) for x in result[0].df[probe.RESNAME]]

print("pyaki", version("pyaki"), " pandas", version("pandas"))
people = {
    "man, 60 years, 175 cm, 75 kg": dict(age=60, height=175, weight=75, gender="M"),
    "woman, 60 years, 160 cm, 60 kg": dict(age=60, height=160, weight=60, gender="F"),
    "man, 60 years, 190 cm, 90 kg": dict(age=60, height=190, weight=90, gender="M"),
}
found = []
for name, person in people.items():
    right = baseline_by_hand(**person)
    creatinine = [round(right * factor, 2) for factor in (1.0, 1.6, 2.1, 3.1)]
    base, given = stages(CreatinineBaselineMethod.CALCULATED, creatinine, **person)
    _, control = stages(CreatinineBaselineMethod.CONSTANT, creatinine, baseline_constant=right, **person)
    print(f"{name}: creatinine {creatinine} mg/dl, 1, 1.6, 2.1 and 3.1 times {right:.2f}")
    print(f"  CALCULATED: baseline {base:.2f}, stages {given}   CONSTANT {right:.2f}: stages {control}")
    found.append((round(right, 2), round(base, 2), given, control))

if found[0] == (1.12, 1.89, [0, 0, 0, 1], [0, 1, 2, 3]) and found[1][:2] == (0.73, 1.38) and (
    all(given != control and control == [0, 1, 2, 3] for *_, given, control in found)
):
    print("finding holds: pyaki 1.0.13 calculates a baseline of 1.89 mg/dl for 1.12, and calls doubled creatinine stage 0")
else:
    raise SystemExit("finding gone: the calculated baseline follows Devine's formula, or fails otherwise than before")
PY
venv/bin/python stages.py
