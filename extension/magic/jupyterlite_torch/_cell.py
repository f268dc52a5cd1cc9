"""Runs one `%%torch` cell: values there, the code, its output, values back."""

import asyncio
import contextlib
import sys

import numpy as np

from . import _names, _tables
from ._advice import advice
from ._errors import (
    KernelDied,
    ServerError,
    TorchError,
    TransferError,
    remote_error,
    stopped_here,
)
from ._questions import Questions
from ._remote import EAGER_BYTES, MAX_ARRAY_BYTES, Values, send
from ._remote_array import RemoteArray
from ._stop import unless

#: Names under which the proxy answers in the kernel's place.
_KERNEL_GONE = ("KernelDied", "KernelRestarted", "SessionClosed")


class Cell:
    """One run: `begin` sends values and code, `finish` waits for the end and brings values back.

    `notebook` gives what the cells of a notebook share; `output` is where the cell shows things;
    `scope` holds local names that the cell may read beside those of the notebook.
    """

    def __init__(self, notebook, options, source, output, scope=None):
        self._notebook = notebook
        self._connection = notebook.connection
        self._ledger = notebook.ledger
        self._options = options
        self._source = source
        self._scope = scope
        self.output = output
        self.request = None
        #: What it took, as the server says with its reply; None before.
        self.receipt = None
        # A job is stopped from ordinary code, too.
        self._loop = asyncio.get_running_loop()
        self._stopped = self._loop.create_future()
        self._names = self._push = None
        self._dropped = []
        # Of a job: what both sides had when it began.
        self._before = {}
        # Values that came, by their ID, and what is in their place here.
        self._overwritten = {}
        self._replied = False
        self._questions = Questions(self._connection, output, self.stop)

    async def run(self):
        """Run it and return the value of its last expression, None for none.

        Raises what the cell raised, or a TorchError; what the cell had assigned until then is here.
        """
        await self.begin()
        return await self.finish()

    async def begin(self):
        """Send what the cell needs, and the cell."""
        after = self._options.fetch.values()
        names = self._names = _names.analyze(self._source.body, self._ledger.functions, after)
        # A job whose patches were refused would run behind cells that are to run after it.
        await self._send(patches=self._options.background is None)
        for name, tree in self._push.values.items():
            self.output.say(name, tree)
        self._ledger.functions = names.functions
        if self._options.background is not None:
            # A cell that queues behind reads what this one is going to assign.
            for name in self._assigned:
                self._ledger.leave(name)
            self._before = self._ledger.agreed()

    async def _send(self, patches):
        """Send what the cell needs, and the cell."""
        names, automatic = self._names, self._options.auto
        background = self._options.background is not None
        # Of the kernel that has what is not sent now.
        generation = self._connection.channel.welcome["session"]["generation"]
        push = self._push = await self._prepare(names.reads if automatic else (), patches)
        if self._notebook.device != "cpu":
            push.device = {**dict.fromkeys(push.values, self._notebook.device), **push.device}
        assigned = self._assigned
        stale = [name for name in assigned if self._is_stale(name)] if automatic else []
        # What the server has of these is no value any more. Whatever it has of them afterwards the cell
        # has assigned, and not only named, as in a branch or behind an error.
        push.delete += [name for name in stale if self._ledger.has_known(name)]
        channel = self._connection.channel
        sending = send(push, self._connection, self.output)
        if push.arrays.arrays:
            text = (
                "stopped while values were on their way to the server; the cell did not run there."
            )
            sending = unless(self._stopped, sending, text)
        described, buffers = await sending
        self._dropped += self._ledger.source.take_dropped()
        eager = self._notebook.eager if self._options.eager is None else self._options.eager
        deleted = [name for name in names.deleted if not name.startswith("_")]
        # While a job's values come, those from here may become others.
        jobs = self._notebook.jobs.values()
        settled = automatic and not background and all(job.done() for job in jobs)
        pull = {
            "page": self._ledger.page,
            "assigned": [*assigned, *deleted] if automatic else [],
            "stale": stale,
            "mentioned": list(names.mentioned) if automatic else None,
            "current": self._ledger.current(push, names.reads) if settled else [],
            "expressions": self._options.fetch,
            "eager": EAGER_BYTES if eager is None else eager,
            "limit": MAX_ARRAY_BYTES,
            "hold": eager or 0,
            "dropped": self._dropped,
        }
        described = {**described, "page": self._ledger.page} if push else None
        metadata = {"torch": {"generation": generation, "push": described, "pull": pull}}
        identifier = self._notebook.message_id(self.output.message_id)
        self.request = channel.execute(self._source.code, metadata, buffers, identifier)
        # From here on what the server has is what was sent, also for the cells that queue behind.
        self._ledger.pushed(push)
        # The streams of tables are copies, and a job may run for hours.
        push.arrays.drop(0)

    async def _prepare(self, names, patches):
        """Return the Push; packages that it needs are loaded where this page can have them."""
        asked = names, self._options.send, self._scope, self._options.dtype, patches
        try:
            return self._ledger.prepare(*asked)
        except TransferError as error:
            loaded = [await self._notebook.load_optional(package) for package in error.lacks]
            if not loaded or not all(loaded):
                raise
        return self._ledger.prepare(*asked)

    @property
    def _assigned(self):
        return [name for name in self._names.assigned if not name.startswith("_")]

    async def finish(self):
        """Show what the cell says; return as `run` does."""
        reply = await self._reply()
        if reply.content.get("reason") == "patch" and not self._interrupted:
            # The server no longer has what it was thought to have, and has done nothing yet.
            self._ledger.refused(self._push)
            self.request, self._replied = None, False
            await self._send(patches=False)
            reply = await self._reply()
        self._notebook.numbers.note(reply.content, self.output.count)
        self._raise_if_not_run(reply)
        if not self._options.auto:
            for name in (*self._assigned, *self._names.deleted):
                self._ledger.leave(name)
        value, problems = await self._bring_back(reply)
        content = reply.content
        self.output.hand_payloads(content.get("payload") or ())
        if content["status"] != "ok":
            raise self._error(content, reply.metadata["torch"].get("error") or {})
        if problems:
            raise TransferError(" ".join(problems))
        return value

    async def _reply(self):
        """Show what the cell says until its reply; return that."""
        channel = self._connection.channel
        try:
            reply = await channel.finish(self.request, self._show)
        except BaseException:
            self._not_run()
            raise
        finally:
            self._replied = True
            self._questions.withdraw()
        channel.seen(self.request.id)
        self.receipt = reply.metadata.get("torch", {}).get("receipt")
        return reply

    def stop(self):
        """Stop it, in whichever state it is."""
        if self.request is None or self._replied:
            if not self._stopped.done():
                self._stopped.set_result(None)
            return
        self._interrupted = True
        channel = self._connection.channel
        if not channel.give_up():
            self._loop.create_task(_interrupt(channel, self.request.id))

    _interrupted = False

    def _show(self, message, buffers):
        if message["header"]["msg_type"] == "input_request":
            self._questions.ask(message)
        else:
            self.output.show(message, buffers)

    def _is_stale(self, name):
        return name not in self._push.values and self._ledger.is_stale(name)

    def _raise_if_not_run(self, reply):
        """Raise for a reply of the proxy itself, which is one that has no values."""
        content = reply.content
        if content["status"] == "ok" or "torch" in reply.metadata:
            return
        ename = content["ename"]
        if ename in _KERNEL_GONE:
            self._ledger.reset()
            if "generation" in content:
                self._connection.channel.welcome["session"]["generation"] = content["generation"]
            raise KernelDied(content["evalue"])
        self._not_run()
        failed = ename in ("AgentFailure", "PatchRefused")
        if ename == "KeyboardInterrupt" or (self._interrupted and failed):
            raise stopped_here("stopped before the cell ran on the server.")
        if failed:
            raise TransferError(content["evalue"])
        raise ServerError(content["evalue"])

    def _not_run(self):
        self._ledger.disagree([*self._push.values, *self._assigned], self._push.imports)

    def _error(self, content, described):
        """Return the exception that the cell raised, as it shall be shown here."""
        ename, evalue = content["ename"], content["evalue"]
        if ename == "ProxyRestarted":
            return ServerError(evalue)
        if ename == "CancelledError" and self._interrupted:
            # What ipykernel 7 makes of an interrupt while a cell awaits something.
            ename, evalue = "KeyboardInterrupt", ""
        traceback = self._notebook.numbers.translate(content["traceback"])
        if further := described.get("memory") or advice(evalue, self._arrays_read()):
            traceback = [*traceback, further]
        return remote_error(ename, evalue, traceback, described.get("bases", ()))

    def _arrays_read(self):
        """Return the names of arrays of the page that the cell reads, first those of NumPy's default."""
        namespace = {**self._notebook.shell.user_ns, **(self._scope or {})}
        names = [name for name in self._names.reads if type(namespace.get(name)) is np.ndarray]
        return sorted(names, key=lambda name: namespace[name].dtype != np.float64)

    async def _bring_back(self, reply):
        described = reply.metadata["torch"]
        if "failure" in described or "values" not in described:
            for name in self._assigned:
                self._ledger.leave(name)
            if self._interrupted and "failure" in described:
                raise stopped_here("stopped while values came back; they are on the server.")
            reason = described.get("failure")
            problem = f"The values of this cell did not come back: {reason}"
            return None, [problem] if reason else []
        namespace = self._notebook.shell.user_ns
        values = Values(described, reply.buffers, self._ledger.source, namespace)
        stopped = None
        if values.lacks:
            fetching = values.fetch(self._notebook, self.output)
            text = "stopped while values came back; those that did not arrive are on the server."
            try:
                await unless(self._stopped, fetching, text)
            except KeyboardInterrupt as error:
                stopped = error
        problems = list(described["errors"].values())
        self._keep_newer(described)
        in_place = described["in_place"]

        def last(name):
            return name not in in_place, isinstance(namespace.get(name), RemoteArray)

        # First what other names may be given as well.
        for name in sorted(described["values"], key=last):
            tree = described["values"][name]
            self.output.say(name, tree)
            try:
                await self._assign(name, values.decode(tree), name in in_place)
            except (KeyError, TransferError, _tables.Unfit) as missing:
                reason = values.failed.get(missing.args[0], missing)
                if isinstance(reason, _tables.Missing) and name not in self._options.fetch:
                    self.output.write(f"`{name}` stays on the server: {reason}.\n", "stderr")
                else:
                    problems.append(_reason(name, reason))
                self._ledger.leave(name)
            else:
                self._ledger.agree(name, values.checksums)
            if self._options.fetch.get(name, name) != name:
                # The value of an expression has this name here only.
                self._ledger.disagree([name])
        for name in described["kept"]:
            self._ledger.leave(name)
        for name in described["deleted"]:
            self._notebook.shell.user_ns.pop(name, None)
            self._ledger.disagree([name])
        for name, note in described["notes"].items():
            self.output.write(f"`{name}` stays on the server: {note}.\n", "stderr")
        for name in described["conflict"]:
            self.output.write(
                f"`{name}` was changed here and on the server; the value from here was used.\n",
                "stderr",
            )
        if stopped is not None:
            raise stopped
        return self._result(described, values), problems

    def _keep_newer(self, described):
        """Leave out what was changed here: before a cell that has changed it there without naming it,
        or, also by a later cell, while a job ran."""
        came = dict.fromkeys([*described["values"], *described["kept"], *described["deleted"]])
        named = {*self._names.assigned, *self._names.reads, *self._options.fetch}
        for name in came:
            if name in self._before and name not in self._options.fetch:
                if not self._ledger.has_moved_on(name, self._before[name]):
                    continue
                text = f"`{name}` was changed while this job ran; the newer value stays.\n"
                self.output.write(text, "stderr")
            elif name not in named and self._is_changed_here(name):
                if name in self._notebook.shell.user_ns:
                    described["conflict"].append(name)
                if self._ledger.has_known(name):
                    self._ledger.differ(name)
            else:
                continue
            described["values"].pop(name, None)
            for kind in ("kept", "deleted"):
                described[kind] = [other for other in described[kind] if other != name]

    def _is_changed_here(self, name):
        """True if this page has another value than the server, or has deleted it; a page that is new to
        the kernel and has none has changed nothing."""
        known = self._ledger.has_known(name) or name in self._notebook.shell.user_ns
        return known and self._ledger.is_stale(name)

    async def _assign(self, name, value, in_place):
        namespace = self._notebook.shell.user_ns
        came = value
        if in_place and isinstance(value, RemoteArray):
            # Another name here may be for the same array, and is to follow.
            old = namespace.get(name)
            if isinstance(old, np.ndarray) and sys.getrefcount(old) > _NOT_SHARED:
                value = await value
        if in_place and _overwrite(namespace.get(name), value):
            self._overwritten[id(came)] = came, namespace[name]
        else:
            _, namespace[name] = self._overwritten.get(id(came), (came, value))

    def _result(self, described, values):
        tree = described.get("result")
        if isinstance(tree, dict) and "name" in tree:
            return self._notebook.shell.user_ns.get(tree["name"])
        if tree is None or (isinstance(tree, dict) and "stays" in tree):
            return None
        try:
            return values.decode(tree)
        except (KeyError, _tables.Unfit):
            return None


#: References to an array that has one name: the namespace's, `old`, and the count's own.
_NOT_SHARED = 3


def _overwrite(old, value):
    """Change `old` in place to `value`, so that other names of it follow; False if it can not be."""
    if type(old) is not type(value):
        return False
    if isinstance(old, np.ndarray):
        # What was sent with `--as` is narrower there, and its values have a place here.
        same = old.dtype == value.dtype or (
            old.dtype.kind == value.dtype.kind == "f" and np.can_cast(value.dtype, old.dtype)
        )
        if old.shape != value.shape or not same or not old.flags.writeable:
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
    if isinstance(error, _tables.Missing):
        return f"`{name}` can not be brought back: {error}."
    return f"`{name}` did not come back: {error}. Run `%%torch -o {name}` to try again."


async def _interrupt(channel, identifier):
    # What goes wrong with the line is told by the cell itself.
    with contextlib.suppress(TorchError):
        await channel.request("interrupt_request", {"cell": identifier})
