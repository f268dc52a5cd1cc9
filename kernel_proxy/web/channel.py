"""The channel: a WebSocket that carries a session's events down and requests up."""

import asyncio
import contextlib
import json
import re
import struct
import time
from collections.abc import Iterable, Iterator
from typing import Any

from jupyter_client.jsonutil import extract_dates
from jupyter_server.auth.decorator import allow_unauthenticated
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from .._version import __version__
from ..access.admission import token_of
from ..errors import ProxyError, Refused
from ..operations import journal, metrics
from ..session.event_files import Event
from ..session.session import Session
from ..settings import PROTOCOL
from .handlers import ProxyHandler

_CHANNELS = ("shell", "control", "stdin")
#: The longest ID of a message, a session or an upload, in characters.
MAX_IDENTIFIER = 200
#: The largest header of a message, in characters.
MAX_HEADER = 4096
#: Events without binary parts go in one message up to so many bytes.
GROUP_BYTES = 2**18


class ChannelHandler(WebSocketHandler, ProxyHandler):
    """One listener of one session. Its first message carries the token."""

    _session: Session | None = None
    _deadline: asyncio.TimerHandle | None = None
    #: Its token is no good any more.
    _is_out = False
    _greeting: asyncio.Task[None] | None = None
    _sender: asyncio.Task[None] | None = None

    @allow_unauthenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the WebSocket; the origin has been checked, the token comes inside."""
        await WebSocketHandler.get(self, *args, **kwargs)

    def check_origin(self, origin: str) -> bool:
        """True: `prepare` has refused every other page."""
        return self.origin_allowed

    def get_compression_options(self) -> None:
        """No compression: arrays do not shrink, and text is small."""

    @property
    def max_message_size(self) -> int:
        """What a stranger may send."""
        return self.proxy.limits.hello_bytes

    @property
    def ping_interval(self) -> float:
        """Seconds."""
        return self.proxy.limits.ping_every_s

    @property
    def ping_timeout(self) -> float:
        """Seconds; tornado (6.6) takes none that is longer than the interval."""
        return self.proxy.limits.ping_every_s

    def open(self, *args: str, **kwargs: str) -> None:
        """Wait for the token, not for long."""
        self.set_nodelay(True)
        # Tornado's for an open WebSocket raises (6.6); that of ProxyHandler does nothing.
        vars(self).pop("set_cookie", None)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self.proxy.limits.hello_s, self.close, 4408, "no hello")

    async def on_message(self, message: str | bytes) -> None:
        """Take a frame of the page."""
        if self._is_out:
            # Tornado (6.6) waits for the page to close as well, and hands on what it sends until then.
            return
        try:
            frame, buffers = _parse(message)
            plane = "tensors" if frame.get("type") == "upload" else "channel"
            metrics.bytes_up(len(message), plane)
            if self._greeting is None:
                # Not waited for: pings are answered while a kernel starts.
                self._greeting = asyncio.create_task(self._greet(frame))
            elif frame.get("type") == "ping":
                self._send({"type": "pong"})
            else:
                self._take(frame, buffers)
        except ProxyError as error:
            self._refuse(error.reason, str(error))
        except RecursionError:
            self._refuse("bad-request", "This frame is nested too deeply.")

    async def _greet(self, frame: dict[str, Any]) -> None:
        try:
            await self._welcome(frame)
        except ProxyError as error:
            self._refuse(error.reason, str(error))
        except Exception as error:
            journal.fault(self.proxy.log, "channel not opened", error)
            self.close(1011)

    async def _welcome(self, frame: dict[str, Any]) -> None:
        if frame.get("type") != "hello" or not isinstance(frame.get("token"), str):
            raise Refused("The first message of a channel is `hello` with a token.")
        await self.admit(frame["token"], "execute")
        if frame.get("protocol") != PROTOCOL:
            raise Refused(_other_protocol(frame.get("protocol")), "protocol")
        self._deadline.cancel()
        self.ws_connection.params.max_message_size = self.proxy.limits.message_bytes
        identifier, ended = str(frame.get("session")), self.proxy.culling.ended
        why = ended.get(identifier)
        if why and frame.get("log") is not None:
            # It comes back to what is gone; its person is to know before a new one is used.
            raise Refused(why, "ended", 410)
        token = token_of(self.current_user)
        session, new = self.proxy.sessions.open(identifier, frame.get("kernel"), token)
        try:
            await session.life.ready()
        except ProxyError:
            if new:
                await self.proxy.sessions.end(session.id)
            raise
        if frame.get("log") is None and not session.listeners:
            session.tensors.forget_page()
        seq = frame.get("seq")
        log = session.log
        if frame.get("log") != log.id or not isinstance(seq, int) or not 0 <= seq <= log.last:
            # A page that does not know this log is not owed its past.
            seq = log.last
        lost = max(0, log.first - 1 - seq)
        names = [] if new else await session.names()
        if self.ws_connection is None or self._is_out:
            return
        self._session = session
        session.listeners[self] = seq
        self._send(
            {
                "type": "welcome",
                "session": {**session.describe(), "names": names},
                "new": new,
                "log": log.id,
                "seq": seq,
                "lost": lost,
                "cells": session.cells.describe(),
                "proxy": self.proxy.id,
                "ended": why,
            }
        )
        ended.forget(identifier)
        self._sender = asyncio.create_task(self._follow(session, seq + lost))
        if frame.get("log") is not None:
            # One that comes for the first time has something to run.
            session.idle.remind()

    def _take(self, frame: dict[str, Any], buffers: tuple[bytes, ...]) -> None:
        session = self._session
        if session is None:
            raise Refused("Nothing may be sent before `welcome`.")
        self.proxy.admission.use(self)
        kind = frame.get("type")
        if kind == "request":
            channel = frame.get("channel")
            if channel not in _CHANNELS:
                raise Refused("A request needs a channel.")
            session.request(channel, _message(frame.get("msg")), buffers)
        elif kind == "upload":
            session.idle.touch()
            self._send(session.tensors.add_part(frame, buffers))
        elif kind == "ack" and isinstance(frame.get("seq"), int):
            session.listeners[self] = frame["seq"]
            session.forget()
        elif kind == "release" and isinstance(frame.get("handles"), list):
            for handle in frame["handles"]:
                session.tensors.release(str(handle))
        elif kind == "seen" and _is_identifier(frame.get("cell")):
            session.see(frame["cell"])
        elif kind == "drop" and _is_identifier(frame.get("id")):
            session.tensors.drop(frame["id"])
        else:
            raise Refused(f"Unknown frame of type {kind!r:.40}.")

    async def _follow(self, session: Session, seq: int) -> None:
        """Send events as fast as the page takes them."""
        since = time.monotonic()
        with contextlib.suppress(WebSocketClosedError):
            while True:
                events = session.log.after(seq)
                if not events:
                    await session.log.grown(seq)
                for group in _groups(events):
                    first = group[0]
                    if first.seq > seq + 1:
                        self._send({"type": "lost", "count": first.seq - seq - 1})
                    seq = group[-1].seq
                    if first.buffers:
                        head = struct.pack("<I", len(first.text))
                        await self.write_message(b"".join((head, first.text, *first.buffers)), True)
                    else:
                        await self.write_message(b"[%b]" % b",".join(each.text for each in group))
                    for event in group:
                        metrics.event_sent(event, since)

    def _send(self, frame: dict[str, Any]) -> None:
        with contextlib.suppress(WebSocketClosedError):
            sent = self.write_message(json.dumps(frame))
            # Nobody waits for it, and that the page is gone is told by `on_close`.
            sent.add_done_callback(lambda sent: sent.cancelled() or sent.exception())

    def dismiss(self, why: str) -> None:
        """Tell the page why its session ends."""
        self._send({"type": "ended", "message": why})
        self.close(4410, "ended")

    def put_out(self, why: str) -> None:
        """Tell the page why its token is no good any more; its session goes on."""
        self._send({"type": "ended", "reason": "token", "message": why})
        self._is_out = True
        self._part()
        self.close(4401, "token")

    def _refuse(self, reason: str, message: str) -> None:
        self._send({"type": "refused", "reason": reason, "message": message})
        self.close(4400, reason)

    def on_close(self) -> None:
        """The page is gone; its session goes on."""
        # One that was refused is closed without having been open.
        if self._deadline:
            self._deadline.cancel()
        self.proxy.admission.forget(self)
        self._part()

    def _part(self) -> None:
        """Follow the session no more."""
        if self._sender:
            self._sender.cancel()
        if self._session:
            self._session.listeners.pop(self, None)


def _groups(events: Iterable[Event]) -> Iterator[list[Event]]:
    """Yield events in groups that go in one message each."""
    group: list[Event] = []
    size = 0
    for event in events:
        apart = event.buffers or size + event.size > GROUP_BYTES
        if group and (apart or group[-1].buffers or event.seq > group[-1].seq + 1):
            yield group
            group, size = [], 0
        group.append(event)
        size += event.size
    if group:
        yield group


def _parse(message: str | bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Split a frame into its JSON and its binary parts; Refused when it is none."""
    try:
        if isinstance(message, str):
            frame, rest = json.loads(message), memoryview(b"")
        else:
            (length,) = struct.unpack_from("<I", message)
            frame = json.loads(message[4 : 4 + length])
            rest = memoryview(message)[4 + length :]
        lengths = frame.get("buffers") or []
        if sum(lengths) != len(rest) or any(length < 0 for length in lengths):
            raise ValueError("lengths")
        buffers, position = [], 0
        for length in lengths:
            buffers.append(bytes(rest[position : position + length]))
            position += length
        return frame, tuple(buffers)
    except (ValueError, TypeError, AttributeError, struct.error):
        raise Refused("This is no frame of the protocol.") from None


def _other_protocol(protocol: Any) -> str:
    older = type(protocol) is not int or protocol < PROTOCOL
    what = "page's site" if older else "server, with `pip install --upgrade jupyterlite-torch`"
    return (
        f"The page speaks protocol {protocol!r:.20} and this server (jupyterlite-torch {__version__}) "
        f"{PROTOCOL}, which do not go together: update the {what}."
    )


def _is_identifier(value: Any) -> bool:
    """True for a text that may be kept as a name for something. JSON can hold half a character, which
    nothing can encode."""
    return isinstance(value, str) and len(value) <= MAX_IDENTIFIER and value.isprintable()


def _has_good_dates(header: dict[str, Any]) -> bool:
    """True when a kernel can read every date of a header, wherever one stands."""
    try:
        extract_dates(header)
    except (ValueError, OverflowError):
        return False
    return True


def _message(given: Any) -> dict[str, dict[str, Any]]:
    """Return the parts of a Jupyter message; Refused when it is none that can be sent on."""
    message = given if isinstance(given, dict) else {}
    parts = ("header", "parent_header", "metadata", "content")
    message = {part: message.get(part, {}) for part in parts}
    header = message["header"]
    if not (
        all(isinstance(part, dict) for part in message.values())
        and all(_is_identifier(header.get(key)) for key in ("msg_id", "msg_type", "session"))
        and all(value is None or _is_identifier(value) for value in header.values())
        # A kernel does not answer what it takes for a message of another protocol's (without a version
        # it is one of 4), nor one with a date that there is not (jupyter_client 8.10).
        and re.fullmatch(r"5(\.\d{1,4})?", str(header.get("version")))
        and _has_good_dates(header)
        and _has_good_dates(message["parent_header"])
        # It comes back with every message of the answer.
        and len(json.dumps(header)) <= MAX_HEADER
    ):
        raise Refused("A request needs a Jupyter message.")
    return message
