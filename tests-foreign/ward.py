"""A real node, started through the binary, and devices of other makers paired with it."""

import itertools
import json
import secrets
import socket
import subprocess
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

START_WITHIN_S = 60
# Parts of the run at a time.
SIDE_BY_SIDE = 6


class Checks:
    """One line per check; a failed one is remembered, and the run goes on."""

    def __init__(self):
        self.good, self.bad, self.line = 0, [], threading.Lock()

    def should(self, holds, text):
        with self.line:
            if holds:
                self.good += 1
            else:
                self.bad.append(text)
            print(f"ok {self.good} {text}" if holds else f"not ok {text}", flush=True)

    def run(self, parts):
        """Runs named parts side by side, for most of them wait; one that breaks off has failed."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for done in as_completed([pool.submit(self._one, name, part) for name, part in parts]):
                done.result()

    def _one(self, name, part):
        try:
            part()
        except Exception as why:
            self.should(False, f"{name}: broke off: {why!r}")
            traceback.print_exc()


class Ward:
    def __init__(self, binary, folder):
        self.binary, self.folder = str(binary), Path(folder)
        data = self.folder / "node"
        (self.folder / "passphrase").write_text(secrets.token_hex(12) + "\n")
        config = self.folder / "node.toml"
        config.write_text(
            f'data_dir = "{data}"\npassphrase_file = "{self.folder / "passphrase"}"\n'
            'name = "Foreign Ward"\nheartbeat_ms = 200\n'
        )
        self.log = open(self.folder / "node.log", "w+")
        self.node = subprocess.Popen(
            [self.binary, "node", "--config", config], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        line = self.node.stdout.readline()
        if not line.startswith("READY "):
            raise SystemExit(f"the node did not start: {line}{(self.folder / 'node.log').read_text()}")
        ready = json.loads(line[6:])
        self.address, self.record_key = ready["mqtt"], ready["record_key"]
        self.host, port = self.address.rsplit(":", 1)
        self.port, self.genesis = int(port), ready["genesis"]
        self.socket = data / "control.sock"
        password = secrets.token_hex(12)
        self.ask(do="first_administrator", login="admin", name="Ada Demo", password=password)
        self.token = self.ask(do="sign_in", login="admin", password=password)["token"]
        self.patients = itertools.count(1)

    def ask(self, **request):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.socket))
            line.sendall(json.dumps(request).encode() + b"\n")
            said = json.loads(line.makefile().readline())
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["ok"]

    def seal(self, *arguments, check=True, **options):
        """Runs `aceso seal`; gives its standard output."""
        done = subprocess.run([self.binary, "seal", *map(str, arguments)], capture_output=True, **options)
        if check and done.returncode:
            raise RuntimeError(done.stderr.decode(errors="replace"))
        return done.stdout if check else done

    def device(self, name):
        return Device(self, name)

    def stop(self):
        self.node.terminate()
        self.node.wait(START_WITHIN_S)
        self.log.close()


class Device:
    """A device of another maker: made, paired and given its certificate by `aceso seal`."""

    def __init__(self, ward, name):
        self.ward, self.name = ward, name
        self.keys, self.tls = ward.folder / name, ward.folder / f"{name}.tls"
        request, answer = ward.folder / f"{name}.request", ward.folder / f"{name}.answer"
        ward.seal("init", "--keys", self.keys, "--request", request)
        number = next(ward.patients)
        patient = ward.ask(
            do="patient", token=ward.token, login=f"patient-{number}", name="Bo Sample",
            bed=f"Bed {number}", password=secrets.token_hex(12),
        )["patient"]
        paired = ward.ask(do="pair", token=ward.token, request=request.read_bytes().hex(), patients=[patient])
        answer.write_bytes(bytes.fromhex(paired["answer"]))
        said = ward.seal("accept", "--keys", self.keys, "--answer", answer, "--record-key", ward.record_key)
        self.id = json.loads(said)["device"]
        ward.seal("tls", "--keys", self.keys, "--node", ward.address, "--out", self.tls)
        self.cert, self.key, self.node = (str(self.tls / f) for f in ("cert.pem", "key.pem", "node.pem"))
        self.up, self.down = f"d/{self.id}/e", f"d/{self.id}/r"
        self.proofs = f"d/{self.id}/p"

    def sensor_seed(self):
        """The sensor's signing seed, to forge envelopes that are signed well and wrong otherwise."""
        return (self.keys / "keys" / "sensor-00.key").read_bytes()[8:40]

    def envelope(self, beat=72.0, keys=None):
        """One envelope from arguments."""
        return self.ward.seal("readings", "--keys", keys or self.keys, "--reading", f"heart_rate={beat}")

    def envelopes(self, count):
        """Many, from SenML on standard input."""
        now = time.time()
        packs = "".join(
            json.dumps([{"bn": "urn:dev:x:", "bt": round(now + n / 100, 3), "n": "heart_rate",
                         "u": "beat/min", "v": 60 + n % 40}]) + "\n"
            for n in range(count)
        )
        out = self.ward.seal("readings", "--keys", self.keys, input=packs.encode())
        return [bytes.fromhex(json.loads(line)["envelope"]) for line in out.splitlines()]
