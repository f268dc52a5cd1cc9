"""The local kernel's ways to the page: where a cell's output goes, and comms.

Knows what pyodide-kernel 0.8.6 keeps where. In a plain IPython, which has no page, output goes to
the process's own streams and comms nowhere.
"""

import contextlib
import json
import sys

try:
    import js
    import pyodide_kernel
    from pyodide.ffi import to_js
except ImportError:
    js = pyodide_kernel = None


class LocalKernel:
    """The kernel of `shell`."""

    def __init__(self, shell):
        self._shell = shell
        self._kernel = getattr(shell, "kernel", None)
        # `%%capture` puts a publisher of its own into the shell for a while.
        self.publisher = shell.display_pub

    @property
    def parent(self):
        """The message of the page that is being handled; None without a page."""
        return getattr(self._kernel, "_parent_header", None)

    @contextlib.contextmanager
    def handling(self, parent):
        """Have what is published meanwhile belong to that message of the page."""
        if parent is None:
            yield
            return
        now, self._kernel._parent_header = self._kernel._parent_header, parent
        try:
            yield
        finally:
            self._kernel._parent_header = now

    @property
    def streams(self):
        """The streams to the page, whatever `sys.stdout` is now."""
        if pyodide_kernel is None:
            return {"stdout": sys.__stdout__, "stderr": sys.__stderr__}
        return {"stdout": pyodide_kernel.stdout_stream, "stderr": pyodide_kernel.stderr_stream}

    @property
    def comms(self):
        """The comms that the page can reach, by their IDs; to be changed in place."""
        return {} if self._kernel is None else self._kernel.comm_manager.comms

    def say(self, kind, content, metadata, buffers):
        """Publish a comm message."""
        if js is not None:
            parts = js.Array.new(*(to_js(bytes(part)) for part in buffers))
            self._shell.send_comm(kind, to_page(content), to_page(metadata), None, parts)

    def hold_comm_messages(self, wait_for):
        """Have a message of the page on a comm be under way until the promise is kept that
        `wait_for(msg_id)` returns; None for none."""
        if self._kernel is None:
            return
        manager = self._kernel.comm_manager
        handle = manager.comm_msg

        def comm_msg(stream, ident, message):
            handle(stream, ident, message)
            # The worker awaits what this returns.
            return wait_for(message["header"]["msg_id"])

        manager.comm_msg = comm_msg


def promise():
    """Return a promise of JavaScript and the function that keeps it."""
    made = js.Promise.withResolvers()
    return made.promise, made.resolve


def to_page(data):
    """Return a bundle as a JavaScript object: converted by Pyodide 314, None would vanish, large
    integers would lose the message, and NaN become null."""
    return data if js is None else js.JSON.parse(json.dumps(data))
