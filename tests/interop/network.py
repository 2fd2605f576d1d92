"""What stands around standpipe: the upstream that it archives, and what lies between it and a
client (a proxy that cuts or speaks TLS). Loopback only."""

import asyncio
import base64
import hashlib
import ssl
import struct
import subprocess
from urllib.parse import parse_qs, urlsplit

PATHS = {
    "/xrpc/com.atproto.sync.subscribeRepos": "repos",
    "/xrpc/com.atproto.label.subscribeLabels": "labels",
}


def message(payload, opcode=2):
    """A WebSocket message of a server, in one frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        head = struct.pack(">BB", 0x80 | opcode, size)
    elif size < 65536:
        head = struct.pack(">BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
    return head + payload


class Upstream:
    """A relay and a labeler in one: two lists of frames, each served after the cursor asked for,
    and from then on as they grow."""

    def __init__(self):
        self.frames = {"repos": [], "labels": []}
        self._grown = asyncio.Condition()
        self._server = None
        self._connections = set()

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def send(self, stream, frames):
        async with self._grown:
            self.frames[stream].extend(frames)
            self._grown.notify_all()

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._connections.add(task)
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            target = urlsplit(request.split(" ", 2)[1])
            stream = PATHS[target.path]
            lines = request.split("\r\n")[1:]
            headers = dict(line.split(": ", 1) for line in lines if ": " in line)
            headers = {name.lower(): value for name, value in headers.items()}
            accept = base64.b64encode(hashlib.sha1(
                (headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()
            ).digest()).decode()
            head = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n")
            writer.write(head.encode())
            cursor = parse_qs(target.query).get("cursor")
            frames = self.frames[stream]
            at = len(frames)
            if cursor:
                at = next((n for n, frame in enumerate(frames) if frame.seq > int(cursor[0])), at)
            sender = asyncio.create_task(self._send_all(stream, at, writer))
            try:
                await self._answer_pings(reader, writer)
            finally:
                sender.cancel()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _send_all(self, stream, at, writer):
        frames = self.frames[stream]
        while True:
            async with self._grown:
                await self._grown.wait_for(lambda: len(frames) > at)
            while at < len(frames):
                writer.write(message(frames[at].bytes))
                at += 1
                await writer.drain()

    async def _answer_pings(self, reader, writer):
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F  # standpipe sends control frames alone: 125 bytes at most
            mask = await reader.readexactly(4)
            payload = bytes(byte ^ mask[n % 4]
                            for n, byte in enumerate(await reader.readexactly(size)))
            if first & 0x0F == 9:
                writer.write(message(payload, opcode=10))


class Proxy:
    """Forwards to `port` of this machine. With `cut_after`, one connection is ended once the server
    has sent so many bytes behind the HTTP head. With `tls`, it is reached by TLS."""

    def __init__(self, port, cut_after=None, tls=None):
        self._port, self._cut_after, self._tls = port, cut_after, tls
        self._pipes = set()
        self.upgraded = asyncio.Event()  # a 101 has gone to the client
        self.cuts = 0

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = "{}://127.0.0.1:{}".format("wss" if self._tls else "ws",
                                              self._server.sockets[0].getsockname()[1])

    async def stop(self):
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._pipes.add(task)
        server_writer = None
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
            up = asyncio.create_task(self._copy(reader, server_writer))
            try:
                head = await server_reader.readuntil(b"\r\n\r\n")
                writer.write(head)
                await writer.drain()
                if b" 101 " in head[:16]:
                    self.upgraded.set()
                if await self._copy(server_reader, writer, self._cut_after):
                    self.cuts += 1
                    self._cut_after = None
            finally:
                up.cancel()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._pipes.discard(task)
            writer.close()
            if server_writer:
                server_writer.transport.abort()

    @staticmethod
    async def _copy(reader, writer, limit=None):
        """Copies until the end, or `limit` bytes: then it returns true."""
        while limit is None or limit > 0:
            data = await reader.read(65536 if limit is None else min(65536, limit))
            if not data:
                return False
            if limit is not None:
                limit -= len(data)
            writer.write(data)
            await writer.drain()
        return True


def make_certificate(directory):
    """A certificate of 127.0.0.1 that signs itself, and a server's context of it."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=standpipe.test",
         "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


class DidDirectory:
    """GET /DID gives that DID's document, 404 where there is none: as plc.directory does."""

    def __init__(self, documents):
        self.documents = documents

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self):
        self._server.close()

    async def _serve(self, reader, writer):
        try:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            did = request.split(" ", 2)[1].lstrip("/").replace("%3A", ":")
            body = self.documents.get(did)
            status = "200 OK" if body else "404 Not Found"
            body = body or b'{"message":"not registered"}'
            head = (f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n")
            writer.write(head.encode() + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
