#!/usr/bin/env bash
# A small measured value written by sdc11073, the Python stack for IEEE 11073 SDC.
#
# Expected: the metric value of BICEPS is an xsd:decimal, which the library holds as a Python
# Decimal. Decimal("0.0000005") is exact, has one digit, and is written "0.0000005".
# Found: Python prints a Decimal below 0.000001 with an exponent; the library sees the "E", goes
# over to a float and rounds it to three places after the point: the metric on the wire is 0.
# 0.000001 is still right, 0.0000009 is 0. The same writer serves limits, ranges and samples.
# Why it matters: quantities held in base units (mol/L, kg/s, m3/s, g/L) live below that limit;
# an infusion rate or concentration is sent as zero, with its quality flagged valid.
# Instead: choose units that keep values above 0.001, and format(value, "f") in own code.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv py
py/bin/pip install --no-compile --quiet --disable-pip-version-check sdc11073==3.0.0

cat >metric.py <<'PY'
from decimal import Decimal
from importlib.metadata import version

from lxml import etree
from sdc11073.mdib.descriptorcontainers import NumericMetricDescriptorContainer
from sdc11073.mdib.statecontainers import NumericMetricStateContainer
from sdc11073.xml_types import pm_types

print("sdc11073", version("sdc11073"))
SCHEMA = etree.XMLSchema(etree.fromstring(
    b'<s:schema xmlns:s="http://www.w3.org/2001/XMLSchema"><s:element name="v" type="s:decimal"/></s:schema>'
))


def is_decimal(text):
    element = etree.Element("v")
    element.text = text
    return SCHEMA.validate(element)


def through_the_library(value):
    """One metric state: the value in, XML out, and the value that a receiver reads from it."""
    descriptor = NumericMetricDescriptorContainer(handle="m", parent_handle="ch")
    state = NumericMetricStateContainer(descriptor)
    state.mk_metric_value()
    state.MetricValue.Value = value
    state.MetricValue.MetricQuality.Validity = pm_types.MeasurementValidity.VALID
    node = state.MetricValue.as_etree_node("MetricValue", {})
    received = pm_types.NumericMetricValue.from_node(node)
    return node.get("Value"), received


print(f"{'in':<16}{'xsd:decimal':<16}{'on the wire':<14}{'received':<12}validity")
result = {}
for text in ("0.0004", "0.000001", "0.0000009", "0.0000005", "0.00000278", "0.0000000278"):
    value = Decimal(text)
    plain = format(value, "f")
    assert is_decimal(plain) and Decimal(plain) == value
    wire, received = through_the_library(value)
    result[text] = value, received.Value
    flag = "" if received.Value == value else "   <- another number"
    print(f"{text:<16}{plain:<16}{wire:<14}{received.Value!s:<12}{received.MetricQuality.Validity}{flag}")

if result["0.000001"][0] != result["0.000001"][1]:
    raise SystemExit("finding gone: the control value is written otherwise now")
if result["0.0000005"][1] == 0 and result["0.0000000278"][1] == 0:
    print("finding holds: sdc11073 sends a metric value below 0.000001 as 0, marked valid")
else:
    raise SystemExit("finding gone: sdc11073 writes small values as they are")
PY
py/bin/python metric.py
