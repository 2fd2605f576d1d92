"""One upstream, one standpipe, and every client at once: what the scenarios are played in."""

import asyncio
import json

from clients import Run
from frames import FIRST_SEQ, make_frames
from network import DidDirectory, Proxy, Upstream
from standpipe import Standpipe

STREAMS = ("repos", "labels")
PATIENCE_S = 90  # for one step of one client; the slowest of them waits 10 s before it dials again


class World:
    def __init__(self, binary, directory, clients):
        self.directory = directory
        self.upstream = Upstream()
        self.did_directory = DidDirectory({})
        self._binary = binary
        self.runs = [Run(client) for client in clients]
        self.proxies = []
        self.verdicts = {}  # client's name -> (ok, text)

    async def __aenter__(self):
        await self.upstream.start()
        await self.did_directory.start()
        self.standpipe = Standpipe(self._binary, self.directory, self.upstream.port)
        await self.standpipe.start()
        return self

    async def __aexit__(self, *_):
        await asyncio.gather(*(run.stop() for run in self.runs if run.has_started))
        for proxy in self.proxies:
            await proxy.stop()
        if self.standpipe.is_running:
            await self.standpipe.kill()
        await self.upstream.stop()
        await self.did_directory.stop()

    # ---- the upstream ----

    def frames(self, stream="repos"):
        return self.upstream.frames[stream]

    @property
    def newest(self):
        return self.frames()[-1].seq

    async def send(self, count):
        """The next `count` frames of each stream: the streams have the same seqs."""
        for stream in STREAMS:
            first = FIRST_SEQ + len(self.frames(stream))
            await self.upstream.send(stream, make_frames(stream, count, first))

    async def archive(self, count):
        """Sends, and waits until standpipe holds them."""
        await self.send(count)
        await self.archived()

    async def archived(self):
        await asyncio.wait_for(self.standpipe.archived(self.newest), PATIENCE_S)

    # ---- the clients ----

    async def start_clients(self, cursor, through=None, env=None):
        """Starts each, at standpipe itself or at a proxy of its own: `through` gets the Run."""
        environment = {"INTEROP_PLC_URL": self.did_directory.url, **(env or {})}

        async def start(run):
            url = self.standpipe.url
            if through:
                run.proxy = through(run)
                self.proxies.append(run.proxy)
                await run.proxy.start()
                url = run.proxy.url
            name = "".join(c if c.isalnum() else "_" for c in run.client.name)
            await run.start(url, cursor, self.directory / f"{name}.log", environment)

        await asyncio.gather(*(start(run) for run in self.runs))

    async def renew_clients(self):
        """Ends them and takes new ones, that have yet to be judged."""
        await asyncio.gather(*(run.stop() for run in self.runs))
        self.runs = [Run(run.client) for run in self.runs]
        self.verdicts.clear()

    def proxy(self, **options):
        return Proxy(self.standpipe.port, **options)

    async def until_each(self, is_true, what):
        """Waits for every client. One that does not get there has failed, and is left alone."""
        async def wait(run):
            try:
                if await asyncio.wait_for(run.until(is_true), PATIENCE_S):
                    return
                problem = f"ended: {run.last_words()}"
            except asyncio.TimeoutError:
                problem = f"not within {PATIENCE_S} s, with {len(run.events)} events"
            self.fail(run, f"{what}: {problem}")

        await asyncio.gather(*(wait(run) for run in self.runs if not self.has_failed(run)))

    async def until_each_is_connected(self):
        """By way of its proxy: it has been sent the end of its handshake."""
        async def wait(run):
            try:
                await asyncio.wait_for(run.proxy.upgraded.wait(), PATIENCE_S)
            except asyncio.TimeoutError:
                self.fail(run, f"not connected within {PATIENCE_S} s: {run.last_words()}")

        await asyncio.gather(*(wait(run) for run in self.runs))

    def fail(self, run, text):
        self.verdicts.setdefault(run.client.name, (False, text))

    def has_failed(self, run):
        return run.client.name in self.verdicts

    async def expect(self, first, reconnects=False):
        """Each client gets the frames from index `first` on: all, once, in order, as its view of
        them is. The newest frame must be the last that there is: whoever has it has everything."""
        expected = {}
        for run in self.runs:
            frames, view = self.frames(run.client.stream)[first:], run.client.view
            expected[run.client.name] = [event for frame in frames for event in view(frame)]
        await self.until_each(lambda run: has_come_to(run, expected[run.client.name]),
                              "wants the newest frame")
        for run in self.runs:
            if not self.has_failed(run):
                self.judge(run, expected[run.client.name], reconnects)

    def judge(self, run, expected, reconnects):
        events, note = run.events, []
        if reconnects and run.client.repeats:
            events = list({json.dumps(event, sort_keys=True): event for event in events}.values())
            note += [f"{len(run.events) - len(events)} repeated"] if events != run.events else []
        if run.errors:
            self.fail(run, f"reported {run.errors[0]}")
        if events != expected:
            self.fail(run, difference(events, expected))
        if not self.has_failed(run):
            self.verdicts[run.client.name] = (True, ", ".join([f"{len(expected):,} events", *note]))


def has_come_to(run, expected):
    """Its last event is the last; or, as something must be wrong, there are as many."""
    if not run.events:
        return False
    return run.events[-1] == expected[-1] or \
        (not run.client.repeats and len(run.events) >= len(expected))


def difference(events, expected):
    for at, (got, wanted) in enumerate(zip(events, expected)):
        if got != wanted:
            got, wanted = differing_part(got, wanted)
            return f"event {at} of {len(expected)}: got {short(got)}, wanted {short(wanted)}"
    return f"got {len(events)} events, wanted {len(expected)}"


def differing_part(got, wanted):
    """Goes down to where they differ."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        for key in list(wanted) + [key for key in got if key not in wanted]:
            if key not in got or key not in wanted:
                return {key: got.get(key, "<absent>")}, {key: wanted.get(key, "<absent>")}
            if got[key] != wanted[key]:
                inner = differing_part(got[key], wanted[key])
                return {key: inner[0]}, {key: inner[1]}
    return got, wanted


def short(value):
    text = json.dumps(value)
    return text if len(text) < 300 else text[:300] + "..."
