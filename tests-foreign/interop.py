"""The protocol itself, by hand: those tests of eclipse/paho.mqtt.testing that apply to a node that
takes envelopes and is no broker, written anew. docs/integrate.md says which apply and why.

    interop.py BINARY
"""

import itertools
import sys
import tempfile
import time
from pathlib import Path

import cbor
import raw
from raw import Raw
from ward import Checks, Ward

SUCCESS, MALFORMED_PACKET, PROTOCOL_ERROR, BAD_ID = 0x00, 0x81, 0x82, 0x85
FOREIGN, SILENT, TAKEN_OVER, NO_SUBSCRIPTION = 0x87, 0x8D, 0x8E, 0x11
ALIAS_WRONG, TOO_LARGE, NO_RETAIN, NO_QOS = 0x94, 0x95, 0x9A, 0x9B
NO_SHARED, NO_IDENTIFIERS, TOPIC_WRONG = 0x9E, 0xA1, 0x90
PAYLOAD_WRONG = 0x99
WINDOW = 64
# What a client without keep-alive is taken to promise, seconds.
NO_KEEP_ALIVE_S = 65535
# Long enough for a receipt that should not come.
QUIET_S = 0.3


def word(v5):
    return "MQTT 5" if v5 else "MQTT 3.1.1"


def ended(line, code):
    """Is the connection closed, in MQTT 5 with this DISCONNECT?"""
    while packet := line.read():
        if packet.kind == raw.DISCONNECT:
            return packet.code == code and line.read() is None
        if packet.kind == raw.CONNACK:
            return False
    return not line.v5


def ends(line):
    """The code of the DISCONNECT, None for a close without one, "open" when neither comes."""
    try:
        packet = line.until(raw.DISCONNECT, 1)
        return packet and packet.code
    except TimeoutError:
        return "open"


def quiet(line):
    """Does nothing come for a while?"""
    try:
        return line.read(QUIET_S) is None and False
    except TimeoutError:
        return True


def basic(checks, device, v5):
    envelope = device.envelope()
    for _ in range(2):
        with Raw(device, v5) as line:
            said = line.connect()
            granted = line.subscribe(device.down)
            packet_id = line.publish(device.up, envelope)
            heard = [line.read(), line.read()]
            ack = next(one for one in heard if one.kind == raw.PUBACK)
            receipt = next(one for one in heard if one.kind == raw.PUBLISH)
            line.disconnect()
            closed = line.until(raw.CONNACK) is None
    checks.should(said.code == 0 and closed, f"{word(v5)}: connect, goodbye, connect again")
    checks.should(granted.codes == [0], f"{word(v5)}: a subscription for QoS 1 is granted QoS 0")
    key = bytes.fromhex(device.ward.record_key)
    holds = cbor.receipt_is_for(receipt.payload, envelope, key)
    checks.should((ack.id, ack.code) == (packet_id, 0) and receipt.flags == 0 and holds, f"{word(v5)}: a publish is acknowledged, its receipt comes with QoS 0, not retained")


def first_packets(checks, device, v5):
    with Raw(device, v5) as line:
        line.connect()
        line.send(1, 0, raw.text("MQTT") + bytes([5 if v5 else 4, 2, 0, 9]) + (b"\0" if v5 else b"") + b"\0\0")
        checks.should(ended(line, PROTOCOL_ERROR), f"{word(v5)}: a second CONNECT ends the connection")
    for name, version, what in (("hj", None, "a wrong protocol name"), ("MQTT", 6, "an unknown version"), ("MQIsdp", 3, "MQTT 3.1")):
        with Raw(device, v5) as line:
            said = line.connect(name=name, version=version)
            checks.should(said is None or said.code != 0, f"{word(v5)}: {what} is not let in")
    with Raw(device, v5) as line:
        line.publish(device.up, b"too early")
        checks.should(line.read() is None, f"{word(v5)}: a PUBLISH before CONNECT ends the connection")


def client_ids(checks, device, v5):
    with Raw(device, v5) as line:
        said = line.connect("")
        assigned = said.props.get(raw.ASSIGNED_ID)
        checks.should(said.code == 0 and (not v5 or assigned == device.id), f"{word(v5)}: an empty client id is that of the certificate's key")
    with Raw(device, v5) as line:
        said = line.connect("", clean=False)
        good = said.code == 0 if v5 else said.code == 2 and line.read() is None
        checks.should(good, f"{word(v5)}: an empty client id with a session to keep is {'taken' if v5 else 'rejected with 2'}")
    with Raw(device, v5) as line:
        checks.should(line.connect(device.id).code == 0, f"{word(v5)}: the device's own id is taken")
    with Raw(device, v5) as line:
        said = line.connect("my-client")
        checks.should(said.code == (BAD_ID if v5 else 2) and line.read() is None, f"{word(v5)}: another client id is rejected, \"{said.reason}\"")


def keep_alive(checks, device, v5):
    with Raw(device, v5) as line:
        line.connect(keep_alive=1)
        began = time.monotonic()
        line.ping()
        answered = line.read().kind == raw.PINGRESP
        over = ended(line, SILENT)
        took = time.monotonic() - began
        checks.should(answered and over and 1.4 < took < 4, f"{word(v5)}: a silent client is put out after one and a half times its keep-alive of 1 s ({took:.2f} s)")
    with Raw(device, v5) as line:
        line.connect(keep_alive=1)
        answers = 0
        for _ in range(6):
            time.sleep(0.4)
            line.ping()
            answers += line.read().kind == raw.PINGRESP
        checks.should(answers == 6, f"{word(v5)}: pings keep a connection with a keep-alive of 1 s open")


def redelivery(checks, device, v5):
    envelope, after = device.envelope(), device.envelope()
    with Raw(device, v5) as line:
        line.connect()
        line.publish(device.up, envelope)
    with Raw(device, v5) as line:
        line.connect()
        line.subscribe(device.down)
        body = raw.text(device.up) + b"\x00\x01" + (b"\0" if v5 else b"") + envelope
        line.send(3, 8 | 2, body)
        line.publish(device.up, after, packet_id=2)
        # The receipt for what the last connection sent may be delivered here as well: the first one then comes twice.
        key = bytes.fromhex(device.ward.record_key)
        acks, places, strangers = [], [set(), set()], 0
        for _ in range(5):
            one = line.read()
            if one is None:
                break
            if one.kind == raw.PUBACK:
                acks.append((one.id, one.code))
            elif one.kind == raw.PUBLISH:
                whose = [cbor.receipt_is_for(one.payload, sent, key) for sent in (envelope, after)]
                strangers += sum(whose) != 1
                for found in itertools.compress(places, whose):
                    found.add(cbor.decode(one.payload)[2])
            if len(acks) == 2 and all(places):
                break
        checks.should(acks == [(1, 0), (2, 0)], f"{word(v5)}: what had no acknowledgement is taken again with DUP, in order")
    once = not strangers and all(len(one) == 1 for one in places) and places[0] != places[1]
    checks.should(once, f"{word(v5)}: the log holds each once, at places {sorted(places[0] | places[1])}")


def sessions(checks, device, v5):
    props = {raw.SESSION_EXPIRY: 99999} if v5 else {}
    with Raw(device, v5) as line:
        said = line.connect(device.id, clean=False, props=props)
        line.subscribe(device.down)
        checks.should(said.code == 0 and said.present == 0 and (not v5 or said.props.get(raw.SESSION_EXPIRY) == 0), f"{word(v5)}: no session is kept, and the CONNACK says so")
    with Raw(device, v5) as line:
        said = line.connect(device.id, clean=False, props=props)
        line.publish(device.up, device.envelope())
        ack = line.read()
        checks.should(said.present == 0 and ack.code == 0 and quiet(line), f"{word(v5)}: the next connection has no subscription of the last one")
    with Raw(device, v5) as first, Raw(device, v5) as second:
        first.connect()
        second.connect()
        checks.should(ended(first, TAKEN_OVER), f"{word(v5)}: a second connection of a device takes over")
        second.ping()
        checks.should(second.read().kind == raw.PINGRESP, f"{word(v5)}: the second one stays")


def subscriptions(checks, device, v5):
    other = device.ward.genesis[:32]
    with Raw(device, v5) as line:
        line.connect()
        filters = ["#", "+/+/r", "$SYS/#", f"d/{other}/r", device.up, device.down, f"d/{device.id}/+"]
        said = line.subscribe(*filters)
        no = FOREIGN if v5 else 0x80
        checks.should(said.codes == [no] * 5 + [0] * 2 and (not v5 or "own topics" in said.reason), f"{word(v5)}: own topics below are granted, everything else is refused with 0x{no:02x}")
        # Proofs may come in between.
        said = line.unsubscribe(device.down, "d/x/y", f"d/{device.id}/+")
        wanted = [SUCCESS, NO_SUBSCRIPTION, SUCCESS] if v5 else []
        line.publish(device.up, device.envelope())
        checks.should(said.codes == wanted and line.read().kind == raw.PUBACK and quiet(line), f"{word(v5)}: after UNSUBSCRIBE no receipt comes")


def wrong_publishes(checks, device, v5):
    envelope = device.envelope()
    for what, qos, retain, code in (("QoS 0", 0, False, NO_QOS), ("QoS 2", 2, False, NO_QOS), ("the retain flag", 1, True, NO_RETAIN)):
        with Raw(device, v5) as line:
            line.connect()
            line.publish(device.up, envelope, qos=qos, retain=retain)
            checks.should(ended(line, code), f"{word(v5)}: a publish with {what} ends the connection{f' with 0x{code:02x}' if v5 else ''}")
    for what, kind, flags, body in (
        ("packet id 0", 3, 2, raw.text(device.up) + b"\0\0" + (b"\0" if v5 else b"") + envelope),
        ("a topic that is no UTF-8", 3, 2, raw.text(b"d/\xff\xfe/e") + b"\0\1" + (b"\0" if v5 else b"") + envelope),
        ("QoS 3", 3, 6, raw.text(device.up) + b"\0\1" + (b"\0" if v5 else b"") + envelope),
    ):
        with Raw(device, v5) as line:
            line.connect()
            line.send(kind, flags, body)
            got = ends(line)
            checks.should(got in (None, MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_WRONG), f"{word(v5)}: a publish with {what} ends the connection ({got})")
    with Raw(device, v5) as line:
        line.connect()
        line.publish(f"d/{device.id}/+", envelope)
        got = line.read()
        checks.should(got.code == TOPIC_WRONG if v5 else got is None, f"{word(v5)}: a publish with a wildcard in its topic is refused")
    with Raw(device, v5) as line:
        line.connect()
        line.send(0, 0, b"")
        checks.should(ended(line, MALFORMED_PACKET), f"{word(v5)}: a packet of no known type ends the connection")


def wills(checks, device, v5):
    envelope = device.envelope()
    with Raw(device, v5) as line:
        said = line.connect(will=(device.up, envelope, 1, False), keep_alive=1)
        checks.should(said.code == 0, f"{word(v5)}: a will is taken")
    with Raw(device, v5) as line:
        line.connect()
        line.subscribe(device.down)
        checks.should(quiet(line), f"{word(v5)}: and never published")
        line.publish(device.up, envelope)
        checks.should({line.read().kind, line.read().kind} == {raw.PUBACK, raw.PUBLISH}, f"{word(v5)}: its envelope is still to be admitted")
    if v5:
        for what, will, code in (("QoS 2", (device.up, b"", 2, False), NO_QOS), ("the retain flag", (device.up, b"", 1, True), NO_RETAIN)):
            with Raw(device, v5) as line:
                said = line.connect(will=will)
                checks.should(said.code == code and line.read() is None, f"{word(v5)}: a will with {what} is refused with 0x{code:02x}")


def announcements(checks, device):
    """What a client of MQTT 5 is told, and that it is meant."""
    with Raw(device) as line:
        props = line.connect(keep_alive=120).props
    told = {raw.RECEIVE_MAXIMUM: WINDOW, raw.MAXIMUM_QOS: 1, raw.RETAIN_AVAILABLE: 0, raw.SHARED: 0,
            raw.SUBSCRIPTION_IDS: 0, raw.KEEP_ALIVE: 120, raw.PACKET_SIZE: 96 * 1024}
    checks.should({code: props.get(code) for code in told} == told and raw.ALIAS_MAXIMUM not in props, "MQTT 5: the CONNACK names every limit")
    with Raw(device) as line:
        told = line.connect(keep_alive=0).props.get(raw.KEEP_ALIVE)
        checks.should(told == NO_KEEP_ALIVE_S, f"MQTT 5: a client without keep-alive is given {told} s")
    with Raw(device) as line:
        line.connect()
        said = line.subscribe(f"$share/all/{device.down}")
        checks.should(said.codes == [NO_SHARED], f"MQTT 5: a shared subscription is refused with 0x{NO_SHARED:02x}")
    with Raw(device) as line:
        line.connect()
        said = line.subscribe(device.down, props={raw.SUBSCRIPTION_ID: 5})
        checks.should(said.codes == [NO_IDENTIFIERS], f"MQTT 5: a subscription identifier is refused with 0x{NO_IDENTIFIERS:02x}")
    for alias in (0, 1):
        with Raw(device) as line:
            line.connect()
            line.publish(device.up, device.envelope(), props={raw.ALIAS: alias})
            checks.should(ends(line) in (ALIAS_WRONG, PROTOCOL_ERROR), f"MQTT 5: topic alias {alias} ends the connection")
    with Raw(device) as line:
        line.connect()
        # Its length is enough: the node waits for no more of it.
        line.line.sendall(b"\x32" + raw.varint(96 * 1024 + 1) + raw.text(device.up))
        checks.should(ends(line) == TOO_LARGE, f"MQTT 5: a packet longer than announced ends the connection with 0x{TOO_LARGE:02x}")
    with Raw(device) as line:
        line.connect(props={raw.PACKET_SIZE: 64})
        line.subscribe(device.down)
        line.publish(device.up, device.envelope())
        line.publish(device.up, b"wrong")
        acks = [line.read(), line.read()]
        checks.should([one.code for one in acks] == [0, PAYLOAD_WRONG] and acks[1].reason == "" and quiet(line), "MQTT 5: what is longer than the client takes is left out, reason and receipt")
    with Raw(device) as line:
        line.connect(props={raw.REQUEST_PROBLEMS: 0})
        line.publish(device.up, b"wrong")
        ack = line.read()
        checks.should(ack.code == PAYLOAD_WRONG and not ack.props, "MQTT 5: a client that wants no reasons gets none")
    with Raw(device) as line:
        line.connect()
        body = raw.text(device.up) + b"\0\1" + bytes([9]) + b"\x01\x01" + b"\x26\0\1a\0\1b" + device.envelope()
        line.send(3, 2, body)
        checks.should(line.read().code == 0, "MQTT 5: user properties and payload format are taken and not looked at")


def flow(checks, device):
    envelopes = device.envelopes(4 * WINDOW)
    with Raw(device) as line:
        line.connect()
        for envelope in envelopes:
            line.publish(device.up, envelope)
        acks = [line.until(raw.PUBACK) for _ in envelopes]
        checks.should([(one.id, one.code) for one in acks] == [(n + 1, 0) for n in range(len(envelopes))],
                      f"MQTT 5: {len(envelopes)} publishes at once, the window is {WINDOW}, are held back, then acknowledged in order")
        # So short that many are read before the first can have been judged.
        written = b""
        for number in range(4 * WINDOW):
            body = raw.text(device.up) + (number + 1).to_bytes(2, "big") + b"\0x"
            written += bytes([0x32]) + raw.varint(len(body)) + body
        line.line.sendall(written)
        acks = [line.until(raw.PUBACK) for _ in range(4 * WINDOW)]
        checks.should([(one.id, one.code) for one in acks] == [(n + 1, PAYLOAD_WRONG) for n in range(4 * WINDOW)],
                      f"MQTT 5: {4 * WINDOW} wrong ones at once are each refused, and the connection goes on")
    with Raw(device) as line:
        line.connect()
        body = raw.text(device.up) + b"\0\7\0" + envelopes[-1]
        line.line.sendall((bytes([0x32]) + raw.varint(len(body)) + body) * 2)
        checks.should(ended(line, PROTOCOL_ERROR), "MQTT 5: a packet id used twice before its acknowledgement ends the connection")
    with Raw(device, v5=False) as line:
        line.connect()
        for number, envelope in enumerate(envelopes):
            body = raw.text(device.up) + (number + 1).to_bytes(2, "big") + envelope
            line.line.sendall(bytes([0x32]) + raw.varint(len(body)) + body)
        acks = [line.until(raw.PUBACK).id for _ in envelopes]
        checks.should(acks == list(range(1, len(envelopes) + 1)), f"MQTT 3.1.1: {len(envelopes)} at once are held back, then acknowledged in order")


BOTH = (basic, first_packets, client_ids, keep_alive, redelivery, sessions, wrong_publishes, wills, subscriptions)


def tests(checks, ward):
    """Name and test, to be run in any order, each with a device of its own: a node takes only so many
    connections of one in a row."""
    for v5 in (True, False):
        for test in BOTH:
            name = f"interop-{test.__name__}-{5 if v5 else 311}"
            yield name, lambda test=test, name=name, v5=v5: test(checks, ward.device(name), v5)
    for test in (announcements, flow):
        name = f"interop-{test.__name__}"
        yield name, lambda test=test, name=name: test(checks, ward.device(name))


if __name__ == "__main__":
    done = Checks()
    with tempfile.TemporaryDirectory(prefix="aceso-interop-") as folder:
        node = Ward(Path(sys.argv[1]).resolve(), folder)
        try:
            done.run(tests(done, node))
        finally:
            node.stop()
    sys.exit(1 if done.bad else 0)
