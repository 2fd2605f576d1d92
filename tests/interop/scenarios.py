"""What each client meets. A scenario plays with all at once, and leaves a verdict on each."""

import asyncio
import json
import subprocess

from frames import recorded_frames, shared_data, wire_size
from network import make_certificate
from world import has_come_to


async def from_zero(world):
    await world.archive(300)
    await world.start_clients(cursor=0)
    await world.send(1)
    await world.expect(0)


async def from_the_middle(world):
    await world.archive(300)
    await world.start_clients(cursor=world.frames()[149].seq)
    await world.send(1)
    await world.expect(150)


async def newest_then_live(world):
    await world.archive(20)
    await world.start_clients(cursor=world.newest)
    await world.send(100)
    await world.expect(20)


async def live_only(world):
    await world.archive(20)
    await world.start_clients(cursor=None, through=lambda run: world.proxy())
    # Once its handshake is over a client has its place in the stream: right behind the newest.
    await world.until_each_is_connected()
    await world.send(100)
    await world.expect(20)


async def future_cursor(world):
    """The error frame reaches the client, and nothing else does."""
    await world.archive(20)
    await world.start_clients(cursor=world.newest + 1000)
    await world.until_each(lambda run: run.errors, "wants FutureCursor")
    for run in world.runs:
        if world.has_failed(run):
            continue
        error = run.errors[0]["error"]
        if error != run.client.future:
            world.fail(run, f"reported {error!r} instead of {run.client.future!r}")
        elif run.events or run.infos:
            world.fail(run, f"got {len(run.events)} events, {len(run.infos)} #info")
        else:
            world.verdicts[run.client.name] = (True, "refused")


async def outdated_cursor(world):
    """#info OutdatedCursor first, for whoever shows it, then everything there is."""
    await world.archive(300)
    await world.start_clients(cursor=world.frames()[0].seq - 10)
    await world.send(1)
    await world.expect(0)
    for run in world.runs:
        names = [info["name"] for info in run.infos]
        wanted = ["OutdatedCursor"] if run.client.shows_info else []
        if names != wanted or (wanted and run.first_info_at != 0):
            text = f"#info: {names}, behind {run.first_info_at} events"
            world.verdicts[run.client.name] = (False, text)


async def cutover_under_load(world):
    """A backlog that fills the memory of standpipe several times over, while the stream goes on; it
    does not pause until every client has passed from the one to the other."""
    backlog, in_memory = 1000, 150
    await world.archive(backlog)
    await world.start_clients(cursor=0)
    load = asyncio.create_task(send_steadily(world, per_second=50))
    await world.until_each(
        lambda run: run.frames_seen > max(backlog, len(world.frames()) - in_memory),
        "wants to catch up")
    load.cancel()
    await world.send(1)
    await world.expect(0)


async def send_steadily(world, per_second):
    while True:
        await world.send(5)
        await asyncio.sleep(5 / per_second)


async def cut_in_mid_frame(world):
    await world.archive(300)

    def cutting_proxy(run):
        frames = world.frames(run.client.stream)
        return world.proxy(cut_after=sum(map(wire_size, frames[:40])) + wire_size(frames[40]) // 2)

    await world.start_clients(cursor=0, through=cutting_proxy)
    await world.send(1)
    await world.expect(0, reconnects=True)
    for run in world.runs:
        if run.proxy.cuts != 1:
            world.verdicts[run.client.name] = (False, f"cut {run.proxy.cuts} times")


async def restarted_under_it(world):
    async def restart():
        if (status := await world.standpipe.stop()) != 0:
            raise RuntimeError(f"standpipe ended with {status}")

    await interrupt(world, restart)


async def killed_under_it(world):
    await interrupt(world, world.standpipe.kill)


async def interrupt(world, end_standpipe):
    """Ends standpipe while every client is being sent to, and starts it again."""
    await world.archive(100)
    await world.start_clients(cursor=0)
    load = asyncio.create_task(send_steadily(world, per_second=50))
    await world.until_each(lambda run: run.frames_seen > 150, "wants to be live")
    await end_standpipe()
    await world.standpipe.start()
    await world.archived()
    load.cancel()
    await world.send(100)
    await world.expect(0, reconnects=True)


async def slow_with_a_backlog(world):
    """A client stops reading while megabytes come, then takes what it has missed."""
    await world.archive(20)
    await world.start_clients(cursor=world.newest, env={"INTEROP_PAUSE_AFTER": "1"})
    await world.send(1)
    await world.until_each(lambda run: run.is_paused, "wants to pause")
    await world.archive(2000)
    for run in world.runs:
        run.go_on()
    await world.expect(20)


async def tls(world):
    """By way of a proxy that speaks TLS: standpipe has no TLS listener."""
    certificate, context = await asyncio.to_thread(make_certificate, world.directory)
    await world.archive(100)
    await world.start_clients(
        cursor=world.frames()[49].seq, through=lambda run: world.proxy(tls=context),
        env={"NODE_EXTRA_CA_CERTS": str(certificate), "SSL_CERT_FILE": str(certificate)})
    await world.send(1)
    await world.expect(50)


async def verified(world):
    """Signatures and proofs of the recorded commits, against the keys of their accounts; and once
    more with another key for one account, which is then refused and nothing else is."""
    frames = recorded_frames()
    await world.upstream.send("repos", frames)
    documents = read_did_documents()
    await verify(world, frames, documents, refused=[])
    if any(world.has_failed(run) for run in world.runs):
        return
    culprit, donor = frames[-3], frames[-5]
    documents[did_of(culprit)] = documents[did_of(culprit)].replace(
        key_of(documents[did_of(culprit)]), key_of(documents[did_of(donor)]))
    await world.renew_clients()
    await verify(world, frames, documents, refused=[culprit])


async def verify(world, frames, documents, refused):
    world.did_directory.documents = {did: text.encode() for did, text in documents.items()}
    await world.start_clients(cursor=0, env={"INTEROP_VERIFY": "1"})
    expected = [frame for frame in frames if frame not in refused]
    for run in world.runs:
        events = [event for frame in expected for event in run.client.view(frame)]
        await world.until_each(lambda run: has_come_to(run, events), "wants the last commit")
        errors, run.errors = run.errors, []
        if [error.get("seq") for error in errors] != [frame.seq for frame in refused]:
            world.fail(run, f"reported {errors}")
        if not world.has_failed(run):
            world.judge(run, events, reconnects=False)


def read_did_documents():
    """DID -> document, of the accounts of the recorded commits."""
    path = shared_data() / "jetstream-corpus" / "did_docs.json.zst"
    text = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    return {did: json.dumps(document) for did, document in json.loads(text).items()}


def did_of(frame):
    return frame.template.body["repo"]


def key_of(document):
    return json.loads(document)["verificationMethod"][0]["publicKeyMultibase"]


SCENARIOS = {
    "from 0": from_zero,
    "from the middle": from_the_middle,
    "newest, then live": newest_then_live,
    "live only": live_only,
    "future cursor": future_cursor,
    "outdated cursor": outdated_cursor,
    "cutover under load": cutover_under_load,
    "cut in mid-frame": cut_in_mid_frame,
    "restarted under it": restarted_under_it,
    "killed under it": killed_under_it,
    "slow, with a backlog": slow_with_a_backlog,
    "TLS (by a proxy)": tls,
    "148 commits verified": verified,
}
