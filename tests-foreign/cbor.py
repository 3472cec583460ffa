"""CBOR as docs/wire.md, section 1, has it, and the objects of sections 2, 3 and 7: envelopes taken
apart, put together again and signed anew; receipts checked."""

from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PROTECTED = bytes.fromhex("a10132")
# Places in an envelope's header.
GENESIS, STREAM, CLASS, AUTHOR, EPOCH, SEQ, PREV = 1, 2, 3, 4, 5, 7, 8


class Tagged:
    """A value under a tag."""

    def __init__(self, tag, value):
        self.tag, self.value = tag, value


def decode(data):
    value, rest = _item(data)
    if rest:
        raise ValueError("bytes behind the value")
    return value


def _item(data):
    major, small, at = data[0] >> 5, data[0] & 31, 1
    if small < 24:
        number = small
    elif small < 28:
        width = 1 << (small - 24)
        number, at = int.from_bytes(data[1:1 + width], "big"), 1 + width
        if number < (24 if width == 1 else 1 << (4 * width)):
            raise ValueError("an integer not in its shortest form")
    else:
        raise ValueError("indefinite length")
    rest = data[at:]
    if major == 0:
        return number, rest
    if major == 1:
        return -1 - number, rest
    if major in (2, 3):
        if number > len(rest):
            raise ValueError("truncated")
        text = bytes(rest[:number])
        return (text if major == 2 else text.decode()), rest[number:]
    if major == 6:
        value, rest = _item(rest)
        return Tagged(number, value), rest
    if major not in (4, 5):
        raise ValueError("a type that is not used here")
    values = []
    for _ in range(number * (major - 3)):
        value, rest = _item(rest)
        values.append(value)
    return (values if major == 4 else dict(zip(values[::2], values[1::2]))), rest


def encode(value):
    if isinstance(value, Tagged):
        return _head(6, value.tag) + encode(value.value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, int):
        return _head(0, value) if value >= 0 else _head(1, -1 - value)
    if isinstance(value, dict):
        return _head(5, len(value)) + b"".join(encode(k) + encode(v) for k, v in value.items())
    return _head(4, len(value)) + b"".join(map(encode, value))


def _head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    width = next(w for w in (1, 2, 4, 8) if number < 1 << (8 * w))
    return bytes([major << 5 | 23 + width.bit_length()]) + number.to_bytes(width, "big")


def signed_bytes(label, genesis, payload):
    # "Signature1" is the one text string that is ever signed.
    return b"\x84\x6aSignature1" + encode(PROTECTED) + encode(label + genesis) + encode(payload)


def header_of(envelope):
    return decode(decode(envelope)[0].value[2])


def header_hash(envelope):
    return sha256(decode(envelope)[0].value[2]).digest()


def forged(envelope, key=None, **places):
    """The envelope with header values replaced; signed by `key`, or left with the old signature."""
    sign1, ciphertext = decode(envelope)
    header = decode(sign1.value[2])
    for place, value in places.items():
        header[globals()[place]] = value
    payload = encode(header)
    signature = sign1.value[3]
    if key:
        signed = signed_bytes(b"aceso/envelope/v1", header[GENESIS], payload)
        signature = Ed25519PrivateKey.from_private_bytes(key).sign(signed)
    return encode([Tagged(18, [PROTECTED, {}, payload, signature]), ciphertext])


def with_wrong_signature(envelope):
    sign1, ciphertext = decode(envelope)
    signature = bytes([sign1.value[3][0] ^ 1]) + sign1.value[3][1:]
    return encode([Tagged(18, sign1.value[:3] + [signature]), ciphertext])


def receipt_is_for(receipt, envelope, record_key):
    """Does this receipt say, under the organisation's record key, that the envelope is in its log?"""
    version, named, index, path, head = decode(receipt)
    protected, unprotected, payload, signature = head.value
    _, genesis, org, size, root, _ = decode(payload)
    if (version, head.tag, protected, unprotected) != (1, 18, PROTECTED, {}):
        return False
    if named != header_hash(envelope) or org != sha256(record_key).digest()[:16]:
        return False
    try:
        signed = signed_bytes(b"aceso/head/v1", genesis, payload)
        Ed25519PublicKey.from_public_bytes(record_key).verify(signature, signed)
    except InvalidSignature:
        return False
    leaf = sha256(b"\x00" + decode(envelope)[0].value[2]).digest()
    return genesis == header_of(envelope)[GENESIS] and _root(leaf, index, size, path) == root


def _root(node, index, size, path):
    """RFC 9162, section 2.1.3.2."""
    if index >= size:
        return None
    last = size - 1
    for sibling in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    return node if last == 0 else None
