#!/usr/bin/env python3
"""Checks what an operator is given: alert rules, their faults, dashboards, and `/metrics` of a real ward.

    check.py rules                       each rule x its fault on a simulated clock: fired after n seconds; a healthy hour
    check.py ward ACESO-WARD [--faults]  Debian's Prometheus scrapes a ward: nothing fires, every panel has its series;
                                         with --faults an alarm is left unanswered, then a gateway stopped, for real

Needs Debian's `prometheus` (with `promtool`), Python 3.9 and nothing else.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

OPS = Path(__file__).resolve().parent
RULES = OPS / "prometheus" / "aceso.rules.yml"
DASHBOARDS = sorted((OPS / "grafana" / "dashboards").glob("*.json"))
# Between two samples of the simulated clock, seconds: the scrape interval of prometheus.yml.
STEP_S = 15
HOUR_S = 3600
# A fault begins here on the simulated clock.
BEGINS_S = 600
GIB = 2**30
DAY_S = 86400

NODE = 'job="aceso",instance="node"'


def constant(value, steps):
    return f"{value}x{steps}"


def healthy(steps):
    """The series that rules look at, for a ward where nothing is wrong: name -> values in promtool's notation."""
    return {
        f"up{{{NODE}}}": constant(1, steps),
        f'aceso_clock_fault{{{NODE},clock="node"}}': constant(0, steps),
        f'aceso_clock_fault{{{NODE},clock="ledger"}}': constant(0, steps),
        f"aceso_ledger_age_seconds{{{NODE}}}": constant(1, steps),
        f"aceso_disk_free_bytes{{{NODE}}}": constant(60 * GIB, steps),
        f"aceso_disk_size_bytes{{{NODE}}}": constant(100 * GIB, steps),
        f"aceso_record_refused{{{NODE}}}": constant(0, steps),
        f"aceso_beds_unwatched{{{NODE}}}": constant(0, steps),
        **{
            f'aceso_alarm_unanswered_oldest_seconds{{{NODE},priority="{word}"}}': constant(0, steps)
            for word in ("high", "medium", "low", "technical")
        },
        f"aceso_gateways_silent{{{NODE}}}": constant(0, steps),
        f"aceso_admission_waiting_envelopes{{{NODE}}}": constant(3, steps),
        # Fifteen envelopes in each step, all live within a second.
        **{
            f'aceso_seal_to_live_seconds_bucket{{{NODE},le="{le}"}}': f"0+15x{steps}"
            for le in ("1.0", "30.0", "60.0", "+Inf")
        },
        f"aceso_log_size{{{NODE}}}": f"20+15x{steps}",
        f"aceso_log_final{{{NODE}}}": f"10+15x{steps}",
        f"aceso_consent_expiry_timestamp_seconds{{{NODE}}}": constant(30 * DAY_S, steps),
        f"aceso_certificate_expiry_timestamp_seconds{{{NODE}}}": constant(4000 * DAY_S, steps),
        f"aceso_web_certificate_expiry_timestamp_seconds{{{NODE}}}": constant(80 * DAY_S, steps),
        f"aceso_web_certificate_refused{{{NODE}}}": constant(0, steps),
        f"process_resident_memory_bytes{{{NODE}}}": constant(200 * 2**20, steps),
        f"process_start_time_seconds{{{NODE}}}": constant(0, steps),
    }


def until_then(before, values):
    """The healthy value until the fault begins, then these values."""
    return f"{constant(before, BEGINS_S // STEP_S - 1)} {values}"


# (rule, fault, what it does to the series, fires within so many seconds after the fault began)
def cases(steps):
    late = f"{STEP_S}+{STEP_S}x{steps}"
    alarm = "aceso_alarm_unanswered_oldest_seconds{{{},priority=\"{}\"}}".format
    return [
        ("AcesoNodeDown", "the node is stopped", {f"up{{{NODE}}}": until_then(1, constant(0, steps))}, 60),
        ("AcesoClockFault", "the node's clock is an hour ahead",
         {f'aceso_clock_fault{{{NODE},clock="node"}}': until_then(0, constant(1, steps))}, 15),
        ("AcesoClockFault", "the ledger's tip lies in the future",
         {f'aceso_clock_fault{{{NODE},clock="ledger"}}': until_then(0, constant(1, steps))}, 15),
        ("AcesoNoNewBlock", "no quorum: no block any more",
         {f"aceso_ledger_age_seconds{{{NODE}}}": until_then(1, late)}, 105),
        ("AcesoDiskFull", "200 MiB are left of 100 GiB",
         {f"aceso_disk_free_bytes{{{NODE}}}": until_then(60 * GIB, constant(200 * 2**20, steps))}, 15),
        ("AcesoDiskFull", "1 GiB is left of 200 GiB",
         {f"aceso_disk_size_bytes{{{NODE}}}": constant(200 * GIB, steps),
          f"aceso_disk_free_bytes{{{NODE}}}": until_then(60 * GIB, constant(GIB, steps))}, 15),
        ("AcesoRecordRefused", "the disk takes no envelope",
         {f"aceso_record_refused{{{NODE}}}": until_then(0, constant(1, steps))}, 30),
        ("AcesoDiskNearlyFull", "9 GiB are left of 100 GiB",
         {f"aceso_disk_free_bytes{{{NODE}}}": until_then(60 * GIB, constant(9 * GIB, steps))}, 330),
        ("AcesoBedUnwatched", "a consent ended and nobody noticed",
         {f"aceso_beds_unwatched{{{NODE}}}": until_then(0, constant(1, steps))}, 60),
        ("AcesoAlarmUnanswered", "nobody answers an alarm of high priority",
         {alarm(NODE, "high"): until_then(0, late)}, 75),
        ("AcesoAlarmUnanswered", "nobody answers one of medium priority",
         {alarm(NODE, "medium"): until_then(0, late)}, 195),
        ("AcesoAlarmUnanswered", "nobody answers a technical alarm",
         {alarm(NODE, "technical"): until_then(0, late)}, 915),
        ("AcesoGatewaySilent", "a gateway brings nothing",
         # The node calls it silent after a minute.
         {f"aceso_gateways_silent{{{NODE}}}": f"{until_then(0, constant(0, 3))} {constant(1, steps)}"}, 120),
        ("AcesoBacklog", "5,000 envelopes wait in the node's queue",
         {f"aceso_admission_waiting_envelopes{{{NODE}}}": until_then(3, constant(5000, steps))}, 90),
        ("AcesoBacklog", "envelopes are a minute late",
         {f'aceso_seal_to_live_seconds_bucket{{{NODE},le="{le}"}}':
          f"0+15x{BEGINS_S // STEP_S - 1} {constant(15 * BEGINS_S // STEP_S, steps)}" for le in ("1.0", "30.0")}, 360),
        ("AcesoLogNotAnchored", "the ledger takes no anchor",
         {f"aceso_log_final{{{NODE}}}": f"10+15x{BEGINS_S // STEP_S - 1} {constant(600, steps)}"}, 270),
        ("AcesoConsentEnding", "a consent has less than a day left",
         {f"aceso_consent_expiry_timestamp_seconds{{{NODE}}}": until_then(30 * DAY_S, constant(80_000, steps))}, 90),
        ("AcesoCertificateEnding", "the certificate has ten days left",
         {f"aceso_certificate_expiry_timestamp_seconds{{{NODE}}}":
          until_then(4000 * DAY_S, constant(10 * DAY_S, steps))}, 90),
        ("AcesoWebCertificateEnding", "the pages' certificate has ten days left",
         {f"aceso_web_certificate_expiry_timestamp_seconds{{{NODE}}}":
          until_then(80 * DAY_S, constant(10 * DAY_S, steps))}, 90),
        ("AcesoWebCertificateRefused", "a renewed certificate does not match its key",
         {f"aceso_web_certificate_refused{{{NODE}}}": until_then(0, constant(1, steps))}, 330),
        ("AcesoMemoryGrowing", "memory grows by 200 MiB an hour",
         {f"process_resident_memory_bytes{{{NODE}}}":
          until_then(200 * 2**20, f"{200 * 2**20}+{200 * 2**20 // (HOUR_S // STEP_S)}x{steps}")}, 3 * HOUR_S),
    ]  # fmt: skip


def promtool(*arguments, stdin=None):
    return subprocess.run(["promtool", *arguments], input=stdin, capture_output=True, text=True)


def seconds(text):
    """`1h2m15s` as seconds."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def firings(series, rules, last_s):
    """For each rule, the seconds on the simulated clock at which it fires first, or nothing."""
    times = range(0, last_s + 1, STEP_S)
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{STEP_S}s",
        "tests": [{
            "interval": f"{STEP_S}s",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            # promtool says where it found an alert that was not expected.
            "alert_rule_test": [
                {"eval_time": f"{at}s", "alertname": rule, "exp_alerts": []} for rule in rules for at in times
            ],
        }],
    }  # fmt: skip
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        # JSON is YAML.
        json.dump(test, file)
        file.flush()
        said = promtool("test", "rules", file.name)
    text = said.stdout + said.stderr
    if said.returncode and "FAILED" not in text:
        sys.exit(f"promtool: {text}")
    first = {}
    for name, at in re.findall(r"alertname: (\w+), time: (\w+)", text):
        first[name] = min(first.get(name, last_s), seconds(at))
    if said.returncode and not first:
        sys.exit(f"promtool: {text}")
    return first


def rule_names():
    return re.findall(r"^ *- alert: (\w+)$", RULES.read_text(), re.MULTILINE)


def check_rules():
    said = promtool("check", "rules", str(RULES))
    config = promtool("check", "config", str(OPS / "prometheus" / "prometheus.yml"))
    if said.returncode or config.returncode:
        sys.exit(said.stdout + said.stderr + config.stdout + config.stderr)
    names = rule_names()
    page = (OPS.parent / "docs" / "operate.md").read_text()
    wrong = [f"docs/operate.md says nothing of {name}" for name in names if f"### {name}\n" not in page]
    steps = HOUR_S // STEP_S
    quiet = firings(healthy(steps), names, HOUR_S)
    # Series go on until the slowest fault is seen.
    steps = (BEGINS_S + 3 * HOUR_S) // STEP_S + 1
    wrong += [f"{name} fires in a healthy hour, after {at} s" for name, at in quiet.items()]
    print(f"{'rule':<27} {'fault':<52} fired after")
    tried = set()
    for rule, fault, change, within_s in cases(steps):
        tried.add(rule)
        last_s = BEGINS_S + within_s
        series = {**healthy(steps), **change}
        at = firings(series, [rule], last_s).get(rule)
        after = None if at is None else at - BEGINS_S
        print(f"{rule:<27} {fault:<52} {'NOT within ' + str(within_s) if after is None else after} s")
        if after is None or after < 0:
            wrong.append(f"{rule} fires {'not' if after is None else 'before'}: {fault}")
    wrong += [f"{name} has no fault here" for name in names if name not in tried]
    print(f"{len(names)} rules; none fires in a healthy hour" if not quiet else "")
    return wrong


def dashboards_wrong():
    """What cannot be right in a dashboard, whatever shows it."""
    wrong, uids = [], set()
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        if board["uid"] in uids or board["uid"] != file.stem:
            wrong.append(f"{file.name}: uid {board['uid']}")
        uids.add(board["uid"])
        taken = set()
        for panel in board["panels"]:
            where, place = f"{file.name}: {panel['title']}", panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
            if cells & taken or place["x"] + place["w"] > 24:
                wrong.append(f"{where} lies upon another or beyond the edge")
            taken |= cells
            if not panel["description"] or not panel["fieldConfig"]["defaults"]["unit"] or not panel["targets"]:
                wrong.append(f"{where} lacks a description, a unit or a query")
            if panel["datasource"]["uid"] != "aceso-prometheus":
                wrong.append(f"{where} asks another data source than the provisioned one")
    return wrong


def queries():
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{file.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "30s")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Prometheus:
    """Debian's Prometheus, scraping and judging once a second."""

    def __init__(self, folder, node, authority):
        self.url = f"http://127.0.0.1:{free_port()}"
        config = (OPS / "prometheus" / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8080", node).replace("interval: 15s", "interval: 1s")
        over_tls = f"job_name: aceso\n    scheme: https\n    tls_config: {{ca_file: {authority}}}\n"
        config = config.replace("job_name: aceso\n", over_tls)
        (folder / "prometheus.yml").write_text(config)
        (folder / "aceso.rules.yml").write_text(RULES.read_text())
        self.log = (folder / "prometheus.log").open("w")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
             f"--web.listen-address={self.url[7:]}"],
            stdout=self.log, stderr=self.log,
        )  # fmt: skip

    def ask(self, path, **query):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def firing(self):
        return sorted({alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"]
                       if alert["state"] == "firing"})  # fmt: skip

    def wait(self, what, ready, within_s):
        """Seconds until `ready` holds."""
        began = time.monotonic()
        while time.monotonic() - began < within_s:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                if ready():
                    return time.monotonic() - began
            time.sleep(0.5)
        sys.exit(f"never: {what}; firing: {self.firing()}")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


class Ward:
    """A ward in a folder of its own."""

    def __init__(self, program, folder, patients=2):
        self.folder = folder
        self.process = subprocess.Popen(
            [program, "--patients", str(patients), "--data", str(folder / "ward")],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.program, self.web, self.gateway = program, None, None
        # What a browser is told to trust.
        self.authority = folder / "ward" / "https" / "authority.pem"
        # login -> password
        self.passwords = {}
        for line in self.process.stdout:
            if found := re.match(r"Gateway: .*\(process (\d+)\)", line):
                self.gateway = int(found[1])
            if found := re.match(r"Open https://([^/]+)/", line):
                self.web = found[1]
                self.tls = ssl.create_default_context(cafile=self.authority)
            if found := re.search(r" login (\S+) +password (\S+)$", line):
                self.passwords[found[1]] = found[2]
            if line.startswith("Ctrl-C"):
                return
        sys.exit("the ward did not start")

    def node(self):
        """Process of the node, which the ward does not name: the child that runs `aceso node`."""
        for child in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for process in child.read_text().split():
                if b"\0node\0--config\0" in Path(f"/proc/{process}/cmdline").read_bytes():
                    return int(process)
        sys.exit("the ward has no node")

    def metrics(self):
        with self.get("/metrics") as answer:
            return answer.read().decode()

    def get(self, path):
        return urllib.request.urlopen(f"https://{self.web}{path}", timeout=10, context=self.tls)

    def tell(self, order):
        board = str(self.folder / "ward" / "boards" / "control.sock")
        subprocess.run([self.program, "simulate", "--tell", board, order], check=True)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=90)


def check_metrics(text):
    said = promtool("check", "metrics", stdin=text)
    wrong = [f"promtool on /metrics: {line}" for line in (said.stdout + said.stderr).splitlines()]
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    for name, kind in families:
        if re.search(r"_(milliseconds|minutes|hours|percent|kilobytes)$", name):
            wrong.append(f"{name} is not in base units")
    # A label's values are few, and none is an id or a number of a patient.
    values = {}
    for label, value in re.findall(r'[{,](\w+)="([^"]*)"', text):
        values.setdefault(label, set()).add(value)
    for label, found in values.items():
        if len(found) > 64 or any(re.search(r"[0-9a-f]{8}", value) for value in found):
            wrong.append(f"label {label} has {len(found)} values: {sorted(found)[:5]}")
    return wrong


def series_of_rules():
    """Names of the series that rules look at."""
    text = RULES.read_text()
    return sorted(set(re.findall(r"\b((?:aceso|process)_[a-z0-9_]+)\b", text)))


def check_ward(program, faults):
    wrong = dashboards_wrong()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aceso-ops-") as name, contextlib.ExitStack() as stop:
        folder = Path(name)
        ward = Ward(program, folder)
        stop.callback(ward.stop)
        prometheus = Prometheus(folder, ward.web, ward.authority)
        stop.callback(prometheus.stop)

        def samples(name):
            found = prometheus.ask("query", query=f"count_over_time({name}[10m])")["result"]
            return float(found[0]["value"][1]) if found else 0

        prometheus.wait("ten scrapes", lambda: samples("aceso_log_final") >= 10, 60)
        # By now every bed is watched, which a ward that has just begun is not.
        text = ward.metrics()
        wrong += check_metrics(text)
        wrong += [f"a rule looks at {name}, which a ward does not serve" for name in series_of_rules()
                  if not re.search(rf"^{name}[ {{]", text, re.MULTILINE)]  # fmt: skip
        asked = 0
        for panel, query in queries():
            asked += 1
            now = time.time()
            found = prometheus.ask("query_range", query=query, start=now - 10, end=now, step=1)["result"]
            if not any(series["values"] for series in found):
                wrong.append(f"{panel} shows nothing: {query}")
        firing = prometheus.firing()
        wrong += [f"{name} fires on a healthy ward" for name in firing]
        print(f"A healthy ward: {len(rule_names())} rules, {len(firing)} fire; {asked} queries of "
              f"{len(DASHBOARDS)} dashboards asked; {len(text.splitlines())} lines of metrics")  # fmt: skip
        if faults:
            ward.tell("1 tachycardia 10m")
            after = prometheus.wait("the alarm", lambda: "AcesoAlarmUnanswered" in prometheus.firing(), 150)
            print(f"AcesoAlarmUnanswered  a heart races and nobody answers: fired after {after:.0f} s")
            os.kill(ward.gateway, signal.SIGSTOP)
            stop.callback(os.kill, ward.gateway, signal.SIGCONT)
            after = prometheus.wait("the gateway", lambda: "AcesoGatewaySilent" in prometheus.firing(), 180)
            print(f"AcesoGatewaySilent    the gateway is stopped: fired after {after:.0f} s")
    print(f"{time.monotonic() - began:.0f} s")
    return wrong


def main():
    parser = argparse.ArgumentParser(description="Check alert rules, dashboards and metrics.")
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("rules", help="each rule and its fault on a simulated clock")
    ward = steps.add_parser("ward", help="a real ward, scraped by Debian's Prometheus")
    ward.add_argument("program", help="the program aceso-ward")
    ward.add_argument("--faults", action="store_true", help="with real faults; takes some minutes")
    arguments = parser.parse_args()
    wrong = check_rules() if arguments.step == "rules" else check_ward(arguments.program, arguments.faults)
    for line in wrong:
        print(f"not ok: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
