"""What a client's own view of a frame has to be, made from the frame by `frames`."""

import hashlib

from frames import cid_bytes, plain



def whole(frame):
    """Of a client that hands out the bytes."""
    return [{"seq": frame.seq, "bytes": hashlib.sha256(frame.bytes).hexdigest()}]


def message(frame):
    """Of a client that hands out the decoded header and body."""
    return [frame.message()]


def sdk(frame):
    """Of the Python SDK: the body, the model that parse_* makes of it, the blocks of a CAR."""
    view = frame.message()
    kind = view["t"][1:]
    view["model"] = {**sdk_model(view["body"]), "$type": f"{SDK_MODELS[kind]}#{kind}"}
    for op in view["model"].get("ops", ()):
        op["$type"] = "com.atproto.sync.subscribeRepos#repoOp"
    for label in view["model"].get("labels", ()):
        label["$type"] = "com.atproto.label.defs#label"
    view["body"] = sdk_links(view["body"])
    if kind in ("commit", "sync"):
        view["blocks"] = sdk_links(frame.template.decoded_blocks())
    return [view]


SDK_MODELS = dict.fromkeys(("commit", "sync", "identity", "account"),
                           "com.atproto.sync.subscribeRepos")
SDK_MODELS["labels"] = "com.atproto.label.subscribeLabels"


def sdk_model(value):
    """Its models have CIDs as text, and no field that is null."""
    if isinstance(value, list):
        return [sdk_model(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$link" in value:
        return value["$link"]
    return {name: sdk_model(item) for name, item in value.items() if item is not None}


def sdk_links(value):
    """What it decodes without a model has CIDs as bytes."""
    if isinstance(value, list):
        return [sdk_links(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$link" in value:
        return plain(cid_bytes(value["$link"]))
    return {name: sdk_links(item) for name, item in value.items()}


def indigo(frame):
    """Of indigo: structs as JSON, in which an empty list is null."""
    view = frame.message()
    if view["t"] == "#commit":
        view["body"]["blobs"] = view["body"]["blobs"] or None
    return [view]


def operations(frame):
    """Of @atproto/sync: an event for each operation of a commit."""
    body, kind = frame.message()["body"], frame.template.type[1:]
    common = {"seq": frame.seq, "time": body["time"]}
    if kind == "commit":
        return [operation(frame, body, common, op) for op in body["ops"]]
    event = {**common, "event": kind, "did": body["did"]}
    if kind == "account":
        event.update((name, body[name]) for name in ("active", "status") if name in body)
    if kind == "sync":
        event.update(rev=body["rev"], cid=root(frame), blocks=sorted(frame.template.blocks()))
    return [event]


def operation(frame, body, common, op):
    collection, rkey = op["path"].split("/")
    event = {**common, "event": op["action"], "commit": body["commit"], "rev": body["rev"],
             "did": body["repo"], "collection": collection, "rkey": rkey,
             "uri": f"at://{body['repo']}/{op['path']}", "blocks": sorted(frame.template.blocks())}
    if op["cid"]:
        event.update(cid=op["cid"], record=frame.template.decoded_blocks()[op["cid"]["$link"]])
    return event


def root(frame):
    """The root of the CAR of a sync: its one block."""
    (cid,) = frame.template.blocks()
    return {"$link": cid}


def skyware(frame):
    """Of @skyware/firehose: commits with their records, and CIDs as text."""
    body, kind = frame.message()["body"], frame.template.type[1:]
    event = {"$type": f"com.atproto.sync.subscribeRepos#{kind}", **body}
    if kind != "commit":
        return [event]
    for name in ("blobs", "rebase", "tooBig"):
        del event[name]
    event["commit"], event["prevData"] = body["commit"]["$link"], body["prevData"]["$link"]
    event["ops"] = [skyware_operation(frame, op) for op in body["ops"]]
    return [event]


def skyware_operation(frame, op):
    view = {"action": op["action"], "path": op["path"]}
    if op["cid"]:
        view["cid"] = op["cid"]["$link"]
        view["record"] = frame.template.decoded_blocks()[view["cid"]]
    if op.get("prev"):
        view["prev"] = op["prev"]["$link"]
    return view
