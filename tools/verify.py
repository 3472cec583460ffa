#!/usr/bin/env python3
"""A second verifier of Aceso's wire format, written from docs/wire.md alone.

    verify.py BUNDLE --genesis HASH      0: all holds, 1: names the first broken link, 3: holds, but no genesis is pinned,
                                         2: nothing was checked (wrong command line, a package is missing)
    verify.py … --checkpoint FILE        the same from a checkpoint on
    verify.py --vectors testdata/golden  every good vector decodes, re-encodes and holds; every bad one is refused
    verify.py --judge testdata/golden    reads `object<TAB>hex` lines, answers `holds` or `refused: why`, one line each

It shares no code with the Rust verifier, so that an error in one shows as a disagreement.
Sections are numbered like those of the page. Needs Python 3.9, `cryptography` and `pycryptodome`.
"""

import argparse
import hashlib
import hmac
import io
import sys
import time
from pathlib import Path
from typing import NamedTuple

try:
    from Crypto.Hash import keccak
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ModuleNotFoundError as missing:
    print(
        f"verify.py: nothing was checked: the Python module {missing.name} is not there. Install what it needs:\n"
        "    python3 -m pip install cryptography pycryptodome",
        file=sys.stderr,
    )
    sys.exit(2)


class Refused(Exception):
    """The bytes break a rule of the page."""


def need(condition, why):
    """Refuses unless the condition holds."""
    if not condition:
        raise Refused(why)


# ---- Section 16. Bounds ----

ENVELOPE_BYTES_MAX = 65536
HEADER_BYTES_MAX = 320
BODY_BYTES_MAX = 61440
TEXT_BYTES_MAX = 256
COUNT_MAX = 4096
SEQ_MAX = 2**53 - 1
EPOCH_MAX = 84006
TIME_MAX_MS = 7258118400000
STEPS_MAX = 3660
PERSISTENCE_MAX_MS = 600000
SILENCE_MAX_MS = 120000
COMMAND_BYTES_MAX = 512
ANSWER_MS_MAX = 43200000
LIMITS_MS_MAX = 86400000
PATH_MAX = 64
HEAD_BYTES_MAX = 256
RECEIPT_BYTES_MAX = 4096
PROVEN_MAX = 256
DELIVERY_BYTES_MAX = 1097728
LEDGER_PROOF_BYTES_MAX = 524288
CHANGES_MAX = 256
CHECKPOINT_BYTES_MAX = 24576
SIGNERS_MAX = 128
AHEAD_MAX_MS = 300000
ACCOUNTS_MAX = 64
SLOTS_MAX = 16
NODES_MAX = 65
NODE_BYTES_MAX = 768
COMMITTEE_MAX = 128
GENESIS_BYTES_MAX = 16384
NAME_BYTES_MAX = 64
CONTRACTS_MAX = 64
FOUNDERS_MAX = 128
BOARDS_MAX = 64
PAIRING_BYTES_MAX = 262144
ITEM_BYTES_MAX = 528384
DEVICES_PER_PROOF_MAX = 12
DEVICES_MAX = 65536
STREAMS_MAX = 262144
SEGMENT_LEN_MAX = 4096
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1
DEPTH_MAX = 8  # no object nests deeper


# ---- Section 1. Conventions: hashes and deterministic CBOR ----


def H(*parts):
    """SHA-256 of the parts, one behind the other."""
    return hashlib.sha256(b"".join(parts)).digest()


def keccak_256(*parts):
    """Keccak-256 of the parts, one behind the other."""
    return keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def be(number, length):
    """A number in `length` bytes, big-endian."""
    return number.to_bytes(length, "big")


class Tag(NamedTuple):
    """A tagged CBOR value."""

    number: int
    value: object


def cbor_argument(data, at, end):
    """Reads major type and argument at `at`; returns (major, argument, where the rest begins)."""
    need(at < end, "the bytes end inside a value")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        return major, info, at
    need(info < 28, "an indefinite or reserved length")
    width = 1 << (info - 24)
    need(at + width <= end, "the bytes end inside a value")
    argument = int.from_bytes(data[at : at + width], "big")
    shortest = 24 if width == 1 else 1 << (4 * width)
    need(argument >= shortest, "an integer or length is not in its shortest form")
    return major, argument, at + width


def cbor_item(data, at, end, depth):
    """Reads one value; returns it and where it ends. Lengths are checked against what is left before any use."""
    need(depth > 0, "the value nests too deep")
    major, argument, at = cbor_argument(data, at, end)
    if major == 0:
        return argument, at
    if major == 1:
        return -1 - argument, at
    if major in (2, 3):
        need(argument <= end - at, "the bytes end inside a value")
        piece = data[at : at + argument]
        if major == 2:
            return piece, at + argument
        try:
            return piece.decode("utf-8"), at + argument
        except UnicodeDecodeError:
            raise Refused("a text is not UTF-8") from None
    if major == 4:
        need(argument <= end - at, "the bytes end inside a value")
        items = []
        for _ in range(argument):
            item, at = cbor_item(data, at, end, depth - 1)
            items.append(item)
        return tuple(items), at
    if major == 5:
        need(argument <= (end - at) // 2, "the bytes end inside a value")
        pairs, before = {}, None
        for _ in range(argument):
            start = at
            name, at = cbor_item(data, at, end, depth - 1)
            need(not isinstance(name, dict), "a map's key is a map")
            need(before is None or before < data[start:at], "a map's keys are out of order or repeat")
            before = data[start:at]
            pairs[name], at = cbor_item(data, at, end, depth - 1)
        return pairs, at
    need(major == 6, "floats and simple values are not used")
    value, at = cbor_item(data, at, end, depth - 1)
    return Tag(argument, value), at


def cbor_read(data, bytes_max):
    """The one value that `data` holds."""
    need(len(data) <= bytes_max, f"more than {bytes_max} bytes")
    value, at = cbor_item(data, 0, len(data), DEPTH_MAX)
    need(at == len(data), "bytes follow the value")
    return value


def cbor_head(major, argument):
    """Major type and argument in the shortest form."""
    if argument < 24:
        return bytes([major << 5 | argument])
    for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << (8 * width):
            return bytes([major << 5 | info]) + be(argument, width)
    raise ValueError("beyond 64 bits")


def cbor(value):
    """Deterministic CBOR of integers, bytes, text, tuples, maps and tags."""
    if isinstance(value, int):
        return cbor_head(0, value) if value >= 0 else cbor_head(1, -1 - value)
    if isinstance(value, bytes):
        return cbor_head(2, len(value)) + value
    if isinstance(value, str):
        encoded = value.encode()
        return cbor_head(3, len(encoded)) + encoded
    if isinstance(value, Tag):
        return cbor_head(6, value.number) + cbor(value.value)
    if isinstance(value, (tuple, list)):
        return cbor_head(4, len(value)) + b"".join(map(cbor, value))
    pairs = sorted((cbor(name), cbor(content)) for name, content in value.items())
    return cbor_head(5, len(pairs)) + b"".join(name + content for name, content in pairs)


# Shapes: what CDDL says of a value. A shape takes a value and returns it, or refuses.


def integer(low, high):
    def check(value):
        need(isinstance(value, int) and low <= value <= high, f"not an integer from {low} to {high}")
        return value

    return check


def blob(low, high=None):
    """`bytes .size low`, or from `low` to `high`."""
    high = low if high is None else high

    def check(value):
        need(isinstance(value, bytes) and low <= len(value) <= high, f"not a byte string of {low} to {high}")
        return value

    return check


def text(bytes_max):
    def check(value):
        need(isinstance(value, str) and len(value.encode()) <= bytes_max, f"not a text of at most {bytes_max} bytes")
        return value

    return check


def array(shape, low, high):
    def check(value):
        need(type(value) is tuple and low <= len(value) <= high, f"not an array of {low} to {high} items")
        return tuple(map(shape, value))

    return check


def record(kind, *shapes):
    """An array with named fields: a NamedTuple, which encodes back as it came."""

    def check(value):
        need(type(value) is tuple and len(value) == len(shapes), f"{kind.__name__} is not an array of {len(shapes)}")
        fields = []
        for name, shape, item in zip(kind._fields, shapes, value):
            try:
                fields.append(shape(item))
            except Refused as refused:
                raise Refused(f"{kind.__name__}.{name}: {refused}") from None
        return kind(*fields)

    return check


def literal(wanted):
    def check(value):
        need(type(value) is type(wanted) and value == wanted, f"not {wanted!r}")
        return value

    return check


def one_of(*shapes):
    def check(value):
        for shape in shapes:
            try:
                return shape(value)
            except Refused:
                pass
        raise Refused("of no known kind")

    return check


def ascending(items, what):
    """Strictly ascending, so nothing repeats."""
    items = list(items)
    need(all(a < b for a, b in zip(items, items[1:])), f"{what} are out of order or repeat")


def differ(items, what):
    items = list(items)
    need(len(set(items)) == len(items), f"{what} repeat")


uint = integer(0, U64_MAX)
hash32 = id32 = key = blob(32)
id16 = blob(16)
address = blob(20)
time_ms = uint
author_time = integer(0, TIME_MAX_MS)
version = integer(1, 1)
class_code = integer(1, 7)
epoch_number = integer(0, EPOCH_MAX)
path_shape = array(hash32, 0, PATH_MAX)

ZERO_32 = bytes(32)
VITALS, ENVIRONMENT, ALARMS, PROFILE, NOTES, MESSAGES, ACCESS = range(1, 8)


def id_of(public_key):
    """Device or organisation id of an Ed25519 key."""
    return H(public_key)[:16]


# ---- Section 1. Ed25519 by ZIP-215, and strong keys ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)
IDENTITY = (0, 1, 1, 0)  # extended coordinates: x = X/Z, y = Y/Z, T = XY/Z


def point_add(a, b):
    """Complete addition on edwards25519; doubles as well."""
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * D * a[3] * b[3] % P
    h = 2 * a[2] * b[2] % P
    w, x, y, z = f - e, h - g, h + g, f + e
    return w * x % P, y * z % P, x * y % P, w * z % P


def point_multiply(scalar, point):
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = point_add(result, point)
        point = point_add(point, point)
        scalar >>= 1
    return result


def is_identity(point):
    return point[0] % P == 0 and (point[1] - point[2]) % P == 0


def point_decode(encoded):
    """Any encoding that decodes to a point: y may be p or more, and x = 0 may carry a sign. None if there is none."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, (number & (2**255 - 1)) % P
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P) % P, (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * ROOT_OF_MINUS_1 % P
        if (v * x * x - u) % P:
            return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


BASE = point_decode(be(0x6666666666666666666666666666666666666666666666666666666666666658, 32)[::-1])


def zip_215(public_key, message, signature):
    """The exact rule: s below the group order, [8](sB - R - kA) = 0."""
    s = int.from_bytes(signature[32:], "little")
    a, r = point_decode(public_key), point_decode(signature[:32])
    if s >= L or a is None or r is None:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % L
    kAR = point_add(point_multiply(k, a), r)
    minus = (-kAR[0] % P, kAR[1], kAR[2], -kAR[3] % P)
    return is_identity(point_multiply(8, point_add(point_multiply(s, BASE), minus)))


_keys = {}


def signed_by(public_key, message, signature):
    """OpenSSL's rule is stricter than ZIP-215: what it accepts holds; what it refuses is decided by the exact rule."""
    try:
        loaded = _keys.get(public_key)
        if loaded is None:
            loaded = _keys[public_key] = Ed25519PublicKey.from_public_bytes(public_key)
        loaded.verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return zip_215(public_key, message, signature)


def is_strong(public_key):
    """The canonical encoding of a point of the prime-order group, other than its neutral element."""
    point = point_decode(public_key)
    if point is None:
        return False
    canonical = be(point[1] | (point[0] & 1) << 255, 32)[::-1]
    return canonical == public_key and not is_identity(point) and is_identity(point_multiply(L, point))


# ---- Section 2. COSE_Sign1 ----

PROTECTED = bytes.fromhex("a10132")


class Sign1(NamedTuple):
    protected: bytes
    unprotected: dict
    payload: bytes
    signature: bytes


_sign1 = record(Sign1, literal(PROTECTED), literal({}), blob(0, ENVELOPE_BYTES_MAX * 4), blob(64))


def cose_sign1(value):
    """Tag 18 around the one accepted form."""
    need(isinstance(value, Tag) and value.number == 18, "not a COSE_Sign1")
    return Tag(18, _sign1(value.value))


def to_be_signed(label, genesis, payload):
    return cbor(("Signature1", PROTECTED, label + genesis, payload))


def check_signature(label, genesis, signed, public_key, what):
    """`signed` is a COSE_Sign1 whose payload the key signed under this label, for this ledger."""
    message = to_be_signed(label, genesis, signed.value.payload)
    need(signed_by(public_key, message, signed.value.signature), f"{what} did not sign it")


# ---- Section 3. Envelope ----


class Header(NamedTuple):
    version: int
    genesis: bytes
    stream: bytes
    class_: int
    author: bytes
    epoch: int
    run: bytes
    seq: int
    prev: bytes
    first: int
    last: int
    clock: int
    count: int
    key_commitment: bytes
    ciphertext_hash: bytes


class Envelope(NamedTuple):
    signed: Tag
    ciphertext: bytes

    @property
    def header_bytes(self):
        return self.signed.value.payload

    @property
    def header_hash(self):
        return H(self.header_bytes)

    @property
    def leaf(self):
        return leaf_hash(self.header_bytes)


_header = record(
    Header, version, hash32, id16, class_code, id16, epoch_number, id16, integer(0, SEQ_MAX), hash32,
    author_time, author_time, integer(0, 2), integer(1, COUNT_MAX), blob(16), hash32,
)  # fmt: skip
_envelope = record(Envelope, cose_sign1, blob(17, ENVELOPE_BYTES_MAX))


def decode_header(data):
    header = _header(cbor_read(data, HEADER_BYTES_MAX))
    need(header.first <= header.last, "the header's times are out of order")
    need((header.prev == ZERO_32) == (header.seq == 0), "prev is zero for seq 0, and only then")
    return header


def decode_envelope(data):
    """Envelope and header; the ciphertext is the header's, the signature is not checked yet."""
    envelope = _envelope(cbor_read(data, ENVELOPE_BYTES_MAX))
    header = decode_header(envelope.header_bytes)
    need(H(envelope.ciphertext) == header.ciphertext_hash, "the ciphertext does not have the hash its header names")
    return envelope, header


def check_author(envelope, header, genesis, author_key):
    """The decoded envelope is of this ledger and signed by this key."""
    need(header.genesis == genesis, "the envelope is of another ledger")
    need(header.author == id_of(author_key), "the author is another")
    check_signature(b"aceso/envelope/v1", genesis, envelope.signed, author_key, "the author")


# ---- Section 4. Keys of a stream ----


def hkdf_extract(salt, secret):
    return hmac.digest(salt or ZERO_32, secret, "sha256")


def hkdf_expand(extracted, info, length):
    block = output = b""
    for counter in range(1, 2 + (length - 1) // 32):
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        output += block
    return output[:length]


def hkdf(salt, secret, info, length):
    return hkdf_expand(hkdf_extract(salt, secret), info, length)


def next_chain_key(chain):
    return hkdf(b"", chain, b"aceso/chain/v1/next", 32)


def content_key(chain):
    return hkdf(b"", chain, b"aceso/chain/v1/content", 32)


def chain_commitment(chain):
    return hkdf(b"", chain, b"aceso/chain/v1/commit", 32)


def message_key_and_commitment(chain, genesis, stream, run, epoch):
    info = b"aceso/message/v1" + genesis + stream + be(epoch, 4)
    message = hkdf(run, content_key(chain), info, 48)
    return message[:32], message[32:]


def associated_data(header):
    return cbor(tuple(header)[:14])


def open_envelope(envelope, header, chain, chain_epoch):
    """The body's bytes and the body, from the chain key of `chain_epoch`."""
    steps = header.epoch - chain_epoch
    need(0 <= steps <= STEPS_MAX, "the chain key does not reach the envelope's epoch")
    for _ in range(steps):
        chain = next_chain_key(chain)
    message_key, commitment = message_key_and_commitment(
        chain, header.genesis, header.stream, header.run, header.epoch
    )
    need(commitment == header.key_commitment, "the key is not the one the header commits to")
    nonce = bytes(4) + be(header.seq, 8)
    try:
        data = AESGCM(message_key).decrypt(nonce, envelope.ciphertext, associated_data(header))
    except InvalidTag:
        raise Refused("the ciphertext does not open") from None
    body = decode_body(data, header.first)
    count, first, last = body_extent(body, header.first)
    need(header.class_ in body_classes(body), "body and header differ in class")
    need((count, first, last) == (header.count, header.first, header.last), "body and header differ in count or times")
    return data, body


# ---- Section 5. Bodies ----

READINGS, ALARM_EVENTS, ACCESS_ENTRY, PROFILE_ENTRY, LIMITS, COMMAND_ISSUED, CONFIRMATIONS = range(1, 8)
LIMITS_CHANGE = 8
DISMISSAL = 12
CLASS_OF_METRIC = {1: VITALS, 2: VITALS, **{metric: ENVIRONMENT for metric in range(3, 10)}}
METRICS = len(CLASS_OF_METRIC)
I32 = (-(2**31), 2**31 - 1)


class Reading(NamedTuple):
    at: int
    value: object  # a 32-bit integer, or None when absent
    reason: object  # None, or why it is absent


class Column(NamedTuple):
    metric: int
    count: int
    packed: bytes


class Readings(NamedTuple):
    kind: int
    columns: tuple


class AlarmEvent(NamedTuple):
    at: int
    condition: int
    episode: int
    event_kind: int
    priority: int
    value: int
    by: bytes


class AlarmEvents(NamedTuple):
    kind: int
    events: tuple


class AccessEntry(NamedTuple):
    kind: int
    at: int
    reader: bytes
    reader_name: str
    purpose: int
    grant: bytes
    classes: tuple
    from_: int
    to: int
    session: bytes


class AccessByPerson(NamedTuple):
    kind: int
    at: int
    reader: bytes
    reader_name: str
    purpose: int
    grant: bytes
    classes: tuple
    from_: int
    to: int
    session: bytes
    person: bytes


class Profile(NamedTuple):
    kind: int
    at: int
    name: str
    bed: str


class LimitsOf(NamedTuple):
    metric: int
    thresholds: tuple
    hysteresis: int
    persistence_ms: int


class Limits(NamedTuple):
    kind: int
    at: int
    by: bytes
    limits_of: LimitsOf


class LimitsChange(NamedTuple):
    kind: int
    at: int
    by: bytes
    limits_of: LimitsOf
    before: LimitsOf
    reason: str
    until: tuple


class Dismissal(NamedTuple):
    kind: int
    at: int
    by: bytes
    condition: int
    reason: str


class CommandIssued(NamedTuple):
    kind: int
    command: Tag


class Confirmation(NamedTuple):
    at: int
    seq: int
    command: bytes
    outcome: int
    until: int
    limits_of: tuple


class Confirmations(NamedTuple):
    kind: int
    confirmations: tuple


metric = one_of(*(integer(code, code) for code in CLASS_OF_METRIC))
body_text = text(TEXT_BYTES_MAX)
_condition = one_of(
    integer(0x101, 0x109),
    integer(0x201, 0x209),
    integer(0x301, 0x309),
    integer(0x400, 0x405),
    integer(0x410, 0x411),
    integer(0x501, 0x509),
    integer(0x601, 0x609),
    integer(0x701, 0x709),
)
_limits_of = record(
    LimitsOf, metric, array(array(integer(*I32), 0, 1), 6, 6), integer(0, 2**31 - 1), integer(0, PERSISTENCE_MAX_MS)
)
_access = (
    uint, time_ms, id32, body_text, integer(1, 5), hash32,
    array(class_code, 0, 7), time_ms, time_ms, id16,
)  # fmt: skip
_outcome = one_of(integer(1, 4), integer(16, 24))
_body = {
    READINGS: record(
        Readings, uint, array(record(Column, metric, integer(1, COUNT_MAX), blob(0, BODY_BYTES_MAX)), 1, METRICS)
    ),
    ALARM_EVENTS: record(
        AlarmEvents,
        uint,
        array(
            record(AlarmEvent, time_ms, _condition, integer(0, U32_MAX), integer(1, 9), integer(0, 3), integer(*I32), id32),
            1,
            COUNT_MAX,
        ),
    ),
    ACCESS_ENTRY: one_of(record(AccessEntry, *_access), record(AccessByPerson, *_access, id32)),
    PROFILE_ENTRY: record(Profile, uint, time_ms, body_text, body_text),
    LIMITS: record(Limits, uint, time_ms, id32, _limits_of),
    COMMAND_ISSUED: record(CommandIssued, uint, cose_sign1),
    CONFIRMATIONS: record(
        Confirmations,
        uint,
        array(
            record(Confirmation, time_ms, integer(0, SEQ_MAX), hash32, _outcome, time_ms, array(_limits_of, 0, 1)),
            1,
            COUNT_MAX,
        ),
    ),
    LIMITS_CHANGE: record(
        LimitsChange, uint, time_ms, id32, _limits_of, _limits_of, body_text, array(time_ms, 0, 1)
    ),
    DISMISSAL: record(Dismissal, uint, time_ms, id32, _condition, body_text),
}  # fmt: skip


def varint_read(data, at):
    number = shift = 0
    while True:
        need(at < len(data), "a column ends inside a number")
        need(shift < 70, "a varint of more than ten bytes")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            need(byte or not shift, "a varint is not in its shortest form")
            need(number <= U64_MAX, "a varint beyond 64 bits")
            return number, at
        shift += 7


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def unpack(column, first):
    """The readings of a column, in its order."""
    at, when, value, readings = 0, first, 0, []
    for _ in range(column.count):
        step, at = varint_read(column.packed, at)
        when += step >> 1
        need(when <= U64_MAX, "a reading's time is beyond 64 bits")
        if step & 1:
            need(at < len(column.packed), "a column ends before its reason")
            reason = column.packed[at]
            at += 1
            need(1 <= reason <= 6, "an unknown reason of absence")
            readings.append(Reading(when, None, reason))
        else:
            zigzag, at = varint_read(column.packed, at)
            value += (zigzag >> 1) ^ -(zigzag & 1)
            need(I32[0] <= value <= I32[1], "a value beyond 32 bits")
            readings.append(Reading(when, value, None))
    need(at == len(column.packed), "bytes follow a column's readings")
    return readings


def pack(readings, first):
    when, value, out = first, 0, b""
    for reading in readings:
        step, when = reading.at - when, reading.at
        if reading.value is None:
            out += varint(step * 2 + 1) + bytes([reading.reason])
        else:
            change, value = reading.value - value, reading.value
            out += varint(step * 2) + varint((change << 1) ^ (change >> 63))
    return out


def of_organisation(person):
    return person[16:] == bytes(16)


def decode_body(data, first):
    """A body; `first` is its header's. The readings of a column come from `unpack`."""
    value = cbor_read(data, BODY_BYTES_MAX)
    need(type(value) is tuple and value and type(value[0]) is int and value[0] in _body, "a body of no known kind")
    body = _body[value[0]](value)
    if body.kind == READINGS:
        ascending((column.metric for column in body.columns), "columns")
        need(1 <= sum(column.count for column in body.columns) <= COUNT_MAX, "no reading, or too many")
        for column in body.columns:
            unpack(column, first)
    if body.kind == ACCESS_ENTRY:
        ascending(body.classes, "classes")
        if isinstance(body, AccessByPerson):
            need(of_organisation(body.reader), "a person is named although the reader is one")
            need(not of_organisation(body.person), "an organisation is no person")
    if body.kind == LIMITS:
        in_order(body.limits_of)
    if body.kind == LIMITS_CHANGE:
        in_order(body.limits_of)
        in_order(body.before)
        need(body.before.metric == body.limits_of.metric, "limits replace those of another metric")
        need(body.reason, "a change of limits without a reason")
        need(all(until > body.at for until in body.until), "a change of limits that is over before it begins")
    if body.kind == COMMAND_ISSUED:
        decode_command_payload(body.command.value.payload)
    if body.kind == CONFIRMATIONS:
        for confirmation in body.confirmations:
            for limits_of in confirmation.limits_of:
                in_order(limits_of)
    return body


def in_order(limits):
    above = [level[0] for level in limits.thresholds[:3] if level]
    below = [level[0] for level in limits.thresholds[3:] if level]
    ascending(above, "thresholds above")
    ascending(below[::-1], "thresholds below")
    need(not above or not below or below[0] < above[0], "the two sides of the limits overlap")


def body_classes(body):
    """The classes a body may stand in."""
    if body.kind == READINGS:
        classes = {CLASS_OF_METRIC[column.metric] for column in body.columns}
        return classes if len(classes) == 1 else set()
    return {{ACCESS_ENTRY: ACCESS, PROFILE_ENTRY: PROFILE}.get(body.kind, ALARMS)}


def body_extent(body, first):
    """Count, earliest and latest time of a body."""
    if body.kind == READINGS:
        times = [reading.at for column in body.columns for reading in unpack(column, first)]
    elif body.kind == ALARM_EVENTS:
        times = [event.at for event in body.events]
    elif body.kind == CONFIRMATIONS:
        times = [confirmation.at for confirmation in body.confirmations]
    elif body.kind == COMMAND_ISSUED:
        times = [decode_command_payload(body.command.value.payload).at]
    else:
        times = [body.at]
    return len(times), min(times), max(times)


# ---- Section 18. Commands to a bedside ----


class CommandPayload(NamedTuple):
    version: int
    genesis: bytes
    gateway: bytes
    bedside: bytes
    patient: bytes
    seq: int
    at: int
    deliver_by: int
    in_force_until: int
    by: bytes
    action: tuple


class Answer(NamedTuple):
    kind: int
    condition: int
    priority: int
    raised_at: int


class Pause(NamedTuple):
    kind: int
    condition: int


class NewLimits(NamedTuple):
    kind: int
    limits_of: LimitsOf


ANSWER, PAUSE, SOUND_ON, NEW_LIMITS = range(1, 5)
_action = one_of(
    record(Answer, literal(ANSWER), _condition, integer(0, 3), time_ms),
    record(Pause, integer(PAUSE, SOUND_ON), _condition),
    record(NewLimits, literal(NEW_LIMITS), _limits_of),
)
_command_payload = record(
    CommandPayload, version, hash32, id16, id16, id16, integer(1, SEQ_MAX), time_ms, time_ms, author_time, id32, _action
)


def decode_command_payload(data):
    payload = _command_payload(cbor_read(data, COMMAND_BYTES_MAX))
    kind = payload.action.kind
    longest = {ANSWER: ANSWER_MS_MAX, NEW_LIMITS: LIMITS_MS_MAX}.get(kind, SILENCE_MAX_MS)
    need(payload.at <= payload.deliver_by <= payload.in_force_until, "the command's times are out of order")
    need(payload.in_force_until - payload.at <= longest, "the command lasts longer than its action may")
    if kind == ANSWER:
        need(payload.action.raised_at <= payload.at, "answered before it was raised")
    if kind == NEW_LIMITS:
        in_order(payload.action.limits_of)
    return payload


def check_command(data, record_key):
    """A command of the organisation whose record key this is."""
    signed = cose_sign1(cbor_read(data, COMMAND_BYTES_MAX))
    payload = decode_command_payload(signed.value.payload)
    check_signature(b"aceso/command/v1", payload.genesis, signed, record_key, "the record key")
    return signed, payload


# ---- Section 6. Names derived by hashing ----


def stream_id(genesis, author, patient, class_):
    return H(b"aceso/stream/v1", genesis, author, patient, bytes([class_]))[:16]


def binding(genesis, device, patient, salt):
    return H(b"aceso/binding/v1", genesis, device, patient, salt)


def grant_id(patient, nonce):
    return keccak_256(patient, nonce)


# ---- Section 7. Log, receipt, delivery ----


class TreeHead(NamedTuple):
    version: int
    genesis: bytes
    organisation: bytes
    size: int
    root: bytes
    at: int


class Receipt(NamedTuple):
    version: int
    envelope: bytes
    index: int
    path: tuple
    signed: Tag


class Delivered(NamedTuple):
    envelope: bytes
    index: int
    path: tuple


class Delivery(NamedTuple):
    version: int
    organisation: bytes
    ledger: bytes
    envelopes: tuple


_tree_head = record(TreeHead, version, hash32, id16, uint, hash32, time_ms)
_receipt = record(Receipt, version, hash32, uint, path_shape, cose_sign1)
_delivery = record(
    Delivery, version, id16, blob(0, LEDGER_PROOF_BYTES_MAX),
    array(record(Delivered, hash32, uint, path_shape), 0, PROVEN_MAX),
)  # fmt: skip


def leaf_hash(leaf):
    return H(b"\0", leaf)


def node_hash(left, right):
    return H(b"\1", left, right)


def log_root(leaves):
    """RFC 6962 root over leaves (their bytes)."""
    if not leaves:
        return H(b"")
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(log_root(leaves[:half]), log_root(leaves[half:]))


def inclusion_holds(leaf, index, size, path, root):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistency_holds(first, second, first_root, second_root, path):
    """RFC 9162, section 2.1.4.2; also for the empty and the equal log, which need no path."""
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path and first_root == H(b"")
    if first > second or not path:
        return False
    path = list(path)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def decode_tree_head(data):
    return _tree_head(cbor_read(data, HEAD_BYTES_MAX))


def decode_receipt(data):
    """Receipt and the tree head it holds."""
    receipt = _receipt(cbor_read(data, RECEIPT_BYTES_MAX))
    return receipt, decode_tree_head(receipt.signed.value.payload)


def check_receipt(data, genesis, header_bytes, record_key):
    receipt, head = decode_receipt(data)
    need(head.genesis == genesis, "the tree head is of another ledger")
    need(receipt.envelope == H(header_bytes), "the receipt is for another envelope")
    leads = inclusion_holds(leaf_hash(header_bytes), receipt.index, head.size, receipt.path, head.root)
    need(leads, "the path does not lead to the tree head's root")
    check_signature(b"aceso/head/v1", genesis, receipt.signed, record_key, "the organisation's record key")
    return receipt, head


def decode_delivery(data):
    delivery = _delivery(cbor_read(data, DELIVERY_BYTES_MAX))
    decode_ledger_proof(delivery.ledger)
    return delivery


def check_delivery(data, document, headers):
    """The header hashes that the delivery proves durable; `headers` are the header bytes at hand."""
    delivery = decode_delivery(data)
    _, (anchor,) = check_ledger_proof(delivery.ledger, document, [("Anchor", delivery.organisation)])
    need(anchor is not None, "the organisation has no anchor")
    at_hand = {H(header): header for header in headers}
    proven = []
    for item in delivery.envelopes:
        need(item.envelope in at_hand, "the delivery names an unknown envelope")
        leaf = leaf_hash(at_hand[item.envelope])
        leads = inclusion_holds(leaf, item.index, anchor.size, item.path, anchor.root)
        need(leads, "a path does not lead to the anchored root")
        proven.append(item.envelope)
    return delivery, proven


# ---- Section 8. Pairing ----


class DeviceKeys(NamedTuple):
    key: bytes
    wrap_key: bytes


class PairingPayload(NamedTuple):
    version: int
    gateway: DeviceKeys
    sensors: tuple


class PairingPayload2(NamedTuple):
    version: int
    gateway: DeviceKeys
    sensors: tuple
    interval_ms: int


class PairingRequest(NamedTuple):
    payload: bytes
    signatures: tuple


class StreamKey(NamedTuple):
    author: bytes
    stream: bytes
    class_: int
    epoch: int
    commitment: bytes
    encapsulated: bytes
    wrapped: bytes


class AnswerPayload(NamedTuple):
    version: int
    genesis_document: bytes
    record_key: bytes
    gateway: bytes
    streams: tuple


_device_keys = record(DeviceKeys, key, key)
_pairing_payload = record(PairingPayload, version, _device_keys, array(_device_keys, 0, BOARDS_MAX))
_pairing_payload_2 = record(
    PairingPayload2, integer(2, 2), _device_keys, array(_device_keys, 0, BOARDS_MAX), integer(1_000, 3_600_000)
)
_pairing_request = record(PairingRequest, blob(0, PAIRING_BYTES_MAX), array(blob(64), 1, BOARDS_MAX + 1))
_answer_payload = record(
    AnswerPayload, version, blob(0, GENESIS_BYTES_MAX), key, id16,
    array(record(StreamKey, id16, id16, class_code, epoch_number, hash32, key, blob(48)), 0, BOARDS_MAX * 7),
)  # fmt: skip


def check_pairing_request(data):
    request = _pairing_request(cbor_read(data, PAIRING_BYTES_MAX))
    inner = cbor_read(request.payload, PAIRING_BYTES_MAX)
    payload = _pairing_payload_2(inner) if type(inner) is tuple and len(inner) == 4 else _pairing_payload(inner)
    devices = (payload.gateway, *payload.sensors)
    keys = [device.key for device in devices]
    differ(keys, "keys")
    need(len(request.signatures) == len(keys), "not one signature for each key")
    message = to_be_signed(b"aceso/pairing-request/v1", ZERO_32, request.payload)
    for public_key, signature in zip(keys, request.signatures):
        need(is_strong(public_key), "a key is weak")
        need(signed_by(public_key, message, signature), "a key it names did not sign it")
    return request, payload


def check_pairing_answer(data):
    """Answer and genesis document; whether the record key is the organisation meant is its owner's to say."""
    signed = cose_sign1(cbor_read(data, PAIRING_BYTES_MAX))
    payload = _answer_payload(cbor_read(signed.value.payload, PAIRING_BYTES_MAX))
    decode_genesis(payload.genesis_document)
    need(is_strong(payload.record_key), "the record key is weak")
    differ((stream.stream for stream in payload.streams), "streams")
    genesis = genesis_hash(payload.genesis_document)
    check_signature(b"aceso/pairing-answer/v1", genesis, signed, payload.record_key, "the record key it names")
    return signed, payload


def hpke_labeled_extract(suite, salt, label, secret):
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + secret)


def hpke_labeled_expand(suite, secret, label, info, length):
    return hkdf_expand(secret, be(length, 2) + b"HPKE-v1" + suite + label + info, length)


def hpke_open(secret_key, encapsulated, info, sealed):
    """RFC 9180, base mode, one message, no associated data: DHKEM(X25519), HKDF-SHA256, AES-256-GCM."""
    kem, suite = b"KEM" + be(0x20, 2), b"HPKE" + be(0x20, 2) + be(1, 2) + be(2, 2)
    secret_key = X25519PrivateKey.from_private_bytes(secret_key)
    recipient = secret_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    try:
        dh = secret_key.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    except ValueError:
        raise Refused("the encapsulated key is weak") from None
    shared = hpke_labeled_expand(
        kem, hpke_labeled_extract(kem, b"", b"eae_prk", dh), b"shared_secret", encapsulated + recipient, 32
    )
    context = b"\0" + hpke_labeled_extract(suite, b"", b"psk_id_hash", b"")
    context += hpke_labeled_extract(suite, b"", b"info_hash", info)
    secret = hpke_labeled_extract(suite, shared, b"secret", b"")
    aead_key = hpke_labeled_expand(suite, secret, b"key", context, 32)
    nonce = hpke_labeled_expand(suite, secret, b"base_nonce", context, 12)
    try:
        return AESGCM(aead_key).decrypt(nonce, sealed, b"")
    except InvalidTag:
        raise Refused("the chain key does not unwrap") from None


def unwrap_chain_key(stream_key, genesis, wrap_secret):
    """The chain key at the start of the stream key's epoch."""
    info = b"aceso/wrap/v1" + genesis + stream_key.stream + stream_key.author + be(stream_key.epoch, 4)
    chain = hpke_open(wrap_secret, stream_key.encapsulated, info, stream_key.wrapped)
    need(chain_commitment(chain) == stream_key.commitment, "the chain key is not the one committed to")
    return chain


# ---- Section 9. Genesis document ----


class Founder(NamedTuple):
    record_key: bytes
    sender: bytes


class Contract(NamedTuple):
    name: str
    address: bytes
    code: bytes


class Validator(NamedTuple):
    key: bytes
    operator: bytes


class GenesisDocument(NamedTuple):
    version: int
    chain_id: int
    name: str
    time: int
    epoch_blocks: int
    committee: tuple
    founders: tuple
    contracts: tuple
    salt: bytes


_name = text(NAME_BYTES_MAX)
def _genesis_shape(version, epoch_blocks, committee):
    return record(
        GenesisDocument, version, uint, _name, time_ms, epoch_blocks,
        committee, array(record(Founder, key, address), 0, FOUNDERS_MAX),
        array(record(Contract, _name, address, hash32), 0, CONTRACTS_MAX), blob(32),
    )  # fmt: skip


_genesis_1 = _genesis_shape(version, uint, array(key, 0, COMMITTEE_MAX))
_genesis_2 = _genesis_shape(
    integer(2, 2), integer(1, U64_MAX), array(record(Validator, key, id16), 1, COMMITTEE_MAX)
)


def genesis_hash(document):
    return H(b"aceso/genesis/v1", document)


def committee_of(document):
    """The founding validators' keys; version 2 names each one's organisation beside it."""
    return tuple(member.key if document.version == 2 else member for member in document.committee)


def decode_genesis(data):
    value = cbor_read(data, GENESIS_BYTES_MAX)
    two = type(value) is tuple and value[:1] == (2,)
    document = _genesis_2(value) if two else _genesis_1(value)
    ascending(committee_of(document), "committee members")
    ascending((founder.record_key for founder in document.founders), "founders")
    differ((contract.name for contract in document.contracts), "contract names")
    return document


# ---- Section 10. Block header and finality certificate ----


class BlockHeader(NamedTuple):
    version: int
    epoch: int
    view: int
    leader: bytes
    parent_view: int
    parent: bytes
    height: int
    time: int
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    extra: bytes
    committee: tuple


class Certificate(NamedTuple):
    version: int
    epoch: int
    view: int
    parent_view: int
    signatures: tuple  # of (place, signature)


class Layout:
    """Reads a fixed layout, integers big-endian."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        need(self.at + length <= len(self.data), "the layout ends early")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def end(self):
        need(self.at == len(self.data), "bytes follow the layout")


def decode_block_header(data):
    layout = Layout(data)
    head = (layout.number(1), layout.number(8), layout.number(8), layout.take(32), layout.number(8), layout.take(32))
    rest = (layout.number(8), layout.number(8), *(layout.take(32) for _ in range(4)))
    count = layout.number(2)
    need(count <= COMMITTEE_MAX, "the committee is too large")
    header = BlockHeader(*head, *rest, tuple(layout.take(32) for _ in range(count)))
    layout.end()
    need(header.version == 1, "the block header is of another version")
    ascending(header.committee, "the next committee's members")
    return header


def encode_block_header(header):
    return (
        be(1, 1) + be(header.epoch, 8) + be(header.view, 8) + header.leader + be(header.parent_view, 8)
        + header.parent + be(header.height, 8) + be(header.time, 8) + header.state_root + header.transactions_root
        + header.receipts_root + header.extra + be(len(header.committee), 2) + b"".join(header.committee)
    )  # fmt: skip


def header_digest(data):
    return H(b"aceso/header/v1", data)


def decode_certificate(data):
    layout = Layout(data)
    head = (layout.number(1), layout.number(8), layout.number(8), layout.number(8))
    count = layout.number(2)
    need(count <= COMMITTEE_MAX, "too many signatures")
    certificate = Certificate(*head, tuple((layout.number(2), layout.take(64)) for _ in range(count)))
    layout.end()
    need(certificate.version == 1, "the certificate is of another version")
    ascending((place for place, _ in certificate.signatures), "signers")
    return certificate


def encode_certificate(certificate):
    head = be(1, 1) + be(certificate.epoch, 8) + be(certificate.view, 8) + be(certificate.parent_view, 8)
    signatures = b"".join(be(place, 2) + signature for place, signature in certificate.signatures)
    return head + be(len(certificate.signatures), 2) + signatures


def check_certificate(header_bytes, header, certificate_bytes, genesis, committee):
    """The certificate, if it makes this header final by this committee."""
    certificate = decode_certificate(certificate_bytes)
    need(header.epoch == certificate.epoch, "header and certificate are of different epochs")
    quorum = len(committee) - (len(committee) - 1) // 3
    need(committee and len(certificate.signatures) >= quorum, "fewer signatures than a quorum")
    suffix = b"_FINALIZE"
    namespace = b"aceso/ledger/v1" + genesis
    message = varint(len(namespace) + len(suffix)) + namespace + suffix
    message += varint(certificate.epoch) + varint(certificate.view) + varint(certificate.parent_view)
    message += header_digest(header_bytes)
    for place, signature in certificate.signatures:
        need(place < len(committee), "a signer is not in the committee")
        need(signed_by(committee[place], message, signature), f"validator {place} did not sign this header")
    return certificate


# ---- Section 11. Ledger proof ----


class SlotProof(NamedTuple):
    slot: bytes
    nodes: tuple


class AccountProof(NamedTuple):
    address: bytes
    nodes: tuple
    slots: tuple


class Certified(NamedTuple):
    header: bytes
    certificate: bytes


class LedgerProof1(NamedTuple):
    version: int
    header: bytes
    certificate: bytes
    accounts: tuple

    @property
    def changes(self):
        return ()


class LedgerProof(NamedTuple):
    version: int
    changes: tuple
    header: bytes
    certificate: bytes
    accounts: tuple


_nodes = array(blob(0, NODE_BYTES_MAX), 0, NODES_MAX)
_header_bytes, _certificate_bytes = blob(0, 235 + 32 * COMMITTEE_MAX), blob(0, 27 + 66 * COMMITTEE_MAX)
_accounts = array(
    record(AccountProof, address, _nodes, array(record(SlotProof, blob(32), _nodes), 0, SLOTS_MAX)), 0, ACCOUNTS_MAX
)
_ledger_proof_1 = record(LedgerProof1, version, _header_bytes, _certificate_bytes, _accounts)
_certified = record(Certified, _header_bytes, _certificate_bytes)
_ledger_proof = record(
    LedgerProof, integer(2, 2), array(_certified, 0, CHANGES_MAX), _header_bytes, _certificate_bytes, _accounts
)
EMPTY_TRIE = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")


def rlp_item(data, at, end):
    """One RLP item in its shortest form: bytes or a list; and where it ends."""
    need(at < end, "RLP ends early")
    lead = data[at]
    if lead < 0x80:
        return data[at : at + 1], at + 1
    is_list = lead >= 0xC0
    length = lead - (0xC0 if is_list else 0x80)
    at += 1
    if length > 55:
        width = length - 55
        need(at + width <= end and data[at] != 0, "RLP ends early, or a length has leading zeros")
        length = int.from_bytes(data[at : at + width], "big")
        need(length > 55, "an RLP length is not in its shortest form")
        at += width
    need(length <= end - at, "RLP ends early")
    stop = at + length
    if not is_list:
        need(length != 1 or data[at] >= 0x80, "an RLP byte is not in its shortest form")
        return data[at:stop], stop
    items = []
    while at < stop:
        item, at = rlp_item(data, at, stop)
        items.append(item)
    return items, stop


def rlp_read(data):
    value, at = rlp_item(data, 0, len(data))
    need(at == len(data), "bytes follow the RLP")
    return value


def rlp(value):
    if isinstance(value, bytes):
        if len(value) == 1 and value[0] < 0x80:
            return value
        base, content = 0x80, value
    else:
        base, content = 0xC0, b"".join(map(rlp, value))
    if len(content) <= 55:
        return bytes([base + len(content)]) + content
    length = be(len(content), (len(content).bit_length() + 7) // 8)
    return bytes([base + 55 + len(length)]) + length + content


def nibbles(data):
    return [half for byte in data for half in (byte >> 4, byte & 15)]


def trie_get(root, key_hash, nodes):
    """The value at a hashed key, or None if the nodes prove that there is none."""
    if root == EMPTY_TRIE:
        need(not nodes, "an empty trie needs no nodes")
        return None
    path, used, reference = nibbles(key_hash), 0, root
    while True:
        if isinstance(reference, bytes):
            need(used < len(nodes), "the state proof ends before its path does")
            need(keccak_256(nodes[used]) == reference, "a trie node does not have the hash its parent names")
            node = rlp_read(nodes[used])
            used += 1
        else:
            need(len(rlp(reference)) < 32, "a node inside its parent is 32 bytes or longer")
            node = reference
        need(isinstance(node, list) and len(node) in (2, 17), "a trie node is not a list of 2 or 17")
        if len(node) == 17:
            need(node[16] == b"", "a branch holds a value")
            need(path, "a branch stands behind the end of the path")
            reference, path = node[path[0]], path[1:]
            if reference == b"":
                break
        else:
            need(isinstance(node[0], bytes) and node[0], "a node has no path")
            flag, *own = nibbles(node[0])
            need(flag < 4, "unknown path flags")
            if not flag & 1:
                need(own[0] == 0, "unknown path flags")
                own = own[1:]
            if path[: len(own)] != own or (flag & 2 and len(own) != len(path)):
                break
            if flag & 2:
                need(isinstance(node[1], bytes) and node[1], "a leaf holds no value")
                need(used == len(nodes), "nodes follow the end of the path")
                return node[1]
            reference, path = node[1], path[len(own) :]
        need(isinstance(reference, list) or len(reference) == 32, "a child is neither a hash nor a node")
    need(used == len(nodes), "nodes follow the end of the path")
    return None


def rlp_number(data, bytes_max):
    need(isinstance(data, bytes) and len(data) <= bytes_max, "not an RLP integer")
    need(data[:1] != b"\0", "an RLP integer has leading zeros")
    return int.from_bytes(data, "big")


def slot_words(account, state_root):
    """The 32-byte words of an account proof's slots."""
    leaf = trie_get(state_root, keccak_256(account.address), account.nodes)
    storage_root = EMPTY_TRIE
    if leaf is not None:
        fields = rlp_read(leaf)
        need(isinstance(fields, list) and len(fields) == 4, "an account is not a list of four")
        rlp_number(fields[0], 8), rlp_number(fields[1], 32)
        need(all(isinstance(field, bytes) and len(field) == 32 for field in fields[2:]), "an account's roots")
        storage_root = fields[2]
    words = []
    for slot in account.slots:
        value = trie_get(storage_root, keccak_256(slot.slot), slot.nodes)
        number = 0
        if value is not None:
            number = rlp_number(rlp_read(value), 32)
            need(number, "a slot in the trie is zero")
        words.append(be(number, 32))
    return words


def decode_ledger_proof(data):
    value = cbor_read(data, LEDGER_PROOF_BYTES_MAX)
    two = type(value) is tuple and value[:1] == (2,)
    proof = _ledger_proof(value) if two else _ledger_proof_1(value)
    decode_block_header(proof.header)
    decode_certificate(proof.certificate)
    return proof


class Known(NamedTuple):
    """A block known to be final, and the committee that certifies the one after it."""

    height: int
    digest: bytes
    committee: tuple


def check_place(header, epoch_blocks, least):
    """Rules 1 and 2: the height lies in the epoch, only the last names a committee, epochs ascend."""
    need(header.height > 0, "height 0 is never certified")
    need(epoch_blocks > 0 and header.height // epoch_blocks == header.epoch, "the height is not of its epoch")
    last = (header.height + 1) % epoch_blocks == 0
    need(last or not header.committee, "a header that is not its epoch's last names a committee")
    need(header.epoch >= least, "changes and header do not ascend")


def committee_after(changes, genesis, document, known):
    """The committee that stands after these changes, and the first epoch it may certify."""
    committee, least, led = committee_of(document), 0, False
    # Held against a known block only after the last change up to it.
    for number, change in enumerate(changes, 1):
        header = decode_block_header(change.header)
        try:
            check_place(header, document.epoch_blocks, least)
            need(header.committee, "it names no committee")
            if known is not None and header.height <= known.height:
                same = header.height < known.height or header_digest(change.header) == known.digest
                need(same, "another block is known at its height")
                led = True
            else:
                if known is not None:
                    need(not led or committee == known.committee, "the changes do not lead to the known committee")
                    committee, known = known.committee, None
                check_certificate(change.header, header, change.certificate, genesis, committee)
                need(header.committee != committee, "it names the committee that stands")
        except Refused as refused:
            raise Refused(f"change {number} of the committee: {refused}") from None
        committee, least = header.committee, header.epoch + 1
    if known is not None:
        need(not led or committee == known.committee, "the changes do not lead to the known committee")
        committee = known.committee
    return committee, least


def check_finality(proof, document_bytes, known=None):
    """Header, certificate and committee, if the block is final: from the genesis on, or from a known block."""
    genesis, document = genesis_hash(document_bytes), decode_genesis(document_bytes)
    header = decode_block_header(proof.header)
    need(header.height > 0, "height 0 is never certified")
    above = known is not None and header.height > known.height
    committee, least = committee_after(proof.changes, genesis, document, known if above else None)
    if proof.version == 1:
        need(header.epoch == 0, "version 1 speaks of epoch 0 only")
    else:
        check_place(header, document.epoch_blocks, least)
    certificate = check_certificate(proof.header, header, proof.certificate, genesis, committee)
    if known is not None and not above:
        need(header.height == known.height, f"block {header.height} is below block {known.height}, which is known")
        need(header_digest(proof.header) == known.digest, "another block is known at this height")
    return header, certificate, committee


class Signer(NamedTuple):
    record_key: bytes
    signature: bytes


class Checkpoint(NamedTuple):
    payload: bytes
    signatures: tuple


class CheckpointPayload(NamedTuple):
    version: int
    genesis: bytes
    height: int
    digest: bytes
    committee: tuple
    at: int


_checkpoint = record(
    Checkpoint, blob(0, CHECKPOINT_BYTES_MAX), array(record(Signer, key, blob(64)), 1, SIGNERS_MAX)
)
_checkpoint_payload = record(
    CheckpointPayload, version, hash32, uint, hash32, array(key, 1, COMMITTEE_MAX), uint
)


def decode_checkpoint(data):
    """Checkpoint and payload; every signature is good."""
    checkpoint = _checkpoint(cbor_read(data, CHECKPOINT_BYTES_MAX))
    payload = _checkpoint_payload(cbor_read(checkpoint.payload, CHECKPOINT_BYTES_MAX))
    ascending(payload.committee, "committee members")
    ascending((signer.record_key for signer in checkpoint.signatures), "signers")
    message = to_be_signed(b"aceso/checkpoint/v1", payload.genesis, checkpoint.payload)
    for signer in checkpoint.signatures:
        need(is_strong(signer.record_key), "a record key is weak")
        need(signed_by(signer.record_key, message, signer.signature), "a record key did not sign")
    return checkpoint, payload


def trust_checkpoint(data, document_bytes, now, age_max=30 * 86_400_000, organisations=None, least=None):
    """The known block, if enough pinned organisations (more than half of the founders) vouch for it."""
    checkpoint, payload = decode_checkpoint(data)
    document = decode_genesis(document_bytes)
    need(payload.genesis == genesis_hash(document_bytes), "the checkpoint is of another ledger")
    pinned = organisations or [founder.record_key for founder in document.founders]
    least = len(pinned) // 2 + 1 if least is None else least
    need(0 < least <= len(pinned), "that many organisations are not pinned")
    found = sum(signer.record_key in pinned for signer in checkpoint.signatures)
    need(found >= least, f"{found} of the pinned organisations signed the checkpoint, {least} must have")
    need(now - payload.at <= age_max, "the checkpoint is too old")
    need(payload.at - now <= AHEAD_MAX_MS, "the checkpoint lies ahead of this clock")
    blocks = document.epoch_blocks
    need(blocks == 0 or (payload.height + 1) % blocks != 0, "the checkpoint is an epoch's last block")
    return Known(payload.height, payload.digest, payload.committee)


def check_ledger_proof(data, document, facts, known=None, only_version=None):
    """Header, certificate and committee, and the records of `facts`, pairs of a name and an id; absent ones are None."""
    proof = decode_ledger_proof(data)
    need(only_version in (None, proof.version), "the ledger proof is not of the bundle's version")
    header, certificate, committee = check_finality(proof, document, known)
    contracts = {contract.name: contract.address for contract in decode_genesis(document).contracts}
    need(len(proof.accounts) == len(facts), "not one account proof for each fact")
    records = []
    for account, (fact, of) in zip(proof.accounts, facts):
        contract, count, reader = FACTS[fact]
        need(account.address == contracts.get(contract), f"the account is not {contract}")
        first = int.from_bytes(mapping_slot(of), "big")
        wanted = [be((first + n) % 2**256, 32) for n in range(count)]
        need([slot.slot for slot in account.slots] == wanted, "the state proof is about other storage slots")
        words = slot_words(account, header.state_root)
        records.append(reader(words, of) if any(map(any, words)) else None)
    return (header, certificate, committee), records


# ---- Section 12. Storage slots ----


class Organisation(NamedTuple):
    record_key: bytes
    sender: bytes
    since: int
    active: int


class Device(NamedTuple):
    key: bytes
    wrap_key: bytes
    binding: bytes
    gateway: bytes
    organisation: bytes
    since: int
    kind: int
    revoked: int
    reason: int
    last_trusted_seq: int


class Anchor(NamedTuple):
    root: bytes
    size: int
    height: int


SENSOR, GATEWAY = 1, 2


def mapping_slot(of, number=0):
    """Where the record of a 16-byte id begins; ids are left-aligned in their word."""
    return keccak_256(of.ljust(32, b"\0"), be(number, 32))


def packed(word, offset, length):
    """Bytes of a packed word; offsets count from its low end."""
    return word[32 - offset - length : 32 - offset]


def packed_number(word, offset, length):
    return int.from_bytes(packed(word, offset, length), "big")


def read_organisation(words, of):
    w = words[1]
    need(packed_number(w, 28, 1) <= 1, "not an organisation's record")
    return Organisation(words[0], packed(w, 0, 20), packed_number(w, 20, 8), packed_number(w, 28, 1))


def read_device(words, of):
    need(id_of(words[0]) == of, "the device's key does not hash to its id")
    w = words[4]
    need(packed_number(w, 8, 1) in (SENSOR, GATEWAY), "a device of no known kind")
    need(not packed_number(w, 9, 8) or packed_number(w, 17, 1) in (1, 2), "revoked for no known reason")
    return Device(
        *words[:3], packed(words[3], 0, 16), packed(words[3], 16, 16), packed_number(w, 0, 8),
        packed_number(w, 8, 1), packed_number(w, 9, 8), packed_number(w, 17, 1), packed_number(w, 18, 8),
    )  # fmt: skip


def read_anchor(words, of):
    anchor = Anchor(words[0], packed_number(words[1], 0, 8), packed_number(words[1], 8, 8))
    return anchor if anchor.size else None


FACTS = {
    "Organisation": ("Directory", 2, read_organisation),
    "Device": ("Devices", 5, read_device),
    "Anchor": ("Anchors", 2, read_anchor),
}


def domain_separator(chain_id, consents, genesis):
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)"
    name, number = keccak_256(b"Aceso Consents"), keccak_256(b"1")
    return keccak_256(keccak_256(kind), name, number, be(chain_id, 32), consents.rjust(32, b"\0"), genesis)


def consent_digest(domain, patient, grantee, terms, from_, until, nonce, deadline):
    kind = (
        b"Consent(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,uint64 deadline)"
    )
    words = (patient, grantee, terms, be(from_, 32), be(until, 32), nonce, be(deadline, 32))
    return keccak_256(b"\x19\x01", domain, keccak_256(keccak_256(kind), *words))


def revocation_digest(domain, grant):
    return keccak_256(b"\x19\x01", domain, keccak_256(keccak_256(b"Revocation(bytes32 grant)"), grant))


# ---- Section 13. Bundle ----


class Start(NamedTuple):
    label: str
    genesis_document: bytes
    organisation: bytes
    proofs: int
    openings: int
    envelopes: int


class Proof(NamedTuple):
    devices: tuple
    ledger: bytes


class Opening(NamedTuple):
    device: bytes
    patient: bytes
    salt: bytes


class Sealed(NamedTuple):
    envelope: bytes
    index: int
    path: tuple
    receipt: bytes


_start = record(
    Start, one_of(*(literal(f"aceso/bundle/v{n}") for n in (1, 2, 3))), blob(0, GENESIS_BYTES_MAX), id16,
    integer(1, U64_MAX), integer(0, DEVICES_MAX), uint,
)  # fmt: skip
_proof = record(Proof, array(id16, 0, DEVICES_PER_PROOF_MAX), blob(0, LEDGER_PROOF_BYTES_MAX))
_opening = record(Opening, id16, id16, blob(32))
_sealed = record(Sealed, blob(0, ENVELOPE_BYTES_MAX), uint, path_shape, blob(0, RECEIPT_BYTES_MAX))


class Segment(NamedTuple):
    stream: bytes
    class_: int
    author: bytes
    epoch: int
    run: bytes
    clock: int
    key_commitment: bytes
    first_seq: int
    prev: bytes
    envelopes: tuple
    signature: bytes
    index: int
    path: tuple


class Own(NamedTuple):
    step: int
    span: int
    count: int
    ciphertext: bytes


_own = record(
    Own, integer(-(2**63), 2**63 - 1), uint, integer(1, COUNT_MAX), blob(17, ENVELOPE_BYTES_MAX),
)  # fmt: skip
_segment = record(
    Segment, id16, class_code, id16, epoch_number, id16, integer(0, 2), blob(16), integer(0, SEQ_MAX), hash32,
    array(_own, 1, SEGMENT_LEN_MAX), blob(64), uint, path_shape,
)  # fmt: skip


def headers_of(segment, genesis):
    """The headers of a segment, made again, each with its bytes."""
    prev, first = segment.prev, 0
    for number, own in enumerate(segment.envelopes):
        first += own.step
        header = Header(
            1, genesis, segment.stream, segment.class_, segment.author, segment.epoch, segment.run,
            segment.first_seq + number, prev, first, first + own.span, segment.clock, own.count,
            segment.key_commitment, H(own.ciphertext),
        )  # fmt: skip
        need(first >= 0, "an envelope from before 1970")
        data = cbor(header)
        decode_header(data)
        prev = H(data)
        yield header, data


class Stream:
    """What is known of a stream while its envelopes pass."""

    def __init__(self, header):
        self.author, self.class_, self.first_seq = header.author, header.class_, header.seq
        self.last = None  # (seq, header hash)
        self.envelopes = self.readings = self.missing = self.behind_revocation = 0
        self.patient = None
        self.earliest, self.latest = header.first, header.last


class Verdict:
    """What a bundle proves."""

    def __init__(self):
        self.streams = {}
        self.envelopes = self.receipts = self.sealed_bytes = 0


class Items:
    """Reads a bundle one item at a time; knows which item a refusal is about."""

    def __init__(self, file):
        self.file, self.number, self.offset, self.next_offset, self.kind = file, -1, 0, 0, "start"

    def take(self, length):
        data = self.file.read(length)
        need(len(data) == length, "the bundle ends before the items counted at its start do")
        self.next_offset += length
        return data

    def read(self, kind, shape):
        self.number, self.offset, self.kind = self.number + 1, self.next_offset, kind
        head = self.take(1)
        if head[0] & 31 in (24, 25, 26, 27):
            head += self.take(1 << (head[0] & 31) - 24)
        major, length, _ = cbor_argument(head, 0, len(head))
        need(major == 2, "an item is not a byte string")
        need(length <= ITEM_BYTES_MAX, "an item is too long")
        return shape(cbor_read(self.take(length), ITEM_BYTES_MAX))

    def end(self):
        self.number, self.offset, self.kind = self.number + 1, self.next_offset, "end"
        need(not self.file.read(1), "bytes follow the last item")


def verify_bundle(file, pinned=None, know=None):
    """What the bundle proves; refuses at the first thing that does not hold. Refusals say which item they are about."""
    items = Items(file)
    try:
        return _verify_bundle(items, pinned, know)
    except Refused as refused:
        where = f"item {items.number} ({items.kind}, at byte {items.offset})"
        raise Refused(f"{where}: {refused}") from None


def _verify_bundle(items, pinned, know):
    verdict = Verdict()

    # 1. Start.
    start = items.read("start", _start)
    document = start.genesis_document
    verdict.document, verdict.start = decode_genesis(document), start
    genesis = verdict.genesis = genesis_hash(document)
    if pinned is not None:
        need(genesis == pinned, f"the bundle's genesis is {genesis.hex()}, the pinned one is {pinned.hex()}")
    segments = start.label == "aceso/bundle/v3"
    same = segments or start.label[-1] == str(verdict.document.version)
    need(same, "the genesis document is not of the bundle's version")
    known = know(document) if know else None

    # 2. Proofs.
    devices, last_device = {}, b""
    for number in range(start.proofs):
        proof = items.read("proof", _proof)
        ascending((last_device, *proof.devices), "devices")
        last_device = proof.devices[-1] if proof.devices else last_device
        facts = [("Device", device) for device in proof.devices]
        if number == 0:
            facts = [("Organisation", start.organisation), ("Anchor", start.organisation)] + facts
        (header, certificate, committee), records = check_ledger_proof(
            proof.ledger, document, facts, known, verdict.document.version
        )
        if number == 0:
            organisation, anchor, *records = records
            need(organisation is not None, "the organisation is not on the ledger")
            need(anchor is not None, "the organisation has no anchor")
            need(is_strong(organisation.record_key), "the record key is weak")
            verdict.header, verdict.certificate, verdict.anchor = header, certificate, anchor
            verdict.committee = committee
        need(header.height >= verdict.header.height, "an older block than the first proof's")
        for of, device in zip(proof.devices, records):
            need(device is not None, f"device {of.hex()} is not on the ledger")
            need(device.organisation == start.organisation, f"device {of.hex()} is of another organisation")
            need(is_strong(device.key), f"the key of device {of.hex()} is weak")
            devices[of] = device
        need(len(devices) <= DEVICES_MAX, "too many devices")

    # 3. Openings.
    openings, last_device = {}, b""
    for _ in range(start.openings):
        opening = items.read("opening", _opening)
        ascending((last_device, opening.device), "openings")
        last_device = opening.device
        need(opening.device in devices, "the opened device is not proven")
        on_ledger = devices[opening.device].binding
        given = binding(genesis, opening.device, opening.patient, opening.salt)
        need(given == on_ledger, "patient and salt do not give the binding on the ledger")
        openings[opening.device] = opening.patient

    # 4. Envelopes and 5. receipts.
    node = id_of(organisation.record_key)
    before = None

    def author_of(header):
        """The device, unless the organisation itself wrote, and the key that must have signed."""
        if header.author == node:
            return None, organisation.record_key
        device = devices.get(header.author)
        need(device is not None, "the author is not proven")
        need(device.kind == SENSOR, "the author is not a sensor")
        gateway = devices.get(device.gateway)
        need(gateway is not None and gateway.kind == GATEWAY, "the author's gateway is not proven")
        return device, device.key

    def enter(header, header_hash, device, ciphertext):
        nonlocal before
        need(before is None or before < (header.stream, header.seq), "envelopes are out of order or repeat")
        before = (header.stream, header.seq)
        stream = verdict.streams.get(header.stream)
        if stream is None:
            stream = verdict.streams[header.stream] = Stream(header)
            need(len(verdict.streams) <= STREAMS_MAX, "too many streams")
        need((stream.author, stream.class_) == (header.author, header.class_), "a stream of two authors or classes")
        if header.author in openings:
            stream.patient = openings[header.author]
            named = stream_id(genesis, header.author, stream.patient, header.class_)
            need(named == header.stream, "the stream is not that of author, patient and class")
        if stream.last is not None and stream.last[0] + 1 == header.seq:
            need(header.prev == stream.last[1], "prev is not the header hash of the envelope before")
        elif stream.last is not None:
            stream.missing += header.seq - stream.last[0] - 1
        stream.last = (header.seq, header_hash)
        if device is not None and device.revoked and header.seq > device.last_trusted_seq:
            stream.behind_revocation += 1
        stream.envelopes += 1
        stream.readings += header.count
        stream.earliest, stream.latest = min(stream.earliest, header.first), max(stream.latest, header.last)
        verdict.envelopes += 1
        verdict.sealed_bytes += len(ciphertext)

    def in_log(header_bytes, item):
        leads = inclusion_holds(leaf_hash(header_bytes), item.index, anchor.size, item.path, anchor.root)
        need(leads, "the path does not lead from this envelope to the anchored root")

    while segments and verdict.envelopes < start.envelopes:
        segment = items.read("envelope", _segment)
        count = len(segment.envelopes)
        need(count <= start.envelopes - verdict.envelopes, "more envelopes than the start counts")
        device, author_key = author_of(segment)
        if device is not None and device.revoked and segment.first_seq <= device.last_trusted_seq:
            in_time = segment.first_seq + count - 1 <= device.last_trusted_seq
            need(in_time, "the segment goes on beyond the last number its author is trusted for")
        for own, (header, header_bytes) in zip(segment.envelopes, headers_of(segment, genesis)):
            enter(header, H(header_bytes), device, own.ciphertext)
        need(segment.author == id_of(author_key), "the author is another")
        message = to_be_signed(b"aceso/envelope/v1", genesis, header_bytes)
        need(signed_by(author_key, message, segment.signature), "the author did not sign it")
        in_log(header_bytes, segment)

    for _ in range(0 if segments else start.envelopes):
        sealed = items.read("envelope", _sealed)
        envelope, header = decode_envelope(sealed.envelope)
        device, author_key = author_of(header)
        check_author(envelope, header, genesis, author_key)
        enter(header, envelope.header_hash, device, envelope.ciphertext)
        in_log(envelope.header_bytes, sealed)
        if sealed.receipt:
            receipt, head = check_receipt(sealed.receipt, genesis, envelope.header_bytes, organisation.record_key)
            need(head.organisation == start.organisation, "the receipt is of another organisation")
            need(receipt.index == sealed.index, "the receipt is for another index")
            need(head.size != anchor.size or head.root == anchor.root, "the organisation signed two logs of one size")
            verdict.receipts += 1

    # 6. Exactly the counted items.
    items.end()
    return verdict


def report(verdict, file):
    """One line per thing proven."""
    start, anchor = verdict.start, verdict.anchor
    print(f'Ledger    "{verdict.document.name}", genesis {verdict.genesis.hex()}', file=file)
    print(f"Log of    organisation {start.organisation.hex()}", file=file)
    signed, committee = len(verdict.certificate.signatures), len(verdict.committee)
    print(f"Final     block {verdict.header.height}, signed by {signed} of {committee} validators", file=file)
    print(f"Anchored  {anchor.size} envelopes, root {anchor.root.hex()}, in block {anchor.height}", file=file)
    receipts = f", {verdict.receipts} with the node's receipt" if verdict.receipts else ""
    print(f"In here   {verdict.envelopes} of them{receipts}", file=file)
    for name, stream in verdict.streams.items():
        numbers = f"number {stream.first_seq} to {stream.last[0]}, {stream.missing} missing"
        about = f", about patient {stream.patient.hex()}" if stream.patient else ""
        print(f"Stream    {name.hex()}, class {stream.class_}, by {stream.author.hex()}{about}", file=file)
        print(f"          {stream.envelopes} envelopes, {stream.readings} readings or events, {numbers}", file=file)
        if stream.behind_revocation:
            print(f"          {stream.behind_revocation} behind the revocation of their author", file=file)


# ---- Section 14. Golden files ----


class Vectors:
    """The golden files, and for each object the check that a stranger can make of it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.genesis_document, self.bundle_document = self.load("genesis_v1"), self.load("bundle_genesis_v1")
        self.later_document = self.load("bundle_genesis_v2")
        self.genesis, self.bundle_genesis = genesis_hash(self.genesis_document), genesis_hash(self.bundle_document)
        request = cbor_read(self.load("pairing_request_v1"), PAIRING_BYTES_MAX)
        payload = _pairing_payload(cbor_read(request[0], PAIRING_BYTES_MAX))
        self.device_keys = {id_of(device.key): device.key for device in (payload.gateway, *payload.sensors)}
        # Header bytes by header hash.
        self.headers = {}
        self.logged_headers = self.load_sequence("logged_headers_v1")
        for header_bytes in self.logged_headers:
            self.headers[H(header_bytes)] = header_bytes
        items = Items(io.BytesIO(self.load("bundle_v1")))
        start = items.read("start", _start)
        self.organisation = start.organisation
        for kind, count, shape in (
            ("proof", start.proofs, _proof),
            ("opening", start.openings, _opening),
            ("envelope", start.envelopes, _sealed),
        ):
            for _ in range(count):
                item = items.read(kind, shape)
                if kind == "envelope":
                    envelope, _ = decode_envelope(item.envelope)
                    self.headers[envelope.header_hash] = envelope.header_bytes
        self.record_keys = {
            self.genesis: decode_genesis(self.genesis_document).founders[0].record_key,
            self.bundle_genesis: decode_genesis(self.bundle_document).founders[0].record_key,
        }

    def load(self, name):
        return bytes.fromhex((self.folder / f"{name}.hex").read_text())

    def load_sequence(self, name):
        """A CBOR sequence of byte strings."""
        data, at, items = self.load(name), 0, []
        while at < len(data):
            item, at = cbor_item(data, at, len(data), 1)
            items.append(blob(0, ITEM_BYTES_MAX)(item))
        return items

    def judge(self, kind, data):
        """Refuses, or returns the bytes that the decoded object encodes back to."""
        return getattr(self, "judge_" + kind.replace(" ", "_"))(data)

    def judge_envelope(self, data):
        envelope, header = decode_envelope(data)
        author_key = self.device_keys.get(header.author)
        need(author_key is not None, "the author is unknown")
        need(header.genesis in self.record_keys, "the envelope is of another ledger")
        check_author(envelope, header, header.genesis, author_key)
        signed = Tag(18, envelope.signed.value._replace(payload=cbor(header)))
        return cbor(envelope._replace(signed=signed))

    def judge_header(self, data):
        return cbor(decode_header(data))

    def judge_body(self, data):
        body = decode_body(data, 1795348800000)
        if body.kind == READINGS:
            first = 1795348800000
            body = body._replace(columns=tuple(c._replace(packed=pack(unpack(c, first), first)) for c in body.columns))
        return cbor(body)

    def judge_tree_head(self, data):
        return cbor(decode_tree_head(data))

    def judge_receipt(self, data):
        receipt, head = decode_receipt(data)
        need(head.genesis in self.record_keys, "the tree head is of another ledger")
        need(receipt.envelope in self.headers, "the receipt is for another envelope")
        check_receipt(data, head.genesis, self.headers[receipt.envelope], self.record_keys[head.genesis])
        signed = Tag(18, receipt.signed.value._replace(payload=cbor(head)))
        return cbor(receipt._replace(signed=signed))

    def judge_ledger_proof(self, data):
        """Of the organisation's anchor, on either ledger."""
        proof = decode_ledger_proof(data)
        self.on_either_ledger(lambda document: check_ledger_proof(data, document, [("Anchor", self.organisation)]))
        header = encode_block_header(decode_block_header(proof.header))
        certificate = encode_certificate(decode_certificate(proof.certificate))
        return cbor(proof._replace(header=header, certificate=certificate))

    def on_either_ledger(self, check):
        """A ledger proof does not name its ledger: only its signatures show it."""
        try:
            return check(self.genesis_document)
        except Refused:
            return check(self.bundle_document)

    def judge_delivery(self, data):
        delivery, _ = self.on_either_ledger(lambda document: check_delivery(data, document, self.headers.values()))
        return cbor(delivery._replace(ledger=self.judge_ledger_proof(delivery.ledger)))

    def judge_block_header(self, data):
        return encode_block_header(decode_block_header(data))

    def judge_certificate(self, data):
        return encode_certificate(decode_certificate(data))

    def judge_genesis_document(self, data):
        return cbor(decode_genesis(data))

    def judge_pairing_request(self, data):
        request, payload = check_pairing_request(data)
        return cbor(request._replace(payload=cbor(payload)))

    def judge_pairing_answer(self, data):
        signed, payload = check_pairing_answer(data)
        payload = payload._replace(genesis_document=cbor(decode_genesis(payload.genesis_document)))
        return cbor(Tag(18, signed.value._replace(payload=cbor(payload))))

    def judge_command(self, data):
        payload = decode_command_payload(cose_sign1(cbor_read(data, COMMAND_BYTES_MAX)).value.payload)
        need(payload.genesis in self.record_keys, "the command is of another ledger")
        signed, payload = check_command(data, self.record_keys[payload.genesis])
        return cbor(Tag(18, signed.value._replace(payload=cbor(payload))))

    def judge_ledger_proof_2(self, data):
        proof = decode_ledger_proof(data)
        check_ledger_proof(data, self.later_document, [("Anchor", self.organisation)], only_version=2)
        return cbor(proof)

    def judge_checkpoint(self, data):
        trust_checkpoint(data, self.later_document, 1795435200000)
        checkpoint, payload = decode_checkpoint(data)
        return cbor(checkpoint._replace(payload=cbor(payload)))

    def judge_bundle_2(self, data):
        verify_bundle(io.BytesIO(data), genesis_hash(self.later_document))
        return data

    def judge_bundle(self, data):
        verify_bundle(io.BytesIO(data), self.bundle_genesis)
        return data


GOOD = {
    "envelope_v1": "envelope", "envelope_v1_next": "envelope", "envelope_sealed_v1": "envelope",
    "header_v1": "header", "body_readings_v1": "body", "body_alarms_v1": "body", "body_access_v1": "body",
    "body_access_v2": "body",
    "body_profile_v1": "body", "body_limits_v1": "body", "body_limits_v2": "body",
    "body_alarms_v1_silence_ended": "body", "body_command_v1": "body", "body_confirmations_v1": "body",
    "command_acknowledge_v1": "command", "command_silence_v1": "command", "command_end_silence_v1": "command",
    "command_limits_v1": "command", "body_dismissal_v1": "body", "tree_head_v1": "tree head", "receipt_v1": "receipt",
    "body_readings_unsteady_v1": "body", "body_alarms_unsteady_v1": "body",
    "body_readings_rate_v1": "body", "body_alarms_rate_v1": "body",
    "delivery_v1": "delivery", "ledger_proof_v1": "ledger proof", "block_header_v1": "block header",
    "certificate_v1": "certificate", "genesis_v1": "genesis document", "genesis_v2": "genesis document",
    "bundle_genesis_v1": "genesis document", "bundle_genesis_v2": "genesis document",
    "ledger_proof_v2": "ledger proof 2", "checkpoint_v1": "checkpoint", "bundle_v2": "bundle 2",
    "pairing_request_v1": "pairing request", "pairing_request_v2": "pairing request",
    "pairing_answer_v1": "pairing answer", "bundle_v1": "bundle", "bundle_v3": "bundle",
}  # fmt: skip


def check_relations(vectors):
    """What the page says of one golden file by another; returns how many files that names beyond `GOOD`."""
    load = vectors.load
    envelope, header = decode_envelope(load("envelope_v1"))
    following = decode_envelope(load("envelope_v1_next"))[1]
    need(load("header_v1") == envelope.header_bytes, "header_v1 is not the header of envelope_v1")
    need(load("associated_data_v1") == associated_data(header), "associated_data_v1 is not that of envelope_v1")
    signed = to_be_signed(b"aceso/envelope/v1", vectors.genesis, envelope.header_bytes)
    need(load("to_be_signed_v1") == signed, "to_be_signed_v1 is not that of envelope_v1")
    need(following.prev == envelope.header_hash and following.seq == 1, "envelope_v1_next does not follow envelope_v1")

    chain, genesis, stream, run = bytes([0x11] * 32), bytes([0x22] * 32), bytes([0x33] * 16), bytes([0x44] * 16)
    keys = next_chain_key(chain) + content_key(chain) + chain_commitment(chain)
    keys += b"".join(message_key_and_commitment(chain, genesis, stream, run, 20779))
    need(load("keys_v1") == keys, "keys_v1 is another key schedule")
    sealed, sealed_header = decode_envelope(load("envelope_sealed_v1"))
    data, _ = open_envelope(sealed, sealed_header, chain, sealed_header.epoch)
    need(data == load("body_readings_v1"), "envelope_sealed_v1 opens to another body")

    receipt, head = decode_receipt(load("receipt_v1"))
    need(receipt.signed.value.payload == load("tree_head_v1"), "tree_head_v1 is not that of receipt_v1")
    need(head.root == log_root(vectors.logged_headers), "logged_headers_v1 are not the log of receipt_v1")
    need(receipt.envelope == H(vectors.logged_headers[receipt.index]), "receipt_v1 is for another envelope")

    wrap_secret, signing_seed = bytes([0x66] * 32), bytes([0x55] * 32)
    author = Ed25519PrivateKey.from_private_bytes(signing_seed).public_key()
    author = id_of(author.public_bytes(Encoding.Raw, PublicFormat.Raw))
    wrap = load("chain_key_wrap_v1")
    given = StreamKey(author, stream, VITALS, 20779, chain_commitment(chain), wrap[:32], wrap[32:])
    need(len(wrap) == 80 and unwrap_chain_key(given, genesis, wrap_secret) == chain, "chain_key_wrap_v1")
    delivery = decode_delivery(load("delivery_v1"))
    need(delivery.ledger == load("ledger_proof_v1") and len(delivery.envelopes) == 2, "delivery_v1")
    proof = decode_ledger_proof(load("ledger_proof_v1"))
    need(proof.header == load("block_header_v1"), "block_header_v1")
    need(proof.certificate == load("certificate_v1"), "certificate_v1")

    domain = domain_separator(84001, bytes([0x11] * 20), bytes([0x22] * 32))
    patient, grantee, terms, nonce = (bytes([byte] * 32) for byte in (0x33, 0x34, 0x35, 0x36))
    grant = grant_id(patient, nonce)
    consent = consent_digest(
        domain, patient, grantee, terms, 1800000000000, 1800086400000, nonce, 1800000600000
    )
    digests = consent + revocation_digest(domain, grant) + grant
    need(load("consent_digests_v1") == digests, "consent_digests_v1")

    def typed(kind, *words):
        return keccak_256(b"\x19\x01", domain, keccak_256(keccak_256(kind), *words))

    under = typed(
        b"ConsentUnderPolicy(bytes32 patient,bytes32 grantee,bytes32 terms,uint64 from,uint64 until,bytes32 nonce,"
        b"uint64 deadline,address policy)",
        patient, grantee, terms, be(1800000000000, 32), be(1800086400000, 32), nonce, be(1800000600000, 32),
        bytes(12) + bytes([0x44] * 20),
    )
    clinician, second, reason, nonce, auditor, remark = (bytes([byte] * 32) for byte in range(0x37, 0x3D))

    def glass(stander_by):
        return typed(
            b"BreakGlass(bytes32 patient,bytes32 clinician,bytes32 second,bytes32 reason,uint64 from,uint64 until,"
            b"bytes32 nonce)",
            patient, clinician, stander_by, reason, be(1800000000000, 32), be(1800003600000, 32), nonce,
        )

    entry = keccak_256(patient, clinician, nonce)
    review = typed(
        b"Review(bytes32 entry,bytes32 auditor,uint8 verdict,bytes32 remark)", entry, auditor, be(1, 32), remark
    )
    digests = under + glass(bytes(32)) + glass(second) + entry + review
    need(load("policy_and_glass_digests_v1") == digests, "policy_and_glass_digests_v1")
    return 7


def check_log_algorithms(size_max=33):
    """Inclusion and consistency against roots computed from the leaves: RFC 6962 logs of every size up to `size_max`."""

    def inclusion(index, leaves):
        if len(leaves) <= 1:
            return []
        half = 1 << (len(leaves) - 1).bit_length() - 1
        if index < half:
            return inclusion(index, leaves[:half]) + [log_root(leaves[half:])]
        return inclusion(index - half, leaves[half:]) + [log_root(leaves[:half])]

    def consistency(first, leaves, whole=True):
        if first == len(leaves):
            return [] if whole else [log_root(leaves)]
        half = 1 << (len(leaves) - 1).bit_length() - 1
        if first <= half:
            return consistency(first, leaves[:half], whole) + [log_root(leaves[half:])]
        return consistency(first - half, leaves[half:], False) + [log_root(leaves[:half])]

    leaves = [bytes([n]) for n in range(size_max)]
    for size in range(1, size_max + 1):
        root, log = log_root(leaves[:size]), leaves[:size]
        for n in range(size):
            path = inclusion(n, log)
            need(inclusion_holds(leaf_hash(log[n]), n, size, path, root), "an inclusion path")
            need(not inclusion_holds(leaf_hash(log[n]), n, size, path + [root], root), "a long path")
            first, path = n + 1, consistency(n + 1, log)
            old = log_root(log[:first])
            need(consistency_holds(first, size, old, root, path), "a consistency proof")
            need(not consistency_holds(first, size, old, root, path + [root]), "a long consistency proof")
            need(first == size or not consistency_holds(first, size, root, root, path), "another root")


def check_zip_215():
    """The eight points of small order, in all encodings, under which s = 0 holds for any message (ZIP-215's own cases)."""
    small = {point_decode(encoded) and encoded for encoded in small_order_encodings()}
    for a in small:
        need(not is_strong(a), "a small-order key is strong")
        for r in small:
            need(zip_215(a, b"Zcash", r + bytes(32)), "a case of ZIP-215")
            need(not zip_215(a, b"Zcash", r + L.to_bytes(32, "little")), "s is the group order")


def small_order_encodings():
    """All fourteen encodings of the eight small-order points that ZIP-215 accepts."""
    order_8 = point_decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
    ys = {point[1] * pow(point[2], P - 2, P) % P for point in (point_multiply(n, order_8) for n in range(8))}
    for y in ys:
        for number in (y, y + P):
            if number < 2**255:
                for sign in (0, 1):
                    yield be(number | sign << 255, 32)[::-1]


def check_vectors(folder, say_why):
    """Prints what fails and a summary, and why bad ones are refused if asked; returns the exit code."""
    began, vectors, failed = time.perf_counter(), Vectors(folder), 0
    for name, kind in GOOD.items():
        try:
            data = vectors.load(name)
            need(vectors.judge(kind, data) == data, "it does not encode back to itself")
        except Refused as refused:
            failed += 1
            print(f"{name}: {refused}")
    related = 0
    for check in (check_relations, lambda _: check_log_algorithms(), lambda _: check_zip_215()):
        try:
            related += check(vectors) or 0
        except Refused as refused:
            failed += 1
            print(f"golden files: {refused}")
    known = set(GOOD) | {"keys_v1", "associated_data_v1", "to_be_signed_v1", "consent_digests_v1"}
    known.add("policy_and_glass_digests_v1")
    known |= {"logged_headers_v1", "chain_key_wrap_v1"}
    known |= {"snapshot_questions_v1", "committee_changes_v1"}  # between nodes; nothing a verifier meets
    for path in sorted(vectors.folder.glob("*.hex")):
        if path.stem not in known:
            failed += 1
            print(f"{path.stem}: not known to this verifier")
    bad = 0
    for line in (vectors.folder / "bad.tsv").read_text().splitlines():
        if line.startswith("#"):
            continue
        name, kind, why = line.split("\t")
        bad += 1
        try:
            vectors.judge(kind, bytes.fromhex((vectors.folder / name).read_text()))
        except Refused as refused:
            if say_why:
                print(f"{name}: {refused}\n    {why}")
            continue
        failed += 1
        print(f"{name}: accepted")
    seconds = time.perf_counter() - began
    good = len(GOOD) + related
    print(f"{good} good and {bad} bad vectors, {failed} failed, {seconds:.2f} s")
    return 1 if failed else 0


def judge_lines(folder, lines, out):
    """Answers `object<TAB>hex` lines: for tests that compare two verifiers."""
    vectors = Vectors(folder)
    for line in lines:
        kind, data = line.rstrip("\n").split("\t")
        try:
            vectors.judge(kind, bytes.fromhex(data))
            out.write("holds\n")
        except Refused as refused:
            out.write(f"refused: {refused}\n")


def main():
    parser = argparse.ArgumentParser(description="Check an exported bundle offline, or the golden files.")
    parser.add_argument("bundle", nargs="?", help="the bundle")
    parser.add_argument("--genesis", help="genesis hash you trust, 64 hex digits, from a source other than the bundle")
    parser.add_argument("--checkpoint", metavar="FILE", help="start from this checkpoint; needs --genesis")
    parser.add_argument("--organisation", metavar="KEY", action="append", type=bytes.fromhex,
                        help="record key of an organisation whose checkpoints you believe (default: the founders)")  # fmt: skip
    parser.add_argument("--signers", type=int, help="how many of them must have signed (default: more than half)")
    parser.add_argument("--age-days", type=int, default=30, help="oldest checkpoint accepted (default: 30)")
    parser.add_argument("--vectors", metavar="FOLDER", help="check the golden files in this folder")
    parser.add_argument("--judge", metavar="FOLDER", help="judge `object<TAB>hex` lines from stdin by these golden files")
    parser.add_argument("--why", action="store_true", help="with --vectors: say why each bad one is refused")
    arguments = parser.parse_args()
    if arguments.vectors:
        return check_vectors(arguments.vectors, arguments.why)
    if arguments.judge:
        judge_lines(arguments.judge, sys.stdin, sys.stdout)
        return 0
    if not arguments.bundle:
        parser.error("a bundle, --vectors or --judge")
    try:
        pinned = None
        if arguments.genesis is not None:
            hexadecimal = len(arguments.genesis) == 64 and set(arguments.genesis) <= set("0123456789abcdef")
            need(hexadecimal, "--genesis takes 64 lower-case hex digits")
            pinned = bytes.fromhex(arguments.genesis)
        know = None
        if arguments.checkpoint is not None:
            need(pinned is not None, "--checkpoint needs --genesis")
            checkpoint, now, age = Path(arguments.checkpoint).read_bytes(), time.time_ns() // 10**6, arguments.age_days

            def know(document):
                return trust_checkpoint(
                    checkpoint, document, now, age * 86_400_000, arguments.organisation, arguments.signers
                )

        began = time.perf_counter()
        with open(arguments.bundle, "rb") as file:
            verdict = verify_bundle(file, pinned, know)
        seconds = time.perf_counter() - began
    except (Refused, OSError) as broken:
        print(f"{arguments.bundle}: BROKEN: {broken}", file=sys.stderr)
        return 1
    report(verdict, sys.stdout)
    print(f"Took      {seconds:.2f} s, {verdict.envelopes / seconds:.0f} envelopes a second")
    if pinned is None:
        print("NOT PINNED: all links hold, but only under the bundle's own genesis.", file=sys.stderr)
        return 3
    print("PROVEN under the genesis you pinned.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
