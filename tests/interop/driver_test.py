#!/usr/bin/env python3
"""The driver itself, without any client: what it has to notice, and that docs/clients.md shows the
lines that are tested. Needs no network."""

import asyncio
import struct
import unittest

import clients
import snippets
import views
from frames import FIRST_SEQ, WORKED_LABELS, WORKED_SYNC, Frame, Template, make_frames
from network import PATHS, Upstream, message
from world import World, has_come_to


class Judging(unittest.TestCase):
    """What a client got against what it should have got."""

    def judged(self, events, client=None, reconnects=False):
        client = client or clients.all_clients()[0]
        world = World("standpipe", None, [client])
        run = world.runs[0]
        run.events = events
        world.judge(run, self.expected, reconnects)
        return world.verdicts[client.name]

    def setUp(self):
        frames = make_frames("labels", 4)
        self.expected = [view for frame in frames for view in views.message(frame)]

    def test_the_same_events_pass(self):
        self.assertEqual(self.judged(list(self.expected)), (True, "4 events"))

    def test_a_lost_a_doubled_and_a_swapped_event_fail(self):
        a, b, c, d = self.expected
        for events in ([a, c, d], [a, b, b, c, d], [a, c, b, d], [a, b, c]):
            self.assertFalse(self.judged(events)[0])

    def test_a_changed_byte_fails_and_is_named(self):
        changed = views.message(make_frames("labels", 4)[2])[0]
        changed["body"]["labels"][0]["sig"]["$sha256"] = "00"
        passed, text = self.judged(self.expected[:2] + [changed] + self.expected[3:])
        self.assertFalse(passed)
        self.assertIn("event 2 of 4", text)
        self.assertIn('"sig": {"$sha256": "00"}', text)

    def test_repeats_pass_only_for_a_client_that_is_known_for_them_and_was_cut(self):
        a, b, c, d = self.expected
        repeated = [a, b, c, b, c, d]
        known = next(client for client in clients.all_clients() if client.repeats)
        self.assertEqual(self.judged(repeated, known, True), (True, "4 events, 2 repeated"))
        self.assertFalse(self.judged(repeated, known, False)[0])
        self.assertFalse(self.judged(repeated, reconnects=True)[0])

    def test_waiting_ends_with_the_last_event_or_with_as_many(self):
        run = World("standpipe", None, [clients.all_clients()[0]]).runs[0]
        self.assertFalse(has_come_to(run, self.expected))
        run.events = self.expected[:3]
        self.assertFalse(has_come_to(run, self.expected))
        run.events = self.expected[:3] * 2
        self.assertTrue(has_come_to(run, self.expected))
        run.events = [self.expected[-1]]
        self.assertTrue(has_come_to(run, self.expected))


class Frames(unittest.TestCase):
    def test_a_worked_frame_is_read_as_protocol_md_has_it(self):
        template = Template(WORKED_LABELS)
        self.assertEqual(template.type, "#labels")
        self.assertEqual(template.body["labels"][0]["val"], "spam")
        self.assertEqual(len(template.body["labels"][0]["sig"]), 64)

    def test_a_frame_is_renumbered_and_nothing_else(self):
        frame = Frame(Template(WORKED_SYNC), FIRST_SEQ)
        number = b"\x63seq\x1b" + struct.pack(">Q", FIRST_SEQ)
        self.assertEqual(frame.bytes, WORKED_SYNC.replace(b"\x63seq\x04", number))
        self.assertEqual(Template(frame.bytes).body["seq"], FIRST_SEQ)

    def test_the_blocks_of_a_sync_are_its_commit(self):
        (block,) = Template(WORKED_SYNC).decoded_blocks().values()
        self.assertEqual((block["did"], block["rev"]),
                         ("did:plc:standpipe2222222222abcde", "3l3qo2vuoiw2z"))


class ScriptedUpstream(unittest.IsolatedAsyncioTestCase):
    async def test_it_serves_what_lies_after_the_cursor_and_then_what_comes(self):
        upstream = Upstream()
        await upstream.start()
        frames = make_frames("labels", 5)
        await upstream.send("labels", frames[:3])
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        path = next(path for path, stream in PATHS.items() if stream == "labels")
        writer.write(f"GET {path}?cursor={FIRST_SEQ} HTTP/1.1\r\nSec-WebSocket-Key: "
                     "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", head)  # RFC 6455
        await upstream.send("labels", frames[3:])
        wanted = b"".join(message(frame.bytes) for frame in frames[1:])
        self.assertEqual(await reader.readexactly(len(wanted)), wanted)
        writer.close()
        await upstream.stop()


class Page(unittest.TestCase):
    def test_the_page_shows_the_lines_that_are_tested(self):
        page = snippets.PAGE.read_text()
        self.assertEqual(snippets.stale(page), [])
        shown = {file for _, file, _, _ in snippets.SNIPPET.findall(page)}
        for client in clients.all_clients():
            folder = {"python": "python", "go": "go"}.get(client.family, "node")
            self.assertIn(f"tests/interop/{folder}/{client.program or 'main.go'}", shown)


if __name__ == "__main__":
    unittest.main()
