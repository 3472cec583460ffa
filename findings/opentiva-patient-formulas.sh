#!/usr/bin/env bash
# Four formulas of the patient in opentiva, a simulator of anaesthesia pumps: sex, age, height and build go wrong.
#
# Expected: remifentanil by Eleveld (2017) raises the clearance of WOMEN of child-bearing age; propofol by Paedfusor (Br
#   J Anaesth 2005; 95: 110) has rows of its own for 13, 14, 15 and 16 years; ideal weight (Devine) grows by 2.3 kg for
#   each INCH above 60; fat-free mass (Al-Sallami 2015) is 0.88 + 0.12 times Janmahasatian's in a grown man.
# What happens: the factor goes to men; the rows of 14 to 16 years stand in the package but are never reached, since
#   "from 13 on" is asked first; the 2.3 kg are counted for each centimetre, so that a man of 180 cm ideally weighs 113
#   kg; and 0.12 is 0.20. Nothing is raised or warned of. Marsh's and Minto's volumes are those of the independent PyTCI.
# Why it matters: these are doses. The first bolus at 15 years is 41 % too large, clearances are off by 30 to 50 %, and
#   only for some patients: a test with a child of 6, a woman of 152 cm or another drug passes.
# Instead: hold a model against a second implementation over both sexes, all ages and heights, before a dose hangs on it.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip -q download --disable-pip-version-check --no-deps --no-binary :all: opentiva==1.1.2 2>&1 | grep -v -i warning || true
tar xzf opentiva-1.1.2.tar.gz
venv/bin/pip -q install --disable-pip-version-check --no-compile --no-deps pytci==1.2.0 numpy==2.4.6

cat >compare.py <<'PY'
import sys, types, warnings
warnings.simplefilter("error")                       # a warning about the patient would stop the script
sys.path.insert(0, "opentiva-1.1.2")
package = types.ModuleType("opentiva")               # the models are plain Python; the pump's compiled solver isn't needed
package.__path__ = ["opentiva-1.1.2/opentiva"]
sys.modules["opentiva"] = package
for name in ("scipy", "scipy.linalg", "scipy.optimize"):     # nor PyTCI's
    sys.modules[name] = types.SimpleNamespace(expm=None, brentq=None, minimize_scalar=None)
from opentiva import biometrics, propofol, remifentanil
from PyTCI.models import propofol as propofol2, remifentanil as remifentanil2
from PyTCI.weights import leanbodymass

def line(what, got, want):
    print(f"{what:<58}{got:>10.3f}{want:>10.3f}{100 * (got / want - 1):>+8.0f} %")

print(f"{'':<58}{'opentiva':>10}{'expected':>10}")
MAN, WOMAN = (0, "m"), (1, "f")
line("propofol, Marsh, 70 kg: volume", propofol.MarshDiprifusor(0, 40, 70, 170).v1, propofol2.Marsh(70).v1)
for sex, letter in (MAN, WOMAN):
    line(f"remifentanil, Minto, {letter}, 40 y: volume", remifentanil.Minto(sex, 40, 70, 170).v1, remifentanil2.Minto(40, 70, 170, letter).v1)
for sex, letter in (MAN, WOMAN):
    size = (biometrics.ffm_alsallami(sex, 30, 70, 170) / biometrics.ffm_alsallami(0, 35, 70, 170)) ** 0.75
    size2 = (leanbodymass.alsallami(30, 170, 70, letter) / leanbodymass.alsallami(35, 170, 70, "m")) ** 0.75
    line(f"remifentanil, Eleveld, {letter}, 30 y: clearance for the size",
         remifentanil.Eleveld(sex, 30, 70, 170).cl1 / size, remifentanil2.Eleveld(30, 70, 170, letter).Q1 / size2)
for age, volume in ((13, 400), (14, 342), (15, 284), (16, 228.57)):
    line(f"propofol, Paedfusor, {age} y, 50 kg: volume", propofol.Paedfusor(0, age, 50, 165).v1, volume * 50 / 1000)
for sex, letter in (MAN, WOMAN):
    line(f"fat-free mass, {letter}, 40 y, 80 kg, 180 cm",
         biometrics.ffm_alsallami(sex, 40, 80, 180), leanbodymass.alsallami(40, 180, 80, letter))
for height in (152.4, 165, 180):
    weight = 22 * (height / 100) ** 2                # a body mass index of 22: ideal weight is taken for it
    ideal = leanbodymass.idealbodyweight(height, "m")
    line(f"creatinine clearance, m, 40 y, {height} cm, 80 umol/L", biometrics.crcl_cockcroft_gault(0, 40, weight, height, 80),
         (140 - 40) * ideal / (72 * 80 / 88.42))
PY
echo "opentiva 1.1.2, beside it PyTCI 1.2.0"
seen=$(venv/bin/python compare.py)
echo "$seen"

if [[ $seen == *"Marsh, 70 kg: volume "*" +0 %"*"Minto, m, "*" +0 %"*"Minto, f, "*" +0 %"* &&
  $seen == *"Eleveld, m, 30 y: clearance for the size "*" +43 %"*"Eleveld, f, 30 y: clearance for the size "*" -30 %"* &&
  $seen == *"Paedfusor, 13 y, "*" +0 %"*"Paedfusor, 15 y, "*" +41 %"*"fat-free mass, m, "*" +8 %"* && $seen == *"180 cm, 80 umol/L "*" +51 %"* ]]; then
  echo "finding holds: opentiva 1.1.2 gives women's remifentanil clearance to men, 13-year-olds' volume to 16-year-olds, and centimetres for inches"
else
  echo "finding gone: the four formulas are as published, or fail otherwise than before"
  exit 1
fi
