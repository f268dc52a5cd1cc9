"""A line that breaks: a TCP relay in front of a proxy."""

import asyncio
import contextlib
import dataclasses

#: Directions: what the page sends, and what it gets.
UP, DOWN = "up", "down"


@dataclasses.dataclass
class Fate:
    """Where a connection breaks, and what it is like until then.

    `after` bytes of one direction pass, counted from its beginning or from the end of the HTTP head,
    and of what comes next not one. Then both ends see a reset, an orderly end, or (`silent`) nothing:
    the connection stays open and swallows what they say.
    """

    direction: str
    after: int
    past_head: bool = False
    orderly: bool = False
    silent: bool = False
    delay_s: float = 0


class Relay:
    """Relays `url` to connections of its own `url`. `fate(number)` gives each its Fate or None."""

    def __init__(self, loop, url, fate=lambda number: None):
        self.cuts = 0
        #: `alter(direction, passed, data)` returns what is passed on in the place of `data`, before
        #: which `passed` bytes of the connection have been.
        self.alter = lambda direction, passed, data: data
        self._loop = loop
        self._port = int(url.rpartition(":")[2])
        self._fate = fate
        self._connections = []
        self._count = 0
        self._server = loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _accept(self, reader, writer):
        self._count += 1
        connection = _Connection(self, self._fate(self._count))
        self._connections.append(connection)
        try:
            await connection.run(self._port, reader, writer)
        finally:
            self._connections.remove(connection)

    def cut(self):
        """Cut all connections that there are."""
        for connection in self._connections:
            connection.cut()

    def cut_after(self, count, direction):
        """Cut each connection that there is once so many more of its bytes have passed."""
        for connection in self._connections:
            connection.fate = Fate(direction, connection.passed[direction] + count)

    def drop(self, *directions):
        """Swallow what comes over the connections that there are; they stay open."""
        for connection in self._connections:
            connection.dropped |= set(directions)

    def close(self):
        """End all of it."""
        self.cut()
        self._server.close()
        self._loop.run_until_complete(self._server.wait_closed())


class _Connection:
    def __init__(self, relay, fate):
        self.fate = fate
        self.passed = {UP: 0, DOWN: 0}
        self.dropped = set()
        self._relay, self._is_cut = relay, False
        self._heads = {UP: b"", DOWN: b""}
        self._writers = []

    async def run(self, port, reader, writer):
        self._writers.append(writer)
        try:
            there, upstream = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.append(upstream)
        if self._is_cut:
            upstream.transport.abort()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pump(UP, reader, upstream))
            group.create_task(self._pump(DOWN, there, writer))

    async def _pump(self, direction, source, target):
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if direction in self.dropped:
                    continue
                if self.fate and self.fate.delay_s:
                    await asyncio.sleep(self.fate.delay_s)
                data = self._relay.alter(direction, self.passed[direction], data)
                room = self._room(direction, data)
                target.write(data[:room])
                self.passed[direction] += len(data[:room])
                if room is not None:
                    if not self.fate.silent:
                        self.cut(self.fate.orderly)
                        return
                    self._count()
                    self.fate, self.dropped = None, {UP, DOWN}
                await target.drain()
        target.close()

    def _room(self, direction, data):
        """Return how much of `data` still passes before the cut; None for all of it."""
        fate = self.fate
        if fate is None or fate.direction != direction:
            return None
        after = fate.after
        if fate.past_head:
            if b"\r\n\r\n" not in self._heads[direction]:
                self._heads[direction] += data
            head, found, _ = self._heads[direction].partition(b"\r\n\r\n")
            if not found:
                return None
            after += len(head) + len(found)
        room = after - self.passed[direction]
        return room if room < len(data) else None

    def cut(self, orderly=False):
        self._count()
        for writer in self._writers:
            if orderly:
                # What was written before still arrives.
                writer.close()
            else:
                writer.transport.abort()

    def _count(self):
        self._relay.cuts += not self._is_cut
        self._is_cut = True
