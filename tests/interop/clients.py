"""The clients of the field that a standpipe has to get on with, and how each of them is started."""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import install
import views
from frames import FIRST_SEQ

# A FutureCursor frame, byte for byte (protocol.md 1.3).
FUTURE_CURSOR = ("a1626f7020a2656572726f726c467574757265437572736f72676d6573736167657543"
                 "7572736f7220696e20746865206675747572652e")


@dataclass
class Client:
    name: str
    family: str
    program: str
    view: Callable  # Frame -> the events that this client makes of it
    version: str
    stream: str = "repos"
    future: str = "FutureCursor: Cursor in the future."  # how an error frame reaches its user
    shows_info: bool = True
    repeats: bool = False  # hands out again what was under way when a connection ended
    verifies: bool = False
    notes: dict = field(default_factory=dict)  # scenario -> what its user should know
    command: list = field(default_factory=list)  # once it is installed


def npm(name, family, package, program, view, **more):
    return Client(name, family, program, view,
                  install.node_version(family, package), **more)


def pypi(name, program, stream):
    return Client(name, "python", program, views.sdk,
                  install.python_version("atproto"), stream=stream,
                  future="XrpcError(error='FutureCursor', message='Cursor in the future.')")


def all_clients():
    return [
        npm("ws", "node22", "ws", "ws.mjs", views.whole, future=FUTURE_CURSOR),
        npm("@atproto/sync", "node22", "@atproto/sync", "sync.mjs", views.operations,
            shows_info=False, verifies=True,
            notes={"future cursor": "dials again every 3 s", "outdated cursor": "#info not shown"}),
        npm("@atproto/sync 0.1", "node20", "@atproto/sync", "sync_0_1.mjs", views.operations,
            shows_info=False, repeats=True, verifies=True,
            notes={"future cursor": "dials again every 3 s", "outdated cursor": "#info not shown"}),
        npm("@atproto/xrpc-server", "node22", "@atproto/xrpc-server", "xrpc_server.mjs",
            views.message),
        npm("@atproto/xrpc-server 0.10", "node20", "@atproto/xrpc-server", "xrpc_server.mjs",
            views.message),
        npm("@skyware/firehose", "node22", "@skyware/firehose", "skyware.mjs", views.skyware,
            future="Error: Invalid header received", notes={"future cursor": "the code is lost"}),
        npm("@atcute/firehose", "node22", "@atcute/firehose", "atcute.mjs", views.message,
            notes={"future cursor": "dials again after 3 to 10 s"}),
        pypi("atproto (Python)", "repos.py", "repos"),
        pypi("atproto (Python), async", "repos_async.py", "repos"),
        pypi("atproto (Python), labels", "labels.py", "labels"),
        pypi("atproto (Python), labels async", "labels_async.py", "labels"),
        Client("indigo (Go)", "go", "", views.indigo,
               install.go_version("github.com/bluesky-social/indigo")),
    ]


# Clients that nothing here runs, with the version that was wanted and why.
UNTESTED = [
    ("goat", "0.2.3", "its module could not be had where the lock files were made; indigo's stream "
                      "package, with which it consumes, is run"),
]

INSTALLERS = {
    "node22": lambda build: install.install_node(build, "node22"),
    "node20": lambda build: install.install_node(build, "node20"),
    "python": install.install_python,
    "go": install.install_go,
}


def program_path(build, client):
    if client.family == "go":
        return []
    if client.family == "python":
        return [install.SOURCE / "python" / client.program]
    return [build / client.family / client.program]


class Run:
    """One process of a client, and the lines that came from it."""

    def __init__(self, client):
        self.client = client
        self.events, self.infos, self.errors = [], [], []
        self.is_paused = self.has_started = False
        self.first_info_at = None  # how many events came before it
        self._changed = asyncio.Event()
        self.ended = False

    async def start(self, url, cursor, log: Path, env):
        environment = {name: value for name, value in os.environ.items()
                       if not name.lower().endswith("_proxy")}
        environment.update(env, PYTHONDONTWRITEBYTECODE="1")
        self.log, self.has_started = log, True
        with log.open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self.client.command, url, "none" if cursor is None else str(cursor),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                env=environment, limit=16 << 20)
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        async for line in self._process.stdout:
            line = json.loads(line)
            if "event" in line:
                self.events.append(line["event"])
            elif "info" in line:
                self.first_info_at = len(self.events) if not self.infos else self.first_info_at
                self.infos.append(line["info"])
            elif "error" in line:
                self.errors.append(line)
            else:
                self.is_paused = True
            self._changed.set()
        self.ended = True
        self._changed.set()

    async def until(self, is_true):
        """Returns true once it holds, false if the process has ended without."""
        while not is_true(self):
            if self.ended:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    @property
    def frames_seen(self):
        """How many frames of the stream lie behind it, its newest included."""
        if not self.events:
            return 0
        newest = self.events[-1]
        return (newest["body"] if "body" in newest else newest)["seq"] - FIRST_SEQ + 1

    def go_on(self):
        self._process.stdin.write(b"\n")

    async def stop(self):
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    def last_words(self):
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "nothing on stderr"
