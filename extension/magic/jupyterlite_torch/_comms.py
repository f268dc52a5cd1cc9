"""Comms between the page and the remote kernel: widgets, above all.

The page knows the local kernel alone. So what the remote kernel says on a comm is said again by the
local one, and for each remote comm the local kernel has a stand-in that sends on what the page says.
"""

import asyncio

from ._local_kernel import promise

#: Seconds that the page waits for the server's answer to what is done to a widget, at most.
ANSWER_WITHIN_S = 10


class Comms:
    """The remote comms of this notebook. `post(kind, content, metadata, buffers, identifier)` sends
    a message to the remote kernel.

    `on_heard(message)` is called before with the page's message, under whose ID answers will come;
    it returns False when those may take long, because the remote kernel is busy.
    """

    def __init__(self, kernel, post, on_heard):
        self._kernel = kernel
        self._post = post
        self._on_heard = on_heard
        # By the ID of the page's message: the promise that it is dealt with, how to keep that, and
        # the timer that keeps it in any case.
        self._unanswered = {}
        # JupyterLab (4.6) gives an Output widget what is printed in a callback only while the
        # message that led to it is under way.
        kernel.hold_comm_messages(lambda identifier: self._unanswered.get(identifier, (None,))[0])

    def show(self, kind, message, buffers):
        """Say a comm message of the remote kernel to the page."""
        content = message["content"]
        identifier = content["comm_id"]
        if kind == "comm_open":
            self._kernel.comms[identifier] = _StandIn(identifier, content["target_name"], self)
        elif kind == "comm_close":
            self._kernel.comms.pop(identifier, None)
        self._kernel.say(kind, content, message.get("metadata") or {}, buffers)

    def close(self):
        """Tell the page that the remote kernel of all of them has gone."""
        for identifier, comm in list(self._kernel.comms.items()):
            if isinstance(comm, _StandIn):
                del self._kernel.comms[identifier]
                self._kernel.say("comm_close", {"comm_id": identifier, "data": {}}, {}, ())

    def heard(self, kind, message):
        """Send a message of the page on to the remote kernel."""
        if self._on_heard(message) and kind == "comm_msg":
            self._expect_answer(message["header"]["msg_id"])
        buffers = [_bytes(part) for part in message.get("buffers") or ()]
        content, metadata = message["content"], message.get("metadata") or {}
        self._post(kind, content, metadata, buffers, message["header"]["msg_id"])

    def _expect_answer(self, identifier):
        promised, keep = promise()
        timer = asyncio.get_running_loop().call_later(ANSWER_WITHIN_S, self.answered, identifier)
        self._unanswered[identifier] = promised, keep, timer

    def answered(self, identifier):
        """Note that the remote kernel has dealt with a message of the page."""
        if identifier in self._unanswered:
            _, keep, timer = self._unanswered.pop(identifier)
            timer.cancel()
            keep(None)


class _StandIn:
    """What the local kernel's comm manager has for a comm of the remote kernel."""

    def __init__(self, comm_id, target_name, comms):
        self.comm_id, self.target_name = comm_id, target_name
        self._comms = comms

    def handle_msg(self, message):
        """Called by the comm manager."""
        self._comms.heard("comm_msg", message)

    def handle_close(self, message):
        """Called by the comm manager, which has let go of this already."""
        self._comms.heard("comm_close", message)


def _bytes(buffer):
    # The page's ArrayBuffers and views arrive as `JsBuffer`.
    return buffer.to_bytes() if hasattr(buffer, "to_bytes") else bytes(buffer)
