"""MQTT clients that are not ours, against a real node.

    run.py BINARY [FOLDER]

Starts a node, pairs devices through `aceso seal`, delivers what it seals with mosquitto's clients,
paho-mqtt and MQTT.js, checks receipts and proofs, and that what docs/wire.md, section 15, refuses is
refused as it says. Then the protocol itself, in interop.py. A line per check; status 1 if one fails.
"""

import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

import cbor
import interop
import raw
from ward import Checks, Ward

HERE = Path(__file__).parent
WAIT_S = 10
# Several times the node's window of 64.
MANY = 500
# What section 15 says of each refusal: what is wrong, code.
MALFORMED, FOREIGN, NO_TOPIC, FORBIDDEN = 0x99, 0x87, 0x90, 0x83


def refusals(device, other):
    """Wrong publishes: name, topic, payload, code, and a word of the reason."""
    first, good = device.envelope(), device.envelope()
    header, key = cbor.header_of(good), device.sensor_seed()
    # A copy of the folder is a cloned device: it seals the next number with another content.
    clone = device.keys.with_name(f"{device.name}-clone")
    shutil.copytree(device.keys, clone)
    original = device.envelope(beat=80.0)
    twin, branch = device.envelope(beat=90.0, keys=clone), device.envelope(beat=91.0, keys=clone)
    unsent = device.envelope()
    before = [first, good, original]
    cases = [
        ("no CBOR", device.up, b"72 beats", MALFORMED, "wire format"),
        ("an empty payload", device.up, b"", MALFORMED, "wire format"),
        ("a truncated envelope", device.up, good[:-1], MALFORMED, "wire format"),
        ("a byte too many", device.up, good + b"\x00", MALFORMED, "wire format"),
        ("a wrong signature", device.up, cbor.with_wrong_signature(unsent), MALFORMED, "signature"),
        ("a changed ciphertext", device.up, good[:-1] + bytes([good[-1] ^ 1]), MALFORMED, ""),
        ("another ledger's envelope", device.up, cbor.forged(good, key, GENESIS=bytes(32)), MALFORMED, "ledger"),
        ("a stream nobody paired", device.up, cbor.forged(good, key, STREAM=bytes(16), SEQ=9000), MALFORMED, "stream"),
        ("another class than the stream's", device.up, cbor.forged(good, key, CLASS=2, SEQ=9000), MALFORMED, "class"),
        ("an author the ledger does not know", device.up, cbor.forged(good, AUTHOR=bytes(16)), FOREIGN, ""),
        ("another device's envelope", device.up, other.envelope(), FOREIGN, "gateway"),
        ("an epoch before pairing", device.up, cbor.forged(good, key, EPOCH=1, SEQ=9000), FORBIDDEN, "epoch"),
        ("an epoch out of reach", device.up, cbor.forged(good, key, EPOCH=header[cbor.EPOCH] + 4000, SEQ=9000), FORBIDDEN, "epoch"),
        ("a clone's second envelope of one number", device.up, twin, FORBIDDEN, ""),
        ("a clone's branch", device.up, branch, FORBIDDEN, ""),
        ("another device's topic", other.up, good, FOREIGN, "another device"),
        ("a topic only the node publishes on", device.down, good, FOREIGN, "only the node"),
        ("a topic that is none", f"d/{device.id}/x", good, NO_TOPIC, "publish on"),
        ("a topic of another world", "home/kitchen/temperature", good, NO_TOPIC, "publish on"),
        ("a payload longer than any envelope", device.up, bytes(65537), MALFORMED, "longer"),
    ]
    return before, cases


def mosquitto(checks, ward):
    file, delivery = ward.folder / "mosquitto.envelope", ward.folder / "mosquitto.delivery"

    def run(device, program, *arguments, payload=None, node=None):
        if payload is not None:
            file.write_bytes(payload)
            arguments += ("-f", str(file))
        # --insecure is about the name only, and the node's certificate has none.
        tls = ["--cafile", node or device.node, "--insecure", "--cert", device.cert, "--key", device.key]
        to = ["-h", ward.host, "-p", str(ward.port), "-q", "1", *tls]
        return subprocess.run([program, *to, *arguments], capture_output=True, timeout=2 * WAIT_S, text=True)

    def settle(device, **options):
        return ward.seal("settle", "--keys", device.keys, "--delivery", delivery, **options)

    for version, word in (("311", "MQTT 3.1.1"), ("5", "MQTT 5")):
        device = ward.device(f"mosquitto-{version}")
        done = run(device, "mosquitto_pub", "-V", version, "-t", device.up, payload=device.envelope())
        checks.should(done.returncode == 0 and not done.stderr, f"mosquitto_pub, {word}: delivers an envelope {done.stderr}")
        # mosquitto_pub does not listen, and mosquitto_rr 2.0.11 sends a binary payload empty. What a
        # device missed is sent when it listens the next time: the proof, which is more than a receipt.
        done = run(device, "mosquitto_sub", "-V", version, "-t", device.proofs, "-C", "1", "-W", str(WAIT_S), "-F", "%x")
        delivery.write_bytes(bytes.fromhex(done.stdout.strip()))
        said = json.loads(settle(device))
        checks.should(said["proven"] == 1 and said["pending"] == 0, f"mosquitto_sub, {word}: brings the proof; aceso seal settle believes it and forgets the envelope")
    changed = bytearray(delivery.read_bytes())
    changed[len(changed) // 2] ^= 1
    delivery.write_bytes(changed)
    done = settle(device, check=False)
    checks.should(done.returncode == 1 and b"does not check" in done.stderr, "aceso seal settle: refuses a changed delivery")
    waits = device.envelope()
    again = [bytes.fromhex(json.loads(line)["envelope"]) for line in ward.seal("again", "--keys", device.keys).splitlines()]
    checks.should(again == [waits], "aceso seal again: gives what has no proof, byte for byte")

    device, other = ward.device("mosquitto"), ward.device("mosquitto-other")
    before, cases = refusals(device, other)
    for envelope in before:
        run(device, "mosquitto_pub", "-V", "5", "-t", device.up, payload=envelope)
    for name, topic, payload, code, _ in cases:
        done = run(device, "mosquitto_pub", "-V", "5", "-d", "-t", topic, payload=payload)
        checks.should(f"PUBACK (Mid: 1, RC:{code})" in done.stdout, f"mosquitto_pub, MQTT 5: {name} is refused with 0x{code:02x}")
    for name, topic, payload, _, _ in (cases[0], cases[4], cases[15]):
        done = run(other, "mosquitto_pub", "-V", "311", "-t", topic, payload=payload)
        checks.should(done.returncode != 0, f"mosquitto_pub, MQTT 3.1.1: {name} closes the connection")
    done = run(other, "mosquitto_pub", "-V", "5", "-t", other.up, payload=other.envelope(), node=other.cert)
    checks.should(done.returncode != 0, "mosquitto_pub: a node with another certificate is not believed, --insecure or not")


def paho_client(device, v5):
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="" if v5 else device.id,
                         protocol=paho.MQTTv5 if v5 else paho.MQTTv311, reconnect_on_failure=False)
    client.tls_set(device.node, device.cert, device.key, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    # The name only: the certificate is still the one of `tls_set`, or nothing.
    client.tls_insecure_set(True)
    return client


def with_paho(checks, ward, v5):
    word = "MQTT 5" if v5 else "MQTT 3.1.1"
    device = ward.device("paho-5" if v5 else "paho-311")
    envelopes = device.envelopes(MANY)
    client, heard = paho_client(device, v5), threading.Condition()
    acks, receipts, gone, subscribed = [], [], [], []

    def note(where, what):
        with heard:
            where.append(what)
            heard.notify_all()

    def wait(until, wait_s=WAIT_S):
        with heard:
            return heard.wait_for(until, wait_s)

    client.on_connect = lambda client, *_: client.subscribe([(device.down, 1), (device.proofs, 1)])
    client.on_subscribe = lambda _c, _u, _m, codes, _p: note(subscribed, codes)
    client.on_publish = lambda _c, _u, mid, code, props: note(acks, (mid, code, props))
    client.on_message = lambda _c, _u, message: note(receipts, message.payload) if message.topic == device.down else None
    client.on_disconnect = lambda _c, _u, _f, code, _p: note(gone, code)
    client.connect(ward.host, ward.port, keepalive=30)
    client.loop_start()
    wait(lambda: subscribed)
    began = time.monotonic()
    for envelope in envelopes:
        client.publish(device.up, envelope, qos=1)
    wait(lambda: len(acks) == MANY and len(receipts) >= MANY, 20)
    took = time.monotonic() - began
    good = all(code.value == 0 for _, code, _ in acks)
    checks.should(len(acks) == MANY and good, f"paho-mqtt, {word}: {MANY} envelopes are acknowledged in {took:.2f} s")
    by_hash, key = {cbor.header_hash(one): one for one in envelopes}, bytes.fromhex(ward.record_key)
    held = {cbor.decode(one)[1] for one in receipts
            if cbor.receipt_is_for(one, by_hash[cbor.decode(one)[1]], key)}
    checks.should(len(held) == MANY, f"paho-mqtt, {word}: {len(held)} of {MANY} receipts hold")

    other = ward.device("paho-other-5" if v5 else "paho-other-311")
    before, cases = refusals(device, other)
    for envelope in before:
        acks.clear()
        client.publish(device.up, envelope, qos=1)
        wait(lambda: acks)
    if v5:
        for name, topic, payload, code, said in cases:
            acks.clear()
            client.publish(topic, payload, qos=1)
            wait(lambda: acks)
            found = acks[0][1].value if acks else None
            reason = getattr(acks[0][2], "ReasonString", "") if acks else ""
            checks.should(found == code and said in reason and reason, f"paho-mqtt, {word}: {name}: 0x{code:02x}, \"{reason}\"")
        checks.should(not gone, f"paho-mqtt, {word}: the connection outlives every refusal")
    else:
        client.publish(cases[0][1], cases[0][2], qos=1)
        wait(lambda: gone)
        checks.should(gone and len(acks) == 1, f"paho-mqtt, {word}: {cases[0][0]} closes the connection, unacknowledged")
    client.disconnect()
    client.loop_stop()


def paho_without_a_window(checks, ward, v5):
    """paho-mqtt heeds neither Receive Maximum nor Server Keep Alive: it keeps its own, which a program may lift."""
    word = "MQTT 5" if v5 else "MQTT 3.1.1"
    device = ward.device("paho-flood-5" if v5 else "paho-flood-311")
    envelopes = device.envelopes(MANY)
    client, heard = paho_client(device, v5), threading.Condition()
    connected, acks, gone = [], [], []

    def note(where, what):
        with heard:
            where.append(what)
            heard.notify_all()

    client.on_connect = lambda _c, _u, _f, code, props: note(connected, (code.value, getattr(props, "ServerKeepAlive", None)))
    client.on_publish = lambda _c, _u, mid, code, _p: note(acks, code.value)
    client.on_disconnect = lambda _c, _u, _f, code, _p: note(gone, code)
    client.max_inflight_messages_set(0)
    # Queued before the connection is there, so that all of them leave at once.
    for envelope in envelopes:
        client.publish(device.up, envelope, qos=1)
    client.connect(ward.host, ward.port, keepalive=120)
    began = time.monotonic()
    client.loop_start()
    with heard:
        heard.wait_for(lambda: len(acks) == MANY or gone, 20)
    took = time.monotonic() - began
    checks.should(connected == [(0, 120 if v5 else None)], f"paho-mqtt, {word}: is told no other keep-alive than it asks for ({connected})")
    checks.should(acks == [0] * MANY and not gone, f"paho-mqtt, {word}: {MANY} envelopes in flight at once are acknowledged in one connection, {took:.2f} s")
    client.disconnect()
    client.loop_stop()


def mqtt_js(checks, ward):
    device, other = ward.device("mqtt-js"), ward.device("mqtt-js-other")
    before, cases = refusals(device, other)
    good = before + device.envelopes(97)
    job = {
        "url": f"mqtts://{ward.address}", "cert": device.cert, "key": device.key, "node": device.node,
        "listen": [device.down, device.proofs], "receipts": len(good), "proofs": 1, "window": 64,
        "envelopes": [one.hex() for one in good] + [payload.hex() for _, _, payload, _, _ in cases],
        "topics": [device.up] * len(good) + [topic for _, topic, _, _, _ in cases],
    }

    def run(job):
        done = subprocess.run(["node", HERE / "publish.mjs"], input=json.dumps(job), capture_output=True, text=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"MQTT.js: {done.stderr}")
        return json.loads(done.stdout)

    heard = run(job)
    checks.should(heard["window"] == 64, "MQTT.js: is told a window of 64")
    checks.should([ack["code"] for ack in heard["acks"][:len(good)]] == [0] * len(good), f"MQTT.js: {len(good)} envelopes are acknowledged")
    key = bytes.fromhex(ward.record_key)
    by_hash = {cbor.header_hash(one): one for one in good}
    receipts = map(bytes.fromhex, heard["receipts"])
    held = {cbor.decode(one)[1] for one in receipts if cbor.receipt_is_for(one, by_hash[cbor.decode(one)[1]], key)}
    checks.should(len(held) == len(good), f"MQTT.js: {len(held)} receipts hold")
    files = []
    for number, proof in enumerate(heard["proofs"]):
        files += ["--delivery", ward.folder / f"js-{number}.delivery"]
        files[-1].write_bytes(bytes.fromhex(proof))
    said = json.loads(ward.seal("settle", "--keys", device.keys, *files)) if files else {"proven": 0}
    checks.should(said["proven"] > 0, f"MQTT.js: hears proofs; aceso seal settle forgets {said['proven']} envelopes")
    heard_more = run({**job, "window": 0})
    codes = [ack and ack["code"] for ack in heard_more["acks"][:len(good)]]
    checks.should(heard_more["putOut"] is None and codes == [0] * len(good),
                  f"MQTT.js: {len(job['topics'])} at once, which it does not prevent, are held back and all acknowledged")
    for (name, _, _, code, _), ack in zip(cases, heard["acks"][len(good):]):
        checks.should(ack["code"] == code, f"MQTT.js: {name} is refused with 0x{code:02x}")


def stranger(folder):
    """A good certificate of a key that nobody registered."""
    key, name = Ed25519PrivateKey.generate(), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, None)
    pem = serialization.Encoding.PEM
    (folder / "stranger.pem").write_bytes(made.public_bytes(pem))
    (folder / "stranger.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "stranger.pem"), str(folder / "stranger.key")


def doors(checks, ward):
    """Who does not get in at all."""
    device = ward.device("doors")

    def refused(tls):
        try:
            with raw.Raw(device, tls=tls) as line:
                return line.connect() is None
        except (ssl.SSLError, ConnectionError):
            return True

    own = (device.cert, device.key)
    checks.should(not refused(raw.context(*own, node=device.node)), "TLS: the paired device gets in")
    checks.should(refused(raw.context(node=device.node)), "TLS: a client without a certificate is refused")
    checks.should(refused(raw.context(*stranger(ward.folder), node=device.node)), "TLS: a certificate of an unregistered key is refused")
    checks.should(refused(raw.context(*own, node=device.node, highest=ssl.TLSVersion.TLSv1_2)), "TLS: version 1.2 is refused")
    # OpenSSL's own client, with its clock at Unix time 0, where a device without a set clock stands.
    for at, word in ((0, "1970"), (1, "1970"), (2**31, "2038")):
        # Other parts of this run refuse the node's certificate from the same address, and turn it; a device tries again.
        for attempt in range(1, 6):
            done = subprocess.run(
                ["openssl", "s_client", "-connect", ward.address, "-tls1_3", "-attime", str(at), "-verify_return_error",
                 "-CAfile", device.node, "-cert", device.cert, "-key", device.key, "-quiet", "-no_ign_eof"],
                input=b"Q\n", capture_output=True, timeout=2 * WAIT_S)
            good = b"verify error" not in done.stderr and b"alert" not in done.stderr and b"depth=0 CN = aceso-2" in done.stderr
            if good:
                break
        checks.should(good, f"OpenSSL: a client whose clock says {word} ({at} s) believes the node's certificate (attempt {attempt})")
    unpaired = ward.folder / "unpaired"
    ward.seal("init", "--keys", unpaired, "--request", ward.folder / "unpaired.request")
    for arguments, word in (
        (("readings", "--keys", unpaired, "--reading", "co2=600"), "is not paired"),
        (("readings", "--keys", ward.folder / "nothing", "--reading", "co2=600"), "aceso seal init"),
        (("tls", "--keys", unpaired, "--node", ward.address, "--out", ward.folder / "x"), "is not paired"),
        (("readings", "--keys", device.keys, "--reading", "pulse=72"), "there are heart_rate, body_temperature"),
        (("readings", "--keys", device.keys, "--reading", "heart_rate=720"), "outside 15 to 300 beat/min"),
        (("readings", "--keys", device.keys, "--reading", "heart_rate=seventy"), "plain decimal number"),
        (("readings", "--keys", device.keys, "--reading", "heart_rate=72", "--reading", "co2=600"), "two envelopes"),
        (("readings", "--keys", device.keys, "--sensor", "3", "--reading", "co2=600"), "no sensor 3"),
        (("readings", "--keys", device.keys, "--clock", "late", "--reading", "co2=600"), "synced, holding or unset"),
        (("settle", "--keys", device.keys), "give --receipt FILE"),
        (("accept", "--keys", unpaired, "--answer", ward.folder / "doors.answer", "--record-key", ward.record_key), "is for gateway"),
        (("accept", "--keys", device.keys, "--answer", ward.folder / "doors.answer", "--record-key", "00" * 32), "another organisation"),
    ):
        done = ward.seal(*arguments, check=False)
        said = done.stderr.decode().strip().splitlines()
        checks.should(done.returncode != 0 and any(word in line for line in said), f"aceso seal: says \"{said[0] if said else ''}\"")
    lines = b'[{"n":"co2","v":600},{"n":"smell","v":3}]\n[{"n":"co2","u":"Cel","v":600}]\n[{"bver":26,"n":"tvoc","u":"/","v":8e-8}]\n{}\n'
    done = ward.seal("readings", "--keys", device.keys, check=False, input=lines)
    good = [json.loads(line) for line in done.stdout.splitlines()]
    said = done.stderr.decode()
    checks.should(done.returncode == 1 and [one["line"] for one in good] == [1, 3],
                  "aceso seal: a wrong record or pack among good ones keeps none of the others back")
    checks.should(good[0]["refused"] == [{"record": 2, "why": good[0]["refused"][0]["why"]}] and "refused" not in good[1],
                  f"aceso seal: the envelope's line says what is missing in it: \"{good[0]['refused'][0]['why'][:40]}…\"")
    checks.should(all(word in said for word in ("line 1: record 2: there is no metric `smell`", "line 2: record 1: co2 is given in ppm", "line 4: not a SenML pack")),
                  "aceso seal: what is refused is named by line and record")
    checks.should("refused: 1 of 4 packs whole, and 2 of 4 records of the others" in said, "aceso seal: and counted")
    seqs = [cbor.header_of(bytes.fromhex(one["envelope"]))[cbor.SEQ] for one in good]
    checks.should(seqs == [0, 1], "aceso seal: what was refused used no number")


def main():
    binary, began = Path(sys.argv[1]).resolve(), time.monotonic()
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="aceso-foreign-") as made:
        ward = Ward(binary, sys.argv[2] if len(sys.argv) > 2 else made)
        try:
            parts = [(part.__name__, partial(part, checks, ward)) for part in (doors, mosquitto, mqtt_js)]
            parts += [(f"paho-{5 if v5 else 311}", partial(with_paho, checks, ward, v5)) for v5 in (True, False)]
            parts += [(f"paho-flood-{5 if v5 else 311}", partial(paho_without_a_window, checks, ward, v5)) for v5 in (True, False)]
            checks.run([*parts, *interop.tests(checks, ward)])
        finally:
            ward.stop()
    took = time.monotonic() - began
    print(f"{checks.good} checks passed, {len(checks.bad)} failed, {took:.1f} s")
    for text in checks.bad:
        print(f"failed: {text}")
    return 1 if checks.bad else 0


if __name__ == "__main__":
    sys.exit(main())
