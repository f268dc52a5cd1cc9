"""Runs one `%%torch` cell: values there, the code, its output, values back."""

import sys

import numpy as np

from . import _names
from ._errors import KernelDied, ServerError, TransferError, remote_error
from ._output import Output
from ._remote import EAGER_BYTES, Values, send

#: NumPy on a 32-bit machine, which the browser's Python is, has no larger array, in bytes.
MAX_ARRAY_BYTES = 2**31 - 1


class Cell:
    """One run. `connection` gives `transport` and `channel`; `ledger` follows the namespace;
    `device` is where arrays go unless `options` sends them elsewhere."""

    def __init__(self, shell, connection, ledger, options, body, device):
        self._shell = shell
        self._connection = connection
        self._ledger = ledger
        self._options = options
        self._body = body
        self._device = device
        self._output = Output(shell)

    async def run(self):
        """Run it and return the value of its last expression, None for none.

        Raises what the cell raised, or a TorchError; what the cell had assigned until then is here.
        """
        after = self._options.fetch.values()
        names = _names.analyze(self._body, self._ledger.functions, after)
        automatic = self._options.auto
        push = self._ledger.prepare(names.reads if automatic else (), self._options.send)
        if self._device != "cpu":
            push.device = {**dict.fromkeys(push.values, self._device), **push.device}
        channel = self._connection.channel
        described, buffers = await send(push, channel)
        assigned = [name for name in names.assigned if not name.startswith("_")]
        deleted = [name for name in names.deleted if not name.startswith("_")]
        pull = {
            "assigned": [*assigned, *deleted] if automatic else [],
            "stale": [name for name in assigned if self._is_stale(name, push)] if automatic else [],
            "mentioned": list(names.mentioned) if automatic else None,
            "expressions": self._options.fetch,
            "eager": EAGER_BYTES,
            "limit": MAX_ARRAY_BYTES,
        }
        metadata = {"torch": {"push": described if push else None, "pull": pull}}
        reply = await channel.execute(self._body, self._output.show, metadata, buffers)
        self._raise_if_not_run(reply)
        self._ledger.pushed(push)
        self._ledger.functions = names.functions
        if not automatic:
            for name in (*assigned, *deleted):
                self._ledger.agree(name)
        value, problems = await self._bring_back(reply)
        if reply.content["status"] != "ok":
            content = reply.content
            raise remote_error(content["ename"], content["evalue"], content["traceback"])
        if problems:
            raise TransferError(" ".join(problems))
        return value

    @property
    def shown(self):
        """The cell's Output."""
        return self._output

    def _is_stale(self, name, push):
        return name not in push.values and self._ledger.is_stale(name)

    def _raise_if_not_run(self, reply):
        """Raise for a reply of the proxy itself, which is one that has no values."""
        content = reply.content
        if content["status"] == "ok" or "torch" in reply.metadata:
            return
        if content["ename"] in ("KernelDied", "KernelRestarted", "SessionClosed"):
            self._ledger.reset()
            raise KernelDied(content["evalue"])
        if content["ename"] == "AgentFailure":
            raise TransferError(content["evalue"])
        raise ServerError(content["evalue"])

    async def _bring_back(self, reply):
        described = reply.metadata.get("torch", {})
        if "failure" in described:
            return None, [f"The values of this cell did not come back: {described['failure']}"]
        if "values" not in described:
            return None, []
        values = Values(described, reply.buffers)
        failed = await values.fetch(self._connection.transport, self._connection.channel)
        problems = list(described["errors"].values())
        for name, tree in described["values"].items():
            try:
                self._assign(name, values.decode(tree), name in described["in_place"])
            except KeyError as missing:
                problems.append(_reason(name, failed.get(missing.args[0], missing)))
            # A value that did not arrive is the server's, so that the old one here is not sent.
            self._ledger.agree(name, values.checksums)
        for name in described["kept"]:
            self._ledger.agree(name)
        for name in described["deleted"]:
            self._shell.user_ns.pop(name, None)
            self._ledger.forget(name)
        for name, note in described["notes"].items():
            print(f"`{name}` stays on the server: {note}.", file=sys.stderr)
        for name in described["conflict"]:
            print(
                f"`{name}` was changed here and on the server; the value from here was used.",
                file=sys.stderr,
            )
        return self._result(described, values), problems

    def _assign(self, name, value, in_place):
        namespace = self._shell.user_ns
        old = namespace.get(name)
        if in_place and _overwrite(old, value):
            return
        namespace[name] = value

    def _result(self, described, values):
        tree = described.get("result")
        if isinstance(tree, dict) and "name" in tree:
            return self._shell.user_ns.get(tree["name"])
        if tree is None or (isinstance(tree, dict) and "stays" in tree):
            return None
        try:
            return values.decode(tree)
        except KeyError:
            return None


def _overwrite(old, value):
    """Change `old` in place to `value`, so that other names of it follow; False if it can not be."""
    if type(old) is not type(value):
        return False
    if isinstance(old, np.ndarray):
        if old.shape != value.shape or old.dtype != value.dtype or not old.flags.writeable:
            return False
        old[...] = value
    elif isinstance(old, list | bytearray):
        old[:] = value
    elif isinstance(old, dict | set):
        old.clear()
        old.update(value)
    else:
        return False
    return True


def _reason(name, error):
    if isinstance(error, TransferError):
        return str(error)
    return f"`{name}` did not come back: {error}. Run `%%torch -o {name}` to try again."
