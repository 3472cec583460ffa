#!/usr/bin/env bash
# Two UCUM libraries convert units that only an assay defines into each other: 20 GPL units of IgG are 20 MPL of IgM.
#
# Expected: UCUM's arbitrary units ([iU], [GPL'U], [CFU], [anti'Xa'U] ...) mean what a procedure says, no more. Section
#   3.2 (paragraphs 24 and 25): they are commensurable with no other unit, any term with one in it is arbitrary too, and
#   since version 1.7 none can be converted to or compared with another. ucum-lhc refuses each such conversion.
# What happens: npm @atomic-ehr/ucum and PyPI ucumvert treat each of them as the number 1: any two convert at par, and
#   into a plain count or per cent as well. @atomic-ehr/ucum says isArbitraryUnit = true of one at the same time, and
#   its add() refuses a bare pair, yet adds the same kind of pair when both are per millilitre.
# Why it matters: "IgM above 40 MPL/mL" is compared with a value of IgG, a colony count with a dose; "are the units
#   convertible" is the very check a store or an alarm rule relies on to keep such values apart.
# Instead: let an arbitrary unit through only where both codes are the same text, before the library is asked.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
npm install --silent --no-audit --no-fund @atomic-ehr/ucum@0.2.5 @lhncbc/ucum-lhc@7.1.10 >/dev/null
python3 -m venv venv
venv/bin/pip -q install --disable-pip-version-check --no-compile ucumvert==0.3.2 pint==0.25.3 lark==1.3.1

cat >pairs.json <<'JSON'
[[1000, "mg/L", "g/L"], [20, "[GPL'U]/mL", "[MPL'U]/mL"], [1000, "[CFU]/mL", "[iU]/mL"], [1, "[iU]/mL", "[anti'Xa'U]/mL"],
 [5, "[iU]", "%"], [3, "[iU]/L", "/L"], [5, "[iU]", "mol"]]
JSON
cat >npm.mjs <<'JS'
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { ucum } from "@atomic-ehr/ucum";
const lhc = createRequire(import.meta.url)("@lhncbc/ucum-lhc").UcumLhcUtils.getInstance();
for (const [value, from, to] of JSON.parse(readFileSync("pairs.json"))) {
  const valid = [from, to].every((u) => ucum.validate(u).valid && lhc.validateUnitString(u).status === "valid");
  let atomic;
  try { atomic = ucum.convert(value, from, to); } catch { atomic = "refused"; }
  const answer = lhc.convertUnitTo(from, value, to);
  console.log([value, from, to, valid ? "valid" : "invalid", atomic, answer.status === "succeeded" ? answer.toVal : "refused"].join("\t"));
}
const add = (a, b) => { try { return ucum.add(ucum.quantity(5, a), ucum.quantity(7, b)).value; } catch { return "refused"; } };
console.error("@atomic-ehr/ucum: isArbitraryUnit([iU]):", ucum.isArbitraryUnit("[iU]"), " 5 [iU] + 7 [arb'U]:", add("[iU]", "[arb'U]"),
  " 5 [GPL'U]/mL + 7 [MPL'U]/mL:", add("[GPL'U]/mL", "[MPL'U]/mL"));
JS
cat >pypi.py <<'PY'
import json, warnings
warnings.filterwarnings("ignore")
from ucumvert import PintUcumRegistry
ureg = PintUcumRegistry()
for value, source, target in json.load(open("pairs.json")):
    try:
        print(f"{(value * ureg.from_ucum(source)).to(ureg.from_ucum(target)).magnitude:g}")
    except Exception:
        print("refused")
PY
echo "@atomic-ehr/ucum 0.2.5, ucumvert 0.3.2 (pint 0.25.3), beside them @lhncbc/ucum-lhc 7.1.10"
printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' value from to "both codes" atomic-ehr ucum-lhc ucumvert >table
paste <(node npm.mjs 2>add) <(venv/bin/python pypi.py) >>table
expand -t 8,20,37,49,73,83 table
cat add
echo "UCUM 3.2: arbitrary units are not commensurable with any other unit; no conversion or comparison between them."

flat=$(tr -s ' \t' ' ' <table)
if [[ $flat == *"1000 mg/L g/L valid 1 1 1"* && $flat == *"20 [GPL'U]/mL [MPL'U]/mL valid 20 refused 20"* &&
  $flat == *"1000 [CFU]/mL [iU]/mL valid 1000 refused 1000"* && $flat == *"5 [iU] % valid 500 refused 500"* &&
  $(<add) == *"isArbitraryUnit([iU]): true"*": refused"*": 12" ]]; then
  echo "finding holds: @atomic-ehr/ucum 0.2.5 and ucumvert 0.3.2 convert 20 [GPL'U]/mL to 20 [MPL'U]/mL, which UCUM rules out"
else
  echo "finding gone: one of the two refuses arbitrary units now, or fails otherwise than before"
  exit 1
fi
