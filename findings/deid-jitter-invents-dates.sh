#!/usr/bin/env bash
# Shifting the dates of a DICOM recording with deid's JITTER.
#
# Expected: DICOM (PS3.5, 6.2) lets a DT leave out trailing parts: "2024" means "some time in
# 2024". Ten days later that is still only a year; a tool that can't say so should refuse. A TM
# holds a time of day and no date, so a shift by whole days leaves it alone.
# Found: JITTER fills what is missing from the day on which the tool is RUN: "2024" becomes
# today's month and day in 2024 plus ten, to the microsecond, and another run gives another date.
# A date alone turns into midnight. A TM of 01:30:00 is read as 30 January 2000: the time field
# then holds the date "20000209". deid says nothing; only pydicom warns, and of the last alone.
# Why it matters: the shifted set is what research keeps. Onset, recording and alarm times in it
# are invented, differ between two exports of one file, and look exact.
# Instead: shift only DA, and DT that reach to the second; check each shifted value's length and VR.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --no-compile --quiet --disable-pip-version-check deid==0.4.13 pydicom==3.0.2

cat >recipe.dicom <<'RECIPE'
FORMAT dicom

%header

JITTER ContentDate 10
JITTER AcquisitionDateTime 10
JITTER ContentTime 10
RECIPE

cat >shift.py <<'PY'
from datetime import date, timedelta
from importlib.metadata import version

from deid.config import DeidRecipe
from deid.dicom import replace_identifiers
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage
from pydicom.valuerep import validate_value

print("deid", version("deid"), " pydicom", version("pydicom"))


def shifted(moment, clock="013000"):
    for vr, value in (("DA", "20240329"), ("DT", moment), ("TM", clock)):
        validate_value(vr, value, config.RAISE)  # raises where the value is not valid DICOM
    recording = Dataset()
    recording.file_meta = FileMetaDataset()
    recording.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    recording.SOPClassUID = TwelveLeadECGWaveformStorage
    recording.SOPInstanceUID = "1.2.3.4"
    recording.ContentDate, recording.AcquisitionDateTime, recording.ContentTime = "20240329", moment, clock
    recording.save_as("recording.dcm", enforce_file_format=True)
    result, = replace_identifiers(
        dicom_files=["recording.dcm"], deid=DeidRecipe("recipe.dicom"), save=False
    )
    return str(result.ContentDate), str(result.AcquisitionDateTime), str(result.ContentTime)


print(f"{'AcquisitionDateTime':<26}{'ten days later':<28}{'ContentDate 20240329':<22}ContentTime 013000")
result = {}
for moment in ("20240329013000.5+0200", "20240329", "2024"):
    result[moment] = shifted(moment)
    print(f"{moment:<26}{result[moment][1]:<28}{result[moment][0]:<22}{result[moment][2]}")

full, day, year = result.values()
if full[:2] != ("20240408", "20240408013000.500000+0200"):
    raise SystemExit("finding gone: the complete date and time are shifted otherwise now")
of_the_run = {  # the run may pass midnight
    (d.replace(year=2024) + timedelta(days=10)).strftime("%Y%m%d000000.000000")
    for d in (date.today(), date.today() - timedelta(days=1))
}
if year[1] in of_the_run and day[1] == "20240408000000.000000" and year[2] == "20000209":
    print("finding holds: deid's JITTER dates a DT of \"2024\" by the day it is run on, and puts a date into a time field")
else:
    raise SystemExit("finding gone: deid treats partial times and time fields otherwise now")
PY
py/bin/python shift.py
