#!/usr/bin/env python3
"""Memory of a node and of a gateway, as the hours go by: a real ward that people sign in to and look at.

    memory.py ACESO-WARD [--minutes 120]

Each half of the run has the same: 20 beds that send, 20 live pages (walls, records, patients' own pages) that are held
open and read, 50 sign-ins spread evenly. A line a minute; at the end the median of each half's last five minutes.
Exit status 1 if the second half's differs by more than 5 %, or if the run was not as said. Needs Python 3.9 alone.
"""

import argparse
import contextlib
import html
import http.client
import re
import signal
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
from pathlib import Path

from check import Ward

WITHIN = 0.05
SAMPLE_S = 60
# Samples of a half that its figure is the median of.
LAST = 5
# How often somebody touches an open page; after 15 minutes without, the node closes it.
TOUCH_S = 300
# A live page that gets nothing for this long is opened again.
QUIET_S = 10
KINDS = ("Rss", "Pss", "Pss_Anon")


class Browser:
    """One person's browser: a session's cookie, and the pages' own forms."""

    def __init__(self, ward, login):
        self.ward, self.login, self.cookie, self.csrf = ward, login, None, None

    def ask(self, method, path, form=None):
        """An answer, whose connection is its caller's to close."""
        line = http.client.HTTPSConnection(self.ward.web, timeout=QUIET_S, context=self.ward.tls)
        headers = {"Origin": f"https://{self.ward.web}"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        line.request(method, path, body, headers)
        answer = line.getresponse()
        if answer.status not in (200, 303):
            line.close()
            raise OSError(f"{method} {path.split('?')[0]} as {self.login}: {answer.status}")
        return line, answer

    def post(self, path, **form):
        line, answer = self.ask("POST", path, form)
        with contextlib.closing(line):
            answer.read()
            return answer

    def page(self, path):
        line, answer = self.ask("GET", path)
        with contextlib.closing(line):
            text = answer.read().decode()
        if found := re.search(r'data-csrf="(\w+)"', text):
            self.csrf = found[1]
        return text

    def sign_in(self):
        self.cookie = None
        answer = self.post("/sign-in", login=self.login, password=self.ward.passwords[self.login])
        self.cookie = answer.getheader("Set-Cookie").split(";")[0]
        return answer.getheader("Location")

    def sign_out(self):
        self.post("/sign-out", csrf=self.csrf)


class Run:
    """What is under way, and what went wrong."""

    def __init__(self, ward):
        self.ward, self.over = ward, threading.Event()
        self.signed_in, self.events, self.reopened, self.wrong = 0, 0, 0, []
        self.lock = threading.Lock()

    def count(self, **by):
        with self.lock:
            for name, number in by.items():
                setattr(self, name, getattr(self, name) + number)

    def fault(self, text):
        with self.lock:
            self.wrong.append(text)

    def live_page(self, login, path):
        """A page somebody has open for the whole run, and touches every five minutes."""
        browser = Browser(self.ward, login)
        opened = False
        while not self.over.is_set():
            try:
                if opened:
                    self.count(reopened=1)
                browser.sign_in()
                opened = True
                topic = re.search(r'data-topic="([^"]*)"', browser.page(path))[1]
                self.follow(browser, path, html.unescape(topic))
            except (OSError, http.client.HTTPException) as why:
                self.fault(f"a live page of {path}: {why!r}")
                self.over.wait(1)

    def follow(self, browser, path, topic):
        line, stream = browser.ask("GET", f"/live?with={topic}")
        touched = time.monotonic()
        with contextlib.closing(line):
            while (event := stream.readline()) and not self.over.is_set():
                if event.startswith(b"event: "):
                    self.count(events=1)
                if event.startswith((b"event: closed", b"event: ended")):
                    self.fault(f"the node closed a live page of {path}: {stream.readline().decode().strip()}")
                    return
                if time.monotonic() - touched > TOUCH_S:
                    touched = time.monotonic()
                    if path.startswith("/patients/"):
                        browser.post(f"{path}/stay", csrf=browser.csrf)
                    else:
                        browser.page(path)

    def visit(self, number, patients):
        """Somebody signs in, looks at some pages, and leaves: every other one without signing out."""
        login = "doctor" if number % 2 else f"patient-{number // 2 % len(patients) + 1}"
        browser = Browser(self.ward, login)
        try:
            browser.page(browser.sign_in())
            self.count(signed_in=1)
            browser.page(f"/patients/{patients[number % len(patients)]}" if login == "doctor" else "/me")
            browser.page("/help")
            if number % 4 < 2:
                browser.sign_out()
        except (OSError, http.client.HTTPException) as why:
            self.fault(f"a visit of {login}: {why!r}")

    def visits(self, count, all_s, patients):
        began = time.monotonic()
        for number in range(count):
            # In the middle of its share of the time.
            if self.over.wait(max(0, began + (number + 0.5) * all_s / count - time.monotonic())):
                return
            self.visit(number, patients)


def memory(process):
    """MiB by kind, from the kernel's account of a process."""
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    return {kind: int(re.search(rf"^{kind}: +(\d+) kB$", text, re.MULTILINE)[1]) / 1024 for kind in KINDS}


def metric(text, name):
    return float(re.search(rf"^{name} (\S+)$", text, re.MULTILINE)[1])


def say(text):
    print(text, flush=True)


def sample(run, processes, began):
    """One line of the table; memory of each process."""
    if run.ward.node() != processes["node"]:
        sys.exit("the node was started again: its memory is another process's")
    found = {name: memory(process) for name, process in processes.items()}
    text = run.ward.metrics()
    try:
        with run.ward.get("/healthz"):
            health = 200
    except urllib.error.HTTPError as refused:
        health = refused.code
    live = metric(text, "aceso_live_streams")
    figures = " ".join(f"{found[name][kind]:9.1f}" for name in processes for kind in KINDS)
    say(f"{(time.monotonic() - began) / 60:7.1f} {figures} {live:6.0f} {run.signed_in:8} {health:7} "
        f"{metric(text, 'aceso_log_size'):9.0f} {metric(text, 'aceso_ledger_height'):8.0f} {run.events:9}")
    return found, live, health


def verdict(samples, half, processes):
    """The table of both halves; names of those that differ by too much."""
    ends = [[found for found, _, _ in samples[end - min(LAST, half):end]] for end in (half, 2 * half)]
    say(f"\n{'MiB, median of the last':<24} {'first half':>11} {'second half':>12} {'ratio':>7}")
    apart = []
    for name in processes:
        for kind in KINDS:
            first, second = (statistics.median(found[name][kind] for found in end) for end in ends)
            say(f"{name + ' ' + kind:<24} {first:11.1f} {second:12.1f} {second / first:7.3f}")
            if kind != "Pss_Anon" and abs(second / first - 1) > WITHIN:
                apart.append(f"{kind} of the {name}: {second / first:.3f} of the first half's")
    return apart


def measure(run, processes, half, pages):
    say("Memory in MiB: resident, this process's share of it, and of that what no file holds.")
    say(f"{'minute':>7} " + " ".join(f"{name[:4] + ' ' + kind.removeprefix('Pss_'):>9}"
                                     for name in processes for kind in KINDS)
        + f" {'pages':>6} {'sign-ins':>8} {'healthz':>7} {'envelopes':>9} {'height':>8} {'events':>9}")  # fmt: skip
    began, samples = time.monotonic(), []
    for minute in range(1, 2 * half + 1):
        time.sleep(max(0, began + minute * SAMPLE_S - time.monotonic()))
        samples.append(sample(run, processes, began))
    apart = verdict(samples, half, processes)
    fewest = min(live for _, live, _ in samples)
    unwell = sum(health != 200 for _, _, health in samples)
    say(f"\nLive pages open: {fewest:.0f} at the fewest of {pages}, opened again {run.reopened} times; "
        f"sign-ins: {run.signed_in}; events read: {run.events}; samples in which the node was not well: {unwell}")
    if fewest < pages:
        run.fault(f"only {fewest:.0f} of {pages} live pages were open")
    if unwell:
        run.fault(f"the node was not well in {unwell} samples")
    return apart


def main():
    parser = argparse.ArgumentParser(description="Memory of node and gateway over two equal halves of a run.")
    parser.add_argument("program", help="the program aceso-ward")
    parser.add_argument("--minutes", type=int, default=120, help="of both halves together (default: 120)")
    parser.add_argument("--beds", type=int, default=20)
    parser.add_argument("--pages", type=int, default=20, help="live pages held open (default: 20)")
    parser.add_argument("--sign-ins", type=int, default=50, help="in each half (default: 50)")
    arguments = parser.parse_args()
    half, pages, visits = arguments.minutes // 2, arguments.pages, arguments.sign_ins
    if half < 1:
        parser.error("each half takes a minute at least")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with tempfile.TemporaryDirectory(prefix="aceso-memory-") as name, contextlib.ExitStack() as stop:
        ward = Ward(arguments.program, Path(name), arguments.beds)
        stop.callback(ward.stop)
        run = Run(ward)
        stop.callback(run.over.set)
        doctor = Browser(ward, "doctor")
        doctor.page(doctor.sign_in())
        patients = sorted(set(re.findall(r"/patients/([0-9a-f]{32})\b", doctor.page("/wall"))))
        doctor.sign_out()
        if len(patients) != arguments.beds:
            sys.exit(f"the wall shows {len(patients)} beds of {arguments.beds}")
        # Of five pages one is a wall, two are records, two are patients' own.
        for number in range(pages):
            bed = number % arguments.beds
            login, path = [("doctor", "/wall"), ("doctor", f"/patients/{patients[bed]}"), (f"patient-{bed + 1}", "/me"),
                           ("doctor", f"/patients/{patients[bed]}"), (f"patient-{bed + 1}", "/me")][number % 5]  # fmt: skip
            threading.Thread(target=run.live_page, args=(login, path), daemon=True).start()
        threading.Thread(
            target=run.visits, args=(2 * visits, 2 * half * SAMPLE_S, patients), daemon=True
        ).start()
        processes = {"node": ward.node(), "gateway": ward.gateway}
        say(f"{arguments.beds} beds, {pages} live pages, {visits} sign-ins in each half of {half} minutes, after those of "
            f"the live pages; node: process {processes['node']}, gateway: process {processes['gateway']}")
        apart = measure(run, processes, half, pages)
        if run.signed_in != 2 * visits:
            run.fault(f"{run.signed_in} sign-ins of {2 * visits}")
    for line in run.wrong[:20] + apart:
        print(f"not ok: {line}", file=sys.stderr)
    if not run.wrong and not apart:
        say(f"Equal within {WITHIN:.0%}.")
    return 1 if run.wrong or apart else 0


if __name__ == "__main__":
    sys.exit(main())
