"""A real `standpipe mirror`, as a process."""

import asyncio
import json
import signal
import urllib.error
import urllib.request


class Standpipe:
    """Mirrors both streams of an upstream into `directory`, always at the same port."""

    def __init__(self, binary, directory, upstream_port):
        self._binary, self._directory, self._upstream_port = binary, directory, upstream_port
        self._process = None
        self.port = 0
        self.log = directory / "standpipe.log"

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    async def start(self):
        ready = self._directory / "ready.json"
        ready.unlink(missing_ok=True)
        upstream = f"ws://127.0.0.1:{self._upstream_port}"
        with self.log.open("ab") as log:
            # Little stays in memory, so that a backlog comes from the disk.
            self._process = await asyncio.create_subprocess_exec(
                self._binary, "mirror", "--data", self._directory / "data", "--upstream", upstream,
                "--labeler", f"labels={upstream}", "--listen", f"127.0.0.1:{self.port}",
                "--ready-file", ready, "--live-bytes", "1MiB", "--min-free", "64MiB",
                "--reconnect-min", "100ms", "--admin", "none", "--quiet",
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log)
        while not ready.exists():
            if self._process.returncode is not None:
                raise RuntimeError(f"standpipe ended: {self.log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)
        self.port = int(json.loads(ready.read_text())["listen"][0].rsplit(":", 1)[1])

    async def stop(self):
        """As an operator does. Its exit status, 0 if all is well."""
        self._process.send_signal(signal.SIGTERM)
        return await self._process.wait()

    async def kill(self):
        self._process.kill()
        await self._process.wait()

    @property
    def is_running(self):
        return self._process is not None and self._process.returncode is None

    async def archived(self, seq):
        """Returns once both streams hold that seq."""
        while True:
            health = await asyncio.to_thread(self._health)
            if all(stream["seq"] >= seq for stream in health["streams"]):
                return
            await asyncio.sleep(0.02)

    def _health(self):
        url = f"http://127.0.0.1:{self.port}/xrpc/_health"
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
