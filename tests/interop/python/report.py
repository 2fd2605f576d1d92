"""What the test wants of each client program: its arguments, and a line of JSON for each thing that
it got."""

import hashlib
import json
import os
import sys

from atproto import CAR, CID

base_uri = sys.argv[1] + "/xrpc"
params = None if sys.argv[2] == "none" else {"cursor": int(sys.argv[2])}

_pause_after = int(os.environ.get("INTEROP_PAUSE_AFTER", 0))
_events = 0


def report(line):
    """Prints it. After event INTEROP_PAUSE_AFTER the whole program waits for a line of input."""
    global _events
    print(json.dumps(line), flush=True)
    if "event" not in line:
        return
    _events += 1
    if _events == _pause_after:
        print('{"paused": true}', flush=True)
        sys.stdin.readline()


def plain(value):
    """As JSON: bytes as their hash, CIDs as text."""
    if isinstance(value, bytes):
        return {"$sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, CID):
        return {"$link": str(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def report_message(message, parsed):
    """The frame as the client split it, the model that parse_* made of it, and a commit's CAR."""
    if message.type == "#info":
        report({"info": message.body})
        return
    event = {
        "t": message.type,
        "body": plain(message.body),
        "model": plain(parsed.model_dump(by_alias=True, exclude_none=True)),
    }
    if message.type in ("#commit", "#sync"):
        blocks = CAR.from_bytes(parsed.blocks).blocks
        event["blocks"] = {str(cid): plain(block) for cid, block in blocks.items()}
    report({"event": event})
