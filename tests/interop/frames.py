"""Real frames, numbered as a scenario needs them, and what each of them says.

The decoder here is on purpose neither standpipe's nor any client's: it is what both are judged by.
Values come out as JSON can hold them: a CID is {"$link": text}, bytes are {"$sha256": hex}, so that
a thousand CARs stay comparable without being printed.
"""

import base64
import hashlib
import os
import struct
import subprocess
from functools import lru_cache
from pathlib import Path

# Above 2^32 every seq takes nine bytes, so that a frame is renumbered without changing its length.
FIRST_SEQ = 31_527_000_001

# Frames of protocol.md, appendix A, for what the recorded stream lacks.
WORKED_SYNC = bytes.fromhex(
    "a26174652373796e63626f7001a56364696478206469643a706c633a7374616e647069706532323232323232323232"
    "6162636465637265766d336c33716f3276756f6977327a63736571046474696d657818323032362d30312d30325430"
    "333a30343a30352e3637385a66626c6f636b7359011d3aa265726f6f747381d82a582500017112207d327e9eeb8430"
    "c56a1f84fd87912d996a213e461abb62e5a3f5e9062db853436776657273696f6e01e001017112207d327e9eeb8430"
    "c56a1f84fd87912d996a213e461abb62e5a3f5e9062db85343a66364696478206469643a706c633a7374616e647069"
    "7065323232323232323232326162636465637265766d336c33716f3276756f6977327a637369675840145f11b2e972"
    "c948644d7bcf2379a9eace908d47bf515625c1763af5c370f44b1a20892c52f59d36727a13a41e511bceddf610e579"
    "6c8704b76a3fba3ca6616d6464617461d82a582500017112201cfa2b22cebbe787cacc0e9df32f87f368e2c10f0b39"
    "c5ef7f21f2dbb33d10eb6470726576f66776657273696f6e03")
WORKED_LABELS = bytes.fromhex(
    "a2617467236c6162656c73626f7001a26373657105666c6162656c7381a6636374737818323032362d30312d303254"
    "30333a30343a30352e3637385a637369675840e050d5333034267229557b1d205dd55ffe1a62571122c6712182f34e"
    "c315241523d530303693303c9b66fb5e4cfd189efd9f8c318872342fc74ae18e803ad3416373726378206469643a70"
    "6c633a7374616e647069706532323232323232323232616263646563757269784661743a2f2f6469643a706c633a73"
    "74616e64706970653232323232323232323261626364652f636f6d2e6578616d706c652e7265636f72642f336a7166"
    "63717a6d33666f326a6376616c647370616d6376657201")


# ---- DAG-CBOR and CAR, as far as frames go ----

def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def cid_text(cid):
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def cid_bytes(text):
    return base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))


def decode_item(data, at=0):
    """One CBOR item from `at` on: its value and where it ends."""
    major, low = data[at] >> 5, data[at] & 0x1F
    at += 1
    if major == 7:
        if low == 27:
            return struct.unpack_from(">d", data, at)[0], at + 8
        return {20: False, 21: True, 22: None}[low], at
    number = low
    if low >= 24:
        size = 1 << (low - 24)
        number = int.from_bytes(data[at:at + size], "big")
        at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major == 2:
        return data[at:at + number], at + number
    if major == 3:
        return data[at:at + number].decode(), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = decode_item(data, at)
            items.append(item)
        return items, at
    if major == 5:
        fields = {}
        for _ in range(number):
            key, at = decode_item(data, at)
            fields[key], at = decode_item(data, at)
        return fields, at
    assert major == 6 and number == 42, f"tag {number}"
    cid, at = decode_item(data, at)
    return {"$link": cid_text(cid[1:])}, at


def plain(value):
    """The value with its byte strings replaced by their hash."""
    if isinstance(value, bytes):
        return {"$sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def read_car(data):
    """CID -> block of a CAR v1."""
    size, at = read_varint(data, 0)
    at += size
    blocks = {}
    while at < len(data):
        size, at = read_varint(data, at)
        cid, block = data[at:at + 36], data[at + 36:at + size]
        assert cid[4:] == hashlib.sha256(block).digest(), "a block that does not match its CID"
        blocks[cid_text(cid)] = block
        at += size
    return blocks


# ---- frames ----

class Frame:
    """One frame: its seq, its bytes, and the recorded frame that it was made from."""

    def __init__(self, template, seq):
        self.template, self.seq = template, seq

    @property
    def bytes(self):
        template = self.template
        return template.before + struct.pack(">Q", self.seq) + template.after

    def message(self):
        """{"t": ..., "body": ...}: what a client that decodes a frame as a whole has to see."""
        body = dict(plain(self.template.body), seq=self.seq)
        return {"t": self.template.type, "body": body}


class Template:
    """A frame without its seq."""

    def __init__(self, frame):
        header, at = decode_item(frame)
        self.type = header["t"]
        self.body, end = decode_item(frame, at)
        assert end == len(frame), "a frame that is more than two items"
        seq = self.body["seq"]
        short = b"\x63seq" + bytes([seq]) if seq < 24 else b"\x63seq\x1b" + struct.pack(">Q", seq)
        assert frame.count(short) == 1, "a seq that is not unique in its frame"
        place = frame.index(short) + 4
        self.before = frame[:place] + b"\x1b"
        self.after = frame[place + len(short) - 4:]

    @lru_cache(maxsize=None)
    def blocks(self):
        """CID -> block, of a commit or a sync."""
        return read_car(self.body["blocks"])

    @lru_cache(maxsize=None)
    def decoded_blocks(self):
        """CID -> value."""
        return {cid: plain(decode_item(block)[0]) for cid, block in self.blocks().items()}


def read_frame_file(path):
    """The frames of a frame file: zstd over (u32 little-endian length, frame) repeated."""
    data = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    frames, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        frames.append(data[at + 4:at + 4 + size])
        at += 4 + size
    return frames


def shared_data():
    """Where the recorded frames are; as the tests in C++ have it."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("STANDPIPE_SHARED") or root.parent / "shared") / "data"


@lru_cache(maxsize=None)
def recorded():
    """The 150 frames of the corpus."""
    return [Template(frame)
            for frame in read_frame_file(shared_data() / "jetstream-corpus" / "frames.bin.zst")]


@lru_cache(maxsize=None)
def templates(stream):
    return recorded() + [Template(WORKED_SYNC)] if stream == "repos" else [Template(WORKED_LABELS)]


def make_frames(stream, count, first=FIRST_SEQ):
    """`count` frames with seqs from `first` on, without a hole."""
    pool = templates(stream)
    return [Frame(pool[n % len(pool)], first + n) for n in range(count)]


def recorded_frames():
    """The corpus as it was recorded, numbers and all."""
    return [Frame(template, template.body["seq"]) for template in recorded()]


def wire_size(frame):
    """Bytes of the frame in a WebSocket message from a server (RFC 6455, 5.2)."""
    size = len(frame.bytes)
    return size + (2 if size < 126 else 4 if size < 65536 else 10)
