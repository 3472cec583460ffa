#!/usr/bin/env bash
# An ECG in HL7 aECG whose scale is given in mV, or per lead, gets wrong amplitudes in DICOM by ecg2dcm.
#
# Expected: in an annotated ECG each lead carries its own origin and scale, quantities with a unit of their own
#   (HL7 v3 data type SLIST_PQ: value = origin + digit * scale). 0.005 mV and 5 uV are the same scale, and limb
#   leads at 2.5 uV may stand beside chest leads at 5 uV.
# What happens: ecg2dcm takes the number and not its unit, so that a scale in mV makes each lead 1000 times too small:
#   a QRS of 1 mV is stored as 1 uV, "microvolt" written beside it. Of leads with different scales the last one's is
#   used for all of them. The origin is left out. Nothing is raised or logged; a file in uV throughout is right.
# Why it matters: the archive holds a flat line, or limb leads of twice their height, and the source may be gone.
# Instead: bring all leads to one scale in uV before converting, and compare the peaks of the file with the source.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-compile --no-deps ecg2dcm==1.3.1 numpy==2.4.6 pydicom==2.4.4

cat >amplitudes.py <<'PY'
import logging
import warnings

import numpy
from ecg2dcm.adapters.dispatch import parse
from ecg2dcm.writer import build
warnings.filterwarnings("error", category=UserWarning)
logging.basicConfig(level=logging.INFO)                      # a word of warning would be seen

HEAD = """<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/><code code="93000" codeSystem="2.16.840.1.113883.6.12"/>
<effectiveTime><low value="20261130081500"/><high value="20261130081510"/></effectiveTime>
<component><series><id root="99d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>
<effectiveTime><low value="20261130081500"/><high value="20261130081510"/></effectiveTime>
<component><sequenceSet><component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>
<value xsi:type="GLIST_TS"><head value="20261130081500.000"/><increment value="0.002" unit="s"/></value></sequence></component>"""
LEAD = """<component><sequence><code code="MDC_ECG_LEAD_{lead}" codeSystem="2.16.840.1.113883.6.24"/>
<value xsi:type="SLIST_PQ"><origin value="{origin}" unit="{unit}"/><scale value="{scale}" unit="{unit}"/>
<digits>{digits}</digits></value></sequence></component>"""
TAIL = "</sequenceSet></component></series></component></AnnotatedECG>"
PEAKS = {"I": 500, "II": 1000, "V1": 1000, "V5": 2000}       # microvolts; the derived leads are left to the writer

def recording(file, scales):
    text = HEAD
    for lead, (scale, unit, origin) in scales.items():
        microvolts = scale * (1000 if unit == "mV" else 1)
        digits = " ".join(str(round((v - origin) / microvolts)) for v in (0, 0, PEAKS[lead], 0, 0))
        text += LEAD.format(lead=lead, scale=scale, unit=unit, origin=origin, digits=digits)
    open(file, "w").write(text + TAIL)

cases = {
    "5 uV": {lead: (5, "uV", 0) for lead in PEAKS},
    "0.005 mV": {lead: (0.005, "mV", 0) for lead in PEAKS},
    "limb 2.5, chest 5 uV": {lead: (2.5 if lead in ("I", "II") else 5, "uV", 0) for lead in PEAKS},
    "5 uV, origin 100 uV": {lead: (5, "uV", 100) for lead in PEAKS},
}
print(f"{'':<24}{'lead I':>12}{'II':>12}{'V1':>12}{'V5':>12}   peaks read back from the DICOM object")
print(f"{'by origin + digit*scale':<24}" + "".join(f"{v:>9} uV" for v in PEAKS.values()))
for name, scales in cases.items():
    recording("ecg.xml", scales)
    group = build(parse("ecg.xml")).WaveformSequence[0]
    channels = group.ChannelDefinitionSequence
    raw = numpy.frombuffer(group.WaveformData, "<i2").reshape(-1, len(channels)).max(axis=0)
    line = f"{name:<24}"
    for channel, peak in zip(channels, raw):
        if (lead := channel.ChannelSourceSequence[0].CodeMeaning.split()[-1]) in PEAKS:
            value = float(peak) * float(channel.ChannelSensitivity) * float(channel.ChannelSensitivityCorrectionFactor)
            value += float(channel.ChannelBaseline)
            line += f"{value:>9g} {channel.ChannelSensitivityUnitsSequence[0].CodeValue}"
    print(line)
PY
echo "ecg2dcm 1.3.1, pydicom 2.4.4"
seen=$(venv/bin/python amplitudes.py 2>&1)
echo "$seen"
echo "Peaks are kept when a scale of 5 uV is written as 5 uV, and not when the same scale is written as 0.005 mV."

if [[ $seen == *"
5 uV                          500 uV     1000 uV     1000 uV     2000 uV"* &&
  $seen == *"
0.005 mV                      0.5 uV        1 uV        1 uV        2 uV"* &&
  $seen == *"
limb 2.5, chest 5 uV         1000 uV     2000 uV     1000 uV     2000 uV"* && $seen != *WARN* && $seen != *Traceback* ]]; then
  echo "finding holds: ecg2dcm 1.3.1 stores a QRS of 1 mV as 1 uV when the aECG's scale is in mV, or doubles it by another lead's scale"
else
  echo "finding gone: the leads keep their amplitudes, or fail otherwise than before"
  exit 1
fi
