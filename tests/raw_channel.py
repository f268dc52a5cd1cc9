"""A page that speaks the channel's frames itself, without the magic."""

import contextlib
import json
import secrets
import struct
import uuid

from proxy import ORIGIN
from websockets.sync.client import connect

#: Seconds in which a frame must come.
PATIENCE_S = 60


class RawChannel:
    """A WebSocket to one session of a proxy. Frames that nobody has asked for yet are kept.

    `more` goes into the `hello`.
    """

    def __init__(self, proxy, session=None, log=None, seq=0, token=None, **more):
        self.session = session or secrets.token_urlsafe(12)
        url = "ws" + proxy.url.removeprefix("http") + "/kernel_proxy/api/v1/channel"
        self._opened = contextlib.ExitStack()
        line = connect(url, origin=ORIGIN, max_size=None, compression=None)
        self._socket = self._opened.enter_context(line)
        self.frames = []
        #: What has come in one message with the last one.
        self.unread = []
        hello = {
            "protocol": 1,
            "token": token or proxy.token,
            "session": self.session,
            "log": log,
            "seq": seq,
        }
        self.send(type="hello", **hello | more)

    def greet(self):
        """Return the welcome, or the refusal."""
        frame = self.wait(lambda frame: frame["type"] in ("welcome", "refused"))
        self.log, self.seq = frame.get("log"), frame.get("seq")
        return frame

    def send(self, *parts, **frame):
        if parts:
            text = json.dumps(frame | {"buffers": [len(part) for part in parts]}).encode()
            self._socket.send(b"".join((struct.pack("<I", len(text)), text, *parts)))
        else:
            self._socket.send(json.dumps(frame))

    def request(self, channel, kind, content, metadata=None, parent=None, identifier=None):
        """Send a Jupyter message; return its ID."""
        header = {
            "msg_id": identifier or uuid.uuid4().hex,
            "msg_type": kind,
            "username": "",
            "session": self.session,
            "date": "2026-01-01T00:00:00Z",
            "version": "5.4",
        }
        message = {
            "header": header,
            "parent_header": parent or {},
            "metadata": metadata or {},
            "content": content,
        }
        self.send(type="request", channel=channel, msg=message)
        return header["msg_id"]

    def cell(self, code, torch=True, identifier=None, allow_stdin=False, **pull):
        """Send a cell, which brings back `assigned=[NAME]`; return its ID."""
        pull = {"assigned": [], "stale": [], "mentioned": [], "eager": 2**20, "limit": 0} | pull
        content = {"code": code, "silent": False, "allow_stdin": allow_stdin}
        # As a page does. Else a kernel drops also what comes within a moment after an error.
        content["stop_on_error"] = False
        metadata = {"torch": {"push": None, "pull": pull}} if torch else {}
        return self.request(
            "shell", "execute_request", content, metadata=metadata, identifier=identifier
        )

    def ask(self, kind, **content):
        """Send a control request; return its reply's content, metadata and binary parts."""
        reply = self.reply(self.request("control", kind, content))
        return reply["msg"]["content"], reply["msg"]["metadata"], reply["parts"]

    def wait(self, wanted):
        """Return the first frame that is `wanted`, and leave the others for later."""
        for frame in self.frames:
            if wanted(frame):
                self.frames.remove(frame)
                return frame
        while True:
            frame = self.receive()
            if wanted(frame):
                return frame
            self.frames.append(frame)

    def receive(self):
        """Return the next frame, its binary parts under "parts"."""
        data = self.unread or self._socket.recv(timeout=PATIENCE_S)
        parts = []
        if isinstance(data, str):
            data = json.loads(data)
        if isinstance(data, dict):
            frame = data
        elif isinstance(data, list):
            frame, *self.unread = data
        else:
            (length,) = struct.unpack_from("<I", data)
            frame, place = json.loads(data[4 : 4 + length]), 4 + length
            for size in frame["buffers"]:
                parts.append(data[place : place + size])
                place += size
        if frame["type"] == "event":
            self.seq = frame["seq"]
        return frame | {"parts": parts}

    def reply(self, identifier):
        """Wait for the reply to a request."""
        return self.event(identifier, lambda kind: kind.endswith("_reply"))

    def event(self, identifier, kind):
        """Wait for an event of a request: `kind` is a message type or says which will do."""
        matches = kind if callable(kind) else lambda name: name == kind
        return self.wait(
            lambda frame: (
                frame["type"] == "event"
                and frame["msg"]["parent_header"].get("msg_id") == identifier
                and matches(frame["msg"]["header"]["msg_type"])
            )
        )

    def printed(self, identifier, text):
        """Wait until a cell has printed `text`."""
        said = ""
        while text not in said:
            said += self.event(identifier, "stream")["msg"]["content"]["text"]
        return said

    def shut_down(self):
        """End the session and the channel."""
        self.ask("shutdown_request", restart=False)
        self.close()

    def close(self):
        self._opened.close()
