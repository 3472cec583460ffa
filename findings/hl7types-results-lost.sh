#!/usr/bin/env bash
# A result read by hl7types has no value from HL7 v2.6 on, and before that a coded one is turned into flat text.
#
# Expected: OBX-5, the observation's value, is of the type that OBX-2 names (HL7 v2, section 7.4.2.5): NM, SN, CE, CWE,
#   ED ... The package decodes into typed models, is strict by default, and a message that is read and written again
#   says the same, as its other segments do.
# What happens: for 2.6 to 2.8.2 the field is a model without any member: 172 beats a minute is read as None, written as
#   an empty field, and missing in the XML too, for every type. Up to 2.5.1 it is a list of plain texts: a number is right,
#   but the separators within a value are escaped on writing, so that "<^0.01" and "3092008^Staphylococcus aureus^SCT"
#   become one component each: no comparator, no code. Units, time and status F stay; nothing is raised or warned of.
# Why it matters: a router or archive that rewrites messages this way passes on final results without a result.
# Instead: take OBX-5 from decode_er7_hybrid(...).generic, or from the text itself, and compare every value after writing.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-compile hl7types==0.9.5 hl7==0.4.5

cat >results.py <<'PY'
import importlib
import warnings
from importlib.metadata import version

import hl7
import hl7types
warnings.simplefilter("error")                                # a warning would end this

RESULTS = [
    ("a number", "NM", "8867-4^Heart rate^LN", "172", "/min"),
    ("a comparison", "SN", "49563-0^Troponin I^LN", "<^0.01", "ng/mL"),
    ("a code", "CWE", "600-7^Bacteria identified^LN", "3092008^Staphylococcus aureus^SCT", ""),
    ("a document", "ED", "18842-5^Discharge summary^LN", "^application^pdf^Base64^JVBERi0xLjQ=", ""),
]

def message(release):
    lines = [f"MSH|^~\\&|LAB|H|EHR|H|20260329013000+0200||ORU^R01^ORU_R01|1|P|{release}",
             "PID|1||123^^^H^MR||Doe^Jane||19700101|F", "OBR|1|1|1|11502-2^Report^LN|||20260329012500+0200"]
    for number, (_, kind, code, value, unit) in enumerate(RESULTS, 1):
        lines.append(f"OBX|{number}|{kind}|{code}||{value}|{unit}|||||F|||20260329012500+0200")
    return "\r".join(lines) + "\r"

def components(text, number):
    """OBX-5 of one result, as an independent reader sees it: a list of components."""
    field = hl7.parse(text).segments("OBX")[number][5]
    repetition = field[0] if len(field) else ""
    return [str(part) for part in repetition] if isinstance(repetition, hl7.Repetition) else [str(repetition)]

print("hl7types", version("hl7types"), "  read afterwards by hl7", version("hl7"))
found = {}
for release in ("2.5.1", "2.6", "2.8.2"):
    module = importlib.import_module("hl7types.hl7.v" + release.replace(".", "_") + ".messages")
    sent = message(release)
    model = module.ORU_R01.model_validate_er7(sent)           # strict is the default
    written = model.model_dump_er7()
    same = [a.split("|")[0] for a, b in zip(sent.split("\r"), written.split("\r")) if a and a == b]
    print(f"HL7 {release}: same after reading and writing: {' '.join(same)}")
    xml = hl7types.encode_xml(model)
    for number, (name, _, _, value, _) in enumerate(RESULTS):
        observation = model.PATIENT_RESULT[0].ORDER_OBSERVATION[0].OBSERVATION[number].OBX
        was, now = components(sent, number), components(written, number)
        found[release, name] = (observation.obx_5, len(was), now, f"<OBX.5>{value}" in xml.replace("&lt;", "<"), observation.obx_11)
        print(f"  {name:12} sent {was}\n{'':15}model {observation.obx_5}, status {observation.obx_11}; written {now}")

lost = all(found[release, name] == (None, found[release, name][1], [""], False, "F")
           for release in ("2.6", "2.8.2") for name, *_ in RESULTS)
number_kept = found["2.5.1", "a number"] == (["172"], 1, ["172"], True, "F")
flat = all(found["2.5.1", name][1] > 1 and len(found["2.5.1", name][2]) == 1 and found["2.5.1", name][2] != [""]
           for name, *_ in RESULTS[1:])
if lost and number_kept and flat:
    print("finding holds: hl7types 0.9.5 loses every OBX-5 from HL7 2.6 on, and flattens coded ones before")
else:
    raise SystemExit("finding gone: OBX-5 is read by the type in OBX-2, or refused")
PY
venv/bin/python results.py
