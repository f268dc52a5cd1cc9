"""Shows the messages of a remote cell as if the cell were local."""

import json
import sys


class Output:
    """The outputs of one cell. `result` is the value of its last expression as the server
    shows it, None for none."""

    def __init__(self, shell):
        self._shell = shell
        self.result = None

    def show(self, message):
        """Show one iopub message."""
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            stream = sys.stderr if content["name"] == "stderr" else sys.stdout
            stream.write(content["text"])
        elif kind in ("display_data", "update_display_data"):
            self._shell.display_pub.publish(
                _bundle(self._shell.display_pub, content["data"]),
                _bundle(self._shell.display_pub, content.get("metadata") or {}),
                transient=_bundle(self._shell.display_pub, content.get("transient") or {}),
                update=kind == "update_display_data",
            )
        elif kind == "clear_output":
            self._shell.display_pub.clear_output(content.get("wait", False))
        elif kind == "execute_result":
            self.result = content["data"], content.get("metadata") or {}

    def show_result(self, value):
        """Show the value of the last expression as the server's `execute_result`; keep `value` as
        `_` and `Out[n]`."""
        data, metadata = self.result
        hook = self._shell.displayhook
        hook.update_user_ns(value)
        publish = getattr(hook, "publish_execution_result", None)
        if publish is not None:
            publish(hook.prompt_count, _to_page(data), _to_page(metadata))
        else:
            self._shell.display_pub.publish(data, metadata)


def _bundle(publisher, data):
    # A publisher that collects (`%%capture`) wants Python objects.
    return _to_page(data) if hasattr(publisher, "display_data_callback") else data


def _to_page(data):
    """Return a bundle as a JavaScript object: converted by Pyodide 314, None would vanish, large
    integers would lose the message, and NaN become null."""
    try:
        import js
    except ImportError:
        return data
    return js.JSON.parse(json.dumps(data))
