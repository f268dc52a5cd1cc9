"""jupyter_client's blocking client for a kernel behind the proxy's channel.

What takes a `BlockingKernelClient` can not tell it from one with ZeroMQ sockets, as with
jupyter_server's `GatewayKernelClient`: each of its channels is a queue that one WebSocket fills.
"""

import contextlib
import json
import queue
import secrets
import threading
import urllib.request

import websockets
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.jsonutil import extract_dates, json_default
from proxy import ORIGIN
from websockets.sync.client import connect

from jupyterlite_torch import _frames


class SessionManager:
    """A session of a proxy in the place of a KernelManager's kernel."""

    def __init__(self, proxy):
        self._base = f"{proxy.url}/kernel_proxy/api/v1/"
        self._token = proxy.token
        self._session = secrets.token_urlsafe(12)

    def client(self):
        """A client of the session, which starts its kernel with its first `start_channels`."""
        return ChannelClient(self._base, self._token, self._session)

    def shutdown_kernel(self):
        """End the session and its kernel."""
        headers = {"Authorization": f"token {self._token}", "Torch-Session": self._session}
        url = f"{self._base}sessions"
        request = urllib.request.Request(url, headers=headers, method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()


class ChannelClient(BlockingKernelClient):
    """A client of one session. Once its line is broken, every method that needs it raises."""

    def __init__(self, base, token, session_name):
        super().__init__()
        self._url = "ws" + base.removeprefix("http") + "channel"
        self._hello = {"type": "hello", "protocol": 1, "token": token, "session": session_name,
                       "log": None, "seq": 0}  # fmt: skip
        self._line = contextlib.ExitStack()
        self._socket = self._reader = None

    def start_channels(self, **channels):
        """Connect; returns when the session is there."""
        line = connect(self._url, origin=ORIGIN, max_size=None, compression=None)
        self._socket = self._line.enter_context(line)
        self._socket.send(json.dumps(self._hello))
        welcome = json.loads(self._socket.recv())
        assert welcome["type"] == "welcome", welcome
        self._iopub_channel = Channel("iopub", self._socket)
        self._shell_channel = Channel("shell", self._socket)
        self._stdin_channel = Channel("stdin", self._socket)
        self._control_channel = Channel("control", self._socket)
        self._hb_channel = Heartbeat(self._socket)
        # What a kernel of its own says to a new subscriber, the proxy says with `welcome`.
        header = self.session.msg_header("iopub_welcome")
        self._iopub_channel.put({"header": header, "content": {"subscription": ""}}, ())
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        super().start_channels(**channels)

    def _read(self):
        channels = {
            channel.name: channel
            for channel in (
                self._shell_channel,
                self._iopub_channel,
                self._stdin_channel,
                self._control_channel,
            )
        }
        try:
            while True:
                for frame, buffers in _frames.parse(self._socket.recv()):
                    if frame["type"] == "event":
                        channels[frame["channel"]].put(frame["msg"], buffers)
        except websockets.ConnectionClosed as error:
            for channel in channels.values():
                channel.break_off(error)

    def stop_channels(self):
        """Disconnect; the session goes on."""
        if self._reader is not None:
            self._line.close()
            self._reader.join()
            super().stop_channels()


class Channel:
    """One of the channels of a client, with the methods that jupyter_client calls."""

    def __init__(self, name, socket):
        self.name = name
        self._socket = socket
        self._messages = queue.SimpleQueue()

    def put(self, message, buffers):
        """Add a message as the proxy sends it, in the form in which a Session returns one."""
        header = extract_dates(message["header"])
        self._messages.put(
            {
                "header": header,
                "msg_id": header["msg_id"],
                "msg_type": header["msg_type"],
                "parent_header": extract_dates(message.get("parent_header", {})),
                "metadata": message.get("metadata", {}),
                "content": message["content"],
                "buffers": list(buffers),
            }
        )

    def break_off(self, error):
        """Let whoever waits, now or later, get this error after what has come."""
        self._messages.put(error)

    def get_msg(self, timeout=None):
        """Return the next message; queue.Empty when none comes in time."""
        message = self._messages.get(timeout=timeout)
        if isinstance(message, Exception):
            self._messages.put(message)
            raise ConnectionError("the proxy has gone") from message
        return message

    def msg_ready(self):
        """True when there is something to get."""
        return not self._messages.empty()

    def send(self, message):
        """Send a message that a Session has made."""
        parts = ("header", "parent_header", "metadata", "content")
        frame = {"type": "request", "channel": self.name}
        frame["msg"] = {part: message[part] for part in parts}
        self._socket.send(json.dumps(frame, default=json_default))

    def start(self):
        """Nothing to do: the socket is the client's."""

    def stop(self):
        """See start."""

    def is_alive(self):
        """True while the line is not broken."""
        return self._socket.close_code is None


class Heartbeat:
    """The heartbeat of a kernel whose death the proxy tells by itself."""

    def __init__(self, socket):
        self._socket = socket

    def is_beating(self):
        """True while the line is not broken."""
        return self._socket.close_code is None

    is_alive = is_beating

    def start(self):
        """Nothing to do."""

    stop = unpause = start
