"""MQTT 3.1.1 and 5 by hand over TLS, for what client libraries do not let one do."""

import socket
import ssl
import struct

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 11, 13, 14
ASSIGNED_ID, KEEP_ALIVE, REASON, RECEIVE_MAXIMUM, ALIAS_MAXIMUM = 0x12, 0x13, 0x1F, 0x21, 0x22
MAXIMUM_QOS, RETAIN_AVAILABLE, PACKET_SIZE, SESSION_EXPIRY = 0x24, 0x25, 0x27, 0x11
WILDCARDS, SUBSCRIPTION_IDS, SHARED = 0x28, 0x29, 0x2A
ALIAS, REQUEST_PROBLEMS, SUBSCRIPTION_ID = 0x23, 0x17, 0x0B
# How long each property's value is; "s" has a length in front.
SIZES = {0x11: 4, 0x12: "s", 0x13: 2, 0x15: "s", 0x1A: "s", 0x1C: "s", 0x1F: "s", 0x21: 2, 0x22: 2, 0x23: 2,
         0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1, 0x17: 1, 0x19: 1}
WAIT_S = 5.0


def varint(number):
    out = bytearray()
    while True:
        number, low = number >> 7, number & 127
        out.append(low | (128 if number else 0))
        if not number:
            return bytes(out)


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def properties(values):
    out = b""
    for code, value in values.items():
        if code == SUBSCRIPTION_ID:
            out += bytes([code]) + varint(value)
        elif SIZES[code] == "s":
            out += bytes([code]) + text(value)
        else:
            out += bytes([code]) + value.to_bytes(SIZES[code], "big")
    return varint(len(out)) + out


def read_properties(body):
    length, at = 0, 0
    while True:
        length |= (body[at] & 127) << (7 * at)
        at += 1
        if body[at - 1] < 128:
            break
    end, found = at + length, {}
    while at < end:
        code, size = body[at], SIZES[body[at]]
        at += 1
        if size == "s":
            size = int.from_bytes(body[at:at + 2], "big")
            found[code], at = body[at + 2:at + 2 + size].decode(), at + 2 + size
        else:
            found[code], at = int.from_bytes(body[at:at + size], "big"), at + size
    return found, body[end:]


def context(cert=None, key=None, node=None, highest=ssl.TLSVersion.TLSv1_3):
    """Checks the node's certificate; its name is none, so no name is checked."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.maximum_version = highest
    made.load_verify_locations(node)
    if cert:
        made.load_cert_chain(cert, key)
    return made


class Packet:
    def __init__(self, kind, flags, body, v5):
        self.kind, self.flags, self.body, self.props = kind, flags, body, {}
        self.id = self.code = None
        if kind == CONNACK:
            self.present, self.code = body[0], body[1]
            if v5:
                self.props, _ = read_properties(body[2:])
        elif kind == PUBACK:
            self.id, self.code = int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0
            if len(body) > 3:
                self.props, _ = read_properties(body[3:])
        elif kind in (SUBACK, UNSUBACK):
            self.id, rest = int.from_bytes(body[:2], "big"), body[2:]
            if v5:
                self.props, rest = read_properties(rest)
            self.codes = list(rest)
        elif kind == DISCONNECT and v5:
            self.code = body[0] if body else 0
            if len(body) > 1:
                self.props, _ = read_properties(body[1:])
        elif kind == PUBLISH:
            length = int.from_bytes(body[:2], "big")
            self.topic, rest = body[2:2 + length].decode(), body[2 + length:]
            if flags & 6:
                self.id, rest = int.from_bytes(rest[:2], "big"), rest[2:]
            if v5:
                self.props, rest = read_properties(rest)
            self.payload = rest

    @property
    def reason(self):
        return self.props.get(REASON, "")


class Raw:
    """One connection, read packet by packet."""

    def __init__(self, device, v5=True, tls=None, wait_s=WAIT_S):
        self.device, self.v5, self.next_id = device, v5, 0
        tls = tls or context(device.cert, device.key, device.node)
        tcp = socket.create_connection((device.ward.host, device.ward.port), timeout=wait_s)
        self.line = tls.wrap_socket(tcp)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.line.close()

    def send(self, kind, flags, body):
        self.line.sendall(bytes([kind << 4 | flags]) + varint(len(body)) + body)

    def connect(self, client_id="", keep_alive=30, clean=True, props=None, will=None, name="MQTT", version=None):
        """`will` is (topic, payload, qos, retain). Gives the CONNACK, or None if there is none."""
        flags = 2 if clean else 0
        if will:
            flags |= 4 | will[2] << 3 | (32 if will[3] else 0)
        level = version or (5 if self.v5 else 4)
        body = text(name) + bytes([level, flags]) + struct.pack(">H", keep_alive)
        body += properties(props or {}) if self.v5 else b""
        body += text(client_id)
        if will:
            body += (b"\x00" if self.v5 else b"") + text(will[0]) + text(will[1])
        self.send(1, 0, body)
        return self.read()

    def publish(self, topic, payload, qos=1, retain=False, packet_id=None, props=None):
        if packet_id is None and qos:
            self.next_id += 1
            packet_id = self.next_id
        body = text(topic) + (struct.pack(">H", packet_id) if qos else b"")
        body += (properties(props or {}) if self.v5 else b"") + payload
        self.send(3, qos << 1 | (1 if retain else 0), body)
        return packet_id

    def subscribe(self, *filters, qos=1, props=None):
        body = struct.pack(">H", 77) + (properties(props or {}) if self.v5 else b"")
        self.send(8, 2, body + b"".join(text(f) + bytes([qos]) for f in filters))
        return self.until(SUBACK)

    def unsubscribe(self, *filters):
        body = struct.pack(">H", 78) + (properties({}) if self.v5 else b"")
        self.send(10, 2, body + b"".join(map(text, filters)))
        return self.until(UNSUBACK)

    def ping(self):
        self.send(12, 0, b"")

    def disconnect(self):
        self.send(14, 0, b"")

    def _more(self):
        try:
            more = self.line.recv(65536)
        except (ConnectionError, ssl.SSLError, BrokenPipeError):
            more = b""
        self.buffer += more
        return bool(more)

    def read(self, wait_s=WAIT_S):
        """The next packet; None when the node has closed. A silence raises TimeoutError."""
        self.line.settimeout(wait_s)
        while True:
            if len(self.buffer) >= 2:
                length, at = 0, 1
                while at < len(self.buffer):
                    length |= (self.buffer[at] & 127) << (7 * (at - 1))
                    at += 1
                    if self.buffer[at - 1] < 128:
                        if len(self.buffer) >= at + length:
                            first, body = self.buffer[0], self.buffer[at:at + length]
                            self.buffer = self.buffer[at + length:]
                            return Packet(first >> 4, first & 15, body, self.v5)
                        break
            if not self._more():
                return None

    def until(self, kind, wait_s=WAIT_S):
        """The next packet of this kind; None when the node closes first."""
        while True:
            packet = self.read(wait_s)
            if packet is None or packet.kind == kind:
                return packet
