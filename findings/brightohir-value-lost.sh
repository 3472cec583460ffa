#!/usr/bin/env bash
# A blood pressure and a result below the detection limit, written as HL7 v2 by brightohir.
#
# Expected: FHIR keeps a blood pressure as two components of one Observation, and "below 0.01" as
# a Quantity with comparator "<". In HL7 v2 these are an OBX per component and the value type SN
# (structured numeric, "<^0.01"). A converter that can't do it should refuse.
# Found: r5_to_v2 writes a final OBX with neither type nor value for the blood pressure, and a
# plain number 0.01 for "<0.01". A single measurement of "false" or 5 (integer) is left out too.
# Every OBX carries status F (final), so the receiver takes the empty one for a finished result.
# Why it matters: 210/120 arrives as nothing, troponin "not detected" as a measured value.
# Instead: send components as OBX of their own, use SN for comparators, and read each outgoing
# message back to see that every value is in it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --no-compile --quiet --disable-pip-version-check \
    brightohir==2.1.2 fhir.resources==8.1.0

cat >values.py <<'PY'
import logging
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import brightohir
from fhir.resources.observation import Observation

UCUM = "http://unitsofmeasure.org"


def coded(code, name):
    return {"coding": [{"system": "http://loinc.org", "code": code, "display": name}]}


def quantity(value, unit, **more):
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def obx(**value):
    observation = {
        "resourceType": "Observation", "status": "final", "effectiveDateTime": "2026-03-29",
        "code": coded("1-8", "a measurement"), **value,
    }
    Observation(**observation)  # raises where the resource is not valid FHIR R5
    message = brightohir.r5_to_v2([observation], message_type="ORU_R01")
    return [line for line in message.split("\r") if line.startswith("OBX")]


print("brightohir", version("brightohir"), " each resource is valid for fhir.resources",
      version("fhir.resources"))
pressure = {"component": [
    {"code": coded("8480-6", "Systolic"), "valueQuantity": quantity(210, "mm[Hg]")},
    {"code": coded("8462-4", "Diastolic"), "valueQuantity": quantity(120, "mm[Hg]")},
]}
cases = {
    "a plain number, 0.01 ng/mL": {"valueQuantity": quantity(0.01, "ng/mL")},
    "below 0.01 ng/mL": {"valueQuantity": quantity(0.01, "ng/mL", comparator="<")},
    "blood pressure 210/120": pressure,
    "the integer 5": {"valueInteger": 5},
    "the boolean false": {"valueBoolean": False},
}
lines = {name: obx(**value) for name, value in cases.items()}
for name, found in lines.items():
    print(f"{name:<28}{found}")

plain, below, pressure, *_ = lines.values()
if not (len(plain) == 1 and plain[0].split("|")[2:6:3] == ["NM", "0.01"]):
    raise SystemExit("finding gone: the plain number is written otherwise now")
if below == plain and not any("210" in line or "120" in line for line in pressure) and (
    [line.split("|")[11] for line in pressure] == ["F"]
):
    print("finding holds: brightohir writes \"<0.01\" as 0.01 and a blood pressure as an empty final result")
else:
    raise SystemExit("finding gone: comparators or components are carried over now")
PY
py/bin/python values.py
