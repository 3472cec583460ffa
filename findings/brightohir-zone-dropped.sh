#!/usr/bin/env bash
# The time zone of an HL7 v2 result, carried into FHIR R5 and back by brightohir.
#
# Expected: OBX-14 "20260329013000+0200" and "20260329013000-0500" are seven hours apart. HL7's
# v2-to-FHIR guide copies the zone, and FHIR's dateTime says "SHALL" for a zone wherever hours
# and minutes are given.
# Found: v2_to_r5 cuts the zone and the fraction off, so the two become the same text, without a
# zone. Where the seconds are left out it cuts within the zone: "2026-03-29T01:30:+0". The other
# way, r5_to_v2 cuts the zone off too, so one instant written with +02:00 and with Z comes out
# as two times on two days. Both without an error or a warning.
# Why it matters: a bedside reading moves by hours when its reader sits in another zone or stores
# in UTC; trends, early-warning windows and the order of events across two senders are wrong.
# Instead: convert the times yourself, refuse one without a zone, and compare instants in a test.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --no-compile --quiet --disable-pip-version-check \
    brightohir==2.1.2 fhir.resources==8.1.0 hl7==0.4.5

cat >zones.py <<'PY'
import json
import logging
import re
import warnings
from datetime import datetime, timezone
from importlib.metadata import version

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import brightohir
import hl7

# FHIR's own pattern for dateTime (the same in R4 and R5), shortened for years from 1000 to 9999.
FHIR_DATETIME = re.compile(
    r"[1-9]\d{3}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)"
    r"(\.\d{1,9})?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00)))?)?)?"
)
print("brightohir", version("brightohir"), " second reader: hl7", version("hl7"))


def to_fhir(taken):
    message = "\r".join((
        "MSH|^~\\&|BED|WARD|EHR|HOSP|20260329020000+0200||ORU^R01^ORU_R01|1|P|2.5",
        "PID|1||5^^^H||Doe^Jo||19700101",
        "OBR|1|||8867-4^Heart rate^LN",
        f"OBX|1|NM|8867-4^Heart rate^LN||72|/min|||||F|||{taken}",
        "",
    ))
    bundle = brightohir.v2_to_r5(message)
    if not isinstance(bundle, dict):
        bundle = json.loads(bundle.model_dump_json())
    found = [e["resource"] for e in bundle["entry"]]
    return next(r for r in found if r["resourceType"] == "Observation")["effectiveDateTime"]


def utc(moment):
    return moment.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


print(f"\n{'OBX-14':<28}{'the instant (hl7)':<28}effectiveDateTime from brightohir")
out = {}
for taken in (
    "20260329013000+0200", "20260329013000-0500", "20260329013000.5+0200", "202603290130+0200",
):
    out[taken] = to_fhir(taken)
    valid = "" if FHIR_DATETIME.fullmatch(out[taken]) else "   <- no valid FHIR dateTime"
    print(f"{taken:<28}{utc(hl7.parse_datetime(taken)):<28}{out[taken]}{valid}")

print(f"\n{'effectiveDateTime':<30}OBX-14 from brightohir")
back = {}
for taken in ("2026-03-29T01:30:00+02:00", "2026-03-28T23:30:00Z"):
    assert datetime.fromisoformat(taken.replace("Z", "+00:00")).timestamp() == 1774740600
    observation = {
        "resourceType": "Observation", "status": "final", "effectiveDateTime": taken,
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "valueQuantity": {"value": 72, "unit": "/min"},
    }
    message = brightohir.r5_to_v2([observation], message_type="ORU_R01")
    obx = next(line for line in message.split("\r") if line.startswith("OBX"))
    back[taken] = obx.split("|")[14]
    print(f"{taken:<30}{back[taken]}")

one_text = out["20260329013000+0200"] == out["20260329013000-0500"]
two_times = len(set(back.values())) == 2 and not any(re.search(r"[+-]\d{4}$", t) for t in back.values())
if one_text and two_times and not any(map(FHIR_DATETIME.fullmatch, out.values())):
    print("\nfinding holds: brightohir drops the zone both ways: +0200 and -0500 become one time, and one instant two")
else:
    raise SystemExit("finding gone: brightohir keeps zones now")
PY
py/bin/python zones.py
