#!/usr/bin/env bash
# The beats of a GE MUSE ECG, written as WFDB annotations by muse2wfdb, lie at twice their time.
#
# Expected: in a MUSE export each QRS has a Time in milliseconds, as GlobalRR beside it; the package's own comment says
#   "Convert <Time> (ms) to sample index". A WFDB annotation counts samples: at 500 Hz a beat at 400 ms is sample 200.
# What happens: the milliseconds are written as they are. At the usual 500 Hz each beat lies at twice its time, at 250 Hz at
#   four times; only at 1000 Hz it is right. In ten seconds at 75 a minute the second half of the beats lies beyond the
#   record's end. The signal itself is right; nothing is raised or logged, and wfdb reads the file gladly.
# Why it matters: the annotations say 37.5 beats a minute: a normal heart has a bradycardia, a fast one a normal rate, and
#   beats cut out around them to train or check a detector show the resting line.
# Instead: multiply the annotations by the record's rate and divide by 1000, and look at one record with its marks first.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-compile muse2wfdb==1.5.0 wfdb==4.3.1

cat >beats.py <<'PY'
import base64
import logging
import math
import struct
import warnings
from importlib.metadata import version

import numpy
import wfdb
from muse2wfdb.converter import muse_to_wfdb
logging.basicConfig(level=logging.WARNING)                     # a word of warning would be seen
warnings.filterwarnings("error", category=UserWarning)

def export(rate, interval):
    """A MUSE file of ten seconds with a beat of 1 mV every `interval` ms, and the beats' times."""
    times = list(range(400, 9800, interval))
    signal = [0] * (10 * rate)
    for time in times:
        for offset in range(-rate // 25, rate // 25 + 1):
            signal[time * rate // 1000 + offset] = round(205 * math.exp(-((offset * 100 / rate) ** 2)))
    data = base64.b64encode(struct.pack(f"<{len(signal)}h", *signal)).decode()
    leads = "".join(f"""<LeadData><LeadSampleCountTotal>{len(signal)}</LeadSampleCountTotal>
<LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits>
<LeadID>{lead}</LeadID><WaveFormData>{data}</WaveFormData></LeadData>""" for lead in "I II V1 V2 V3 V4 V5 V6".split())
    waves = "".join(f"""<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>8</NumberofLeads>
<SampleBase>{rate}</SampleBase><SampleExponent>0</SampleExponent>{leads}</Waveform>""" for kind in ("Median", "Rhythm"))
    beats = "".join(f"<QRS><Number>{n}</Number><Type>0</Type><Time>{t}</Time></QRS>" for n, t in enumerate(times, 1))
    return f"<RestingECG><QRSTimesTypes>{beats}<GlobalRR>{interval}</GlobalRR></QRSTimesTypes>{waves}</RestingECG>", times

print("muse2wfdb", version("muse2wfdb"), "  read by wfdb", version("wfdb"))
found = {}
for rate, interval in ((500, 800), (250, 800), (500, 400), (1000, 800)):
    name = f"at{rate}every{interval}"
    text, times = export(rate, interval)
    with open(name + ".xml", "w") as file:
        file.write(text)
    assert muse_to_wfdb(name + ".xml", name)                   # says that it saved annotations
    record, marks = wfdb.rdrecord(name), wfdb.rdann(name, "atr")
    lead = record.p_signal[:, 1]
    peaks = [i for i in range(1, len(lead) - 1) if lead[i] > 0.9 and lead[i - 1] < lead[i] > lead[i + 1]]
    beyond = int((marks.sample >= record.sig_len).sum())
    pulse = 60 / numpy.diff(marks.sample / record.fs).mean()
    found[rate, interval] = (list(marks.sample) == times, [p * 1000 // rate for p in peaks] == times, round(pulse, 1), beyond)
    print(f"{rate} Hz, a beat every {interval} ms ({60000 / interval:g}/min): first marks {[int(s) for s in marks.sample[:3]]},",
          f"first peaks in the signal {peaks[:3]}; by the marks {pulse:g}/min, {beyond} of {len(times)} beyond sample {record.sig_len}")

if found == {(500, 800): (True, True, 37.5, 6), (250, 800): (True, True, 18.8, 9), (500, 400): (True, True, 75.0, 12),
             (1000, 800): (True, True, 75.0, 0)}:
    print("finding holds: muse2wfdb 1.5.0 writes milliseconds as sample numbers: 75 beats a minute become 37.5")
else:
    raise SystemExit("finding gone: the marks lie on the beats, or fail otherwise than before")
PY
venv/bin/python beats.py
