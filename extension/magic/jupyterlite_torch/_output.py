"""Shows the messages of a remote cell as if the cell were local."""

import html
import json
import sys

from ._local_kernel import to_page
from ._values import notes


class Output:
    """The output area of one local cell. `result` is the value of the last expression as the server
    shows it, None for none.

    `parent` is the local message that what is shown belongs to: by default the one that is being
    handled now.
    """

    def __init__(self, shell, kernel, comms, parent=None):
        self._shell = shell
        self._kernel = kernel
        self._comms = comms
        self.parent = parent or kernel.parent
        self._detached = False
        #: The number of the cell; `execution_count` is the next one's (IPython 9) while one runs.
        self.count = shell.displayhook.prompt_count
        self.result = None

    @property
    def message_id(self):
        """The ID of the local message; None where there is none."""
        return None if self.parent is None else self.parent["header"]["msg_id"]

    def detach(self):
        """From now on other cells may be running, and what comes belongs to this one all the same."""
        self._detached = True

    def show(self, message, buffers=()):
        """Show one message of the session."""
        kind, content = message["header"]["msg_type"], message["content"]
        with self._placed():
            if kind == "stream":
                self.write(content["text"], content["name"])
            elif kind in ("display_data", "update_display_data"):
                self._display(kind, content)
            elif kind == "clear_output":
                self._publish.clear_output(content.get("wait", False))
            elif kind == "execute_result":
                self.result = content["data"], content.get("metadata") or {}
            elif kind in ("comm_open", "comm_msg", "comm_close"):
                self._comms.show(kind, message, buffers)
            elif kind == "notice":
                self.write(content["text"] + "\n", "stderr")
            elif kind == "gap":
                self.write(_gap(content), "stderr")

    def write(self, text, name="stdout"):
        """Write to a stream of the cell."""
        with self._placed():
            stream = self._kernel.streams[name] if self._detached else getattr(sys, name)
            stream.write(text)

    def say(self, name, tree):
        """Write what there is to say of a value that travels, by its tree."""
        for note in notes(tree):
            self.write(f"`{name}` {note}.\n", "stderr")

    def display(self, text, identifier, update=False):
        """Show a plain text that can be updated; None shows nothing any more."""
        data = {} if text is None else {"text/plain": text}
        content = {"data": data, "transient": {"display_id": identifier}}
        with self._placed():
            self._display("update_display_data" if update else "display_data", content)

    def offer_to_connect(self, url):
        """Show a button that opens the page's dialog for a server."""
        arguments = {} if url is None else {"url": url}
        self._show_button("jupyterlite-torch:connect", arguments, "Connect to a GPU server…")

    def offer_to_run_there(self):
        """Show a button that makes a `%%torch` cell of this one and runs it."""
        cell = None if self.parent is None else self.parent["metadata"].get("cellId")
        if cell is not None:
            command = "jupyterlite-torch:run-with-torch"
            self._show_button(command, {"cell": cell}, "Run this cell with %%torch")

    def _show_button(self, command, arguments, label):
        button = (
            '<button class="jp-mod-styled jp-mod-accept" '
            f'data-commandlinker-command="{command}" '
            f'data-commandlinker-args="{html.escape(json.dumps(arguments))}">{label}</button>'
        )
        with self._placed():
            self._display("display_data", {"data": {"text/html": button}})

    def _display(self, kind, content):
        self._publish.publish(
            _bundle(self._publish, content["data"]),
            _bundle(self._publish, content.get("metadata") or {}),
            transient=_bundle(self._publish, content.get("transient") or {}),
            update=kind == "update_display_data",
        )

    @property
    def _publish(self):
        return self._kernel.publisher if self._detached else self._shell.display_pub

    def _placed(self):
        return self._kernel.handling(self.parent if self._detached else None)

    def show_result(self, value):
        """Show the value of the last expression as the server's `execute_result`; keep `value` as
        `_` and `Out[n]`."""
        data, metadata = self.result
        hook = self._shell.displayhook
        publish = getattr(hook, "publish_execution_result", None)
        with self._placed():
            if not self._detached:
                hook.update_user_ns(value)
            if publish is not None:
                publish(self.count, to_page(data), to_page(metadata))
            else:
                self._publish.publish(data, metadata)

    def hand_payloads(self, payloads):
        """Give what the cell asks of the page (a pager, the next cell) to the local kernel's reply."""
        for payload in payloads:
            if not self._detached:
                self._shell.payload_manager.write_payload(payload, single=False)
            elif "text/plain" in payload.get("data", {}):
                self.write(payload["data"]["text/plain"] + "\n")


def _gap(content):
    return (
        f"The server was down until {content['until'][11:19]} UTC. The cell ran on; what it printed "
        "meanwhile is lost.\n"
    )


def _bundle(publisher, data):
    # A publisher that collects (`%%capture`) wants Python objects.
    return to_page(data) if hasattr(publisher, "display_data_callback") else data
