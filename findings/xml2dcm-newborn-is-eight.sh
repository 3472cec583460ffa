#!/usr/bin/env bash
# The ECG of a newborn of 8 days, exported by GE MUSE, is that of a child of 8 years in DICOM by XML2DCM-ECG.
#
# Expected: MUSE gives the age with its unit (AgeUnits: YEARS, MONTHS, DAYS), DICOM as 008D, 008M or 008Y (PS3.5, VR AS).
#   MUSE's POnset ... TOffset are sample numbers in the median beat: at 500 Hz one is 2 ms, as PRInterval = 2 * (QOnset -
#   POnset) in the same file shows. Its HighPassFilter is in hundredths of a hertz. DICOM's Filter Low Frequency is the
#   "nominal 3dB point of lower frequency of pass band; in Hz" (PS3.3, table C.10-9).
# What happens: the unit isn't read, each age is in years; the sample numbers are written as milliseconds, half of what
#   they are; a filter of 0.5 to 150 Hz is stored as one of 150 to 50; and a patient of unknown sex becomes a woman.
#   Adults' ages, the waveform, the rate, PR, QRS and QT are right; nothing is warned of.
# Why it matters: limits of rate, axis and QT are taken by age: 160 a minute is normal at 8 days and an alarm at 8 years.
#   A reader that filters by the stored band, or draws the T wave's end at its time, works on wrong numbers.
# Instead: ecg2dcm reads all four rightly from MUSE files; or set PatientAge from the XML after converting and drop the time points.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-compile --no-deps xml2dcm-ecg==1.1.10 ecg2dcm==1.3.1 \
  pydicom==2.4.4 numpy==2.4.6 tqdm==4.70.1

cat >muse.py <<'PY'
import base64, os, struct
def leads(samples):
    data = base64.b64encode(struct.pack(f"<{samples}h", *(i % 50 for i in range(samples)))).decode()
    return "".join(f"""<LeadData><LeadByteCountTotal>{2 * samples}</LeadByteCountTotal><LeadTimeOffset>0</LeadTimeOffset>
<LeadSampleCountTotal>{samples}</LeadSampleCountTotal><LeadAmplitudeUnitsPerBit>4.88</LeadAmplitudeUnitsPerBit>
<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{lead}</LeadID><LeadOffsetFirstSample>0</LeadOffsetFirstSample>
<LeadSampleSize>2</LeadSampleSize><WaveFormData>{data}</WaveFormData></LeadData>""" for lead in "I II V1 V2 V3 V4 V5 V6".split())
def waveform(kind, samples):
    return f"""<Waveform><WaveformType>{kind}</WaveformType><NumberofLeads>8</NumberofLeads><SampleType>CONTINUOUS_SAMPLES</SampleType>
<SampleBase>500</SampleBase><SampleExponent>0</SampleExponent><HighPassFilter>50</HighPassFilter><LowPassFilter>150</LowPassFilter>
<ACFilter>50</ACFilter>{leads(samples)}</Waveform>"""
os.mkdir("in")
for number, (age, unit, sex) in enumerate(((8, "YEARS", "MALE"), (8, "DAYS", "MALE"), (8, "MONTHS", "UNKNOWN")), 1):
    open(f"in/MUSE_20261130_081500_0000{number}.xml", "w").write(f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<RestingECG><PatientDemographics><PatientID>{number}</PatientID><PatientAge>{age}</PatientAge><AgeUnits>{unit}</AgeUnits>
<Gender>{sex}</Gender></PatientDemographics><TestDemographics><DataType>RESTING</DataType><AcquisitionTime>08:15:00</AcquisitionTime>
<AcquisitionDate>11-30-2026</AcquisitionDate></TestDemographics><RestingECGMeasurements><VentricularRate>160</VentricularRate>
<AtrialRate>160</AtrialRate><PRInterval>100</PRInterval><QRSDuration>60</QRSDuration><QTInterval>260</QTInterval><QTCorrected>400</QTCorrected>
<PAxis>50</PAxis><RAxis>120</RAxis><TAxis>40</TAxis><POnset>200</POnset><POffset>220</POffset><QOnset>250</QOnset><QOffset>280</QOffset>
<TOffset>380</TOffset><ECGSampleBase>500</ECGSampleBase><ECGSampleExponent>0</ECGSampleExponent></RestingECGMeasurements>
{waveform("Median", 600)}{waveform("Rhythm", 5000)}</RestingECG>""")
PY
cat >read.py <<'PY'
import glob, sys, warnings
warnings.filterwarnings("ignore")
import pydicom
for file in sorted(glob.glob(sys.argv[1] + "/*.dcm")):
    d = pydicom.dcmread(file)
    c = d.WaveformSequence[0].ChannelDefinitionSequence[0]
    notes = {a.ConceptNameCodeSequence[0].CodeMeaning: a for a in d.get("WaveformAnnotationSequence", []) if "ConceptNameCodeSequence" in a}
    number = {k.split(" interval")[0].split(" duration")[0]: f"{v.NumericValue:g}" for k, v in notes.items() if "NumericValue" in v}
    wave = next((a.ReferencedSamplePositions for k, a in notes.items() if k == "P wave"), None)
    point = f"P wave samples {list(wave)}" if wave else f"P onset {number['P wave onset']} ms, T offset {number['T wave offset']} ms"
    print(f"{sys.argv[1]:8} age {d.PatientAge} sex {d.PatientSex or '-'} PR {number['PR']} ms, {point}, band {c.FilterLowFrequency:g} to {c.FilterHighFrequency:g} Hz")
PY
venv/bin/python muse.py
venv/bin/xml2dcm-ecg --project_root . --data_root . --ecg_xml_dir in --output_dir xml2dcm \
  --filename_pattern 'MUSE_(?P<examination_date>\d{8})_(\d{6})_(\d{5})' --out_filename_pattern 'ECG_{examination_date}_{seq}' >log 2>&1
venv/bin/ecg2dcm-convert -o ecg2dcm in >>log 2>&1
echo "XML2DCM-ECG 1.1.10, beside it ecg2dcm 1.3.1"
echo "source   8 YEARS MALE, 8 DAYS MALE, 8 MONTHS UNKNOWN; PR 100 ms, POnset 200, QOnset 250, TOffset 380 samples at 500 Hz; filter 0.5 to 150 Hz"
seen=$(venv/bin/python read.py xml2dcm; venv/bin/python read.py ecg2dcm)
echo "$seen"

if [[ $(grep -c "^xml2dcm  age 008Y sex [MF] PR 100 ms, P onset 200 ms, T offset 380 ms, band 150 to 50 Hz" <<<"$seen") == 3 &&
  $seen == *"ecg2dcm  age 008Y sex M"*"ecg2dcm  age 008D sex M PR 100 ms, P wave samples [201, 221], band 0.5 to 150 Hz"*"ecg2dcm  age 008M sex -"* ]]; then
  echo "finding holds: XML2DCM-ECG 1.1.10 writes 8 days and 8 months as 8 years, and samples of 2 ms as milliseconds"
else
  tail -5 log
  echo "finding gone: age and time points keep their units, or fail otherwise than before"
  exit 1
fi
