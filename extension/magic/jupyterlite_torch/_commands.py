"""What `%torch` lines do."""

import ast
import difflib
import re

from ._arguments import size
from ._errors import OptionError, ServerError

USAGE = (
    "%torch CODE, or: connect URL [--kernel NAME] | status | disconnect | restart [--kernel NAME] | "
    "doctor [URL] | device NAME | eager SIZE | "
    "peek EXPRESSION | jobs | stop [NAME] | replay | put FILE [NAME] | get FILE [NAME]"
)
_DEVICE = re.compile(r"[a-z]+(:\d+)?")
_KERNEL = re.compile(r"(?:^|\s)--kernel(?:=|\s+)([\w.-]+)(?=\s|$)", re.ASCII)
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes"))
#: What follows `put` or `get` and is a path, though it begins like an operator.
_PATH = re.compile(r"\.\.?(?:/|\s|$)|[./]\w")
#: A name of a command before one of these is a variable of the user's.
_OPERATORS = "=.,:+*/%&|^<>@["


class Commands:
    """The commands by their names; any other line is code, which runs on the server."""

    def __init__(self, notebook):
        self._notebook = notebook
        self._connection = notebook.connection
        self._table = {
            "connect": self._connect,
            "status": self._status,
            "disconnect": self._disconnect,
            "doctor": self._doctor,
            "restart": self._restart,
            "device": self._device,
            "eager": self._eager,
            "peek": self._peek,
            "jobs": self._jobs,
            "stop": self._stop,
            "replay": self._replay,
            "put": self._put,
            "get": self._get,
        }

    async def run(self, line, show_result, scope):
        """Do what a line says; return the value of code, or of `peek`."""
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        path = word in ("put", "get") and _PATH.match(rest)
        if word in self._table and (path or not rest.startswith(tuple(_OPERATORS))):
            value = await self._table[word](rest)
            if value is not None and show_result:
                self._notebook.shell.displayhook(value)
            return value
        self._refuse_typo(line, word)
        return await self._notebook.run_cell("", line, "", show_result, scope)

    def _refuse_typo(self, line, word):
        try:
            is_name = isinstance(ast.parse(line, mode="eval").body, ast.Name)
            suspicious = is_name and word not in self._notebook.shell.user_ns
        except SyntaxError:
            suspicious = line[:1].isidentifier()
        meant = difflib.get_close_matches(word, self._table, 1, 0.7) if suspicious else []
        if meant or not line:
            hint = f" Did you mean `%torch {meant[0]}`?" if meant else ""
            raise OptionError(f"`%torch {line}` is none of: {USAGE}.{hint}")

    async def _connect(self, rest):
        waiting = self._connection.connect(*_kernel_option(rest))
        print(await self._notebook.stops.wait(waiting, "stopped while connecting."))

    async def _disconnect(self, rest):
        _refuse_more("disconnect", rest)
        print(self._connection.disconnect())

    async def _doctor(self, rest):
        waiting = self._connection.doctor(rest)
        print(await self._notebook.stops.wait(waiting, "stopped looking."))

    async def _restart(self, rest):
        rest, kernel = _kernel_option(rest)
        _refuse_more("restart", rest)
        print(await self._connection.restart(kernel))

    async def _device(self, rest):
        if not _DEVICE.fullmatch(rest):
            raise OptionError("`%torch device` takes a device, such as `%torch device cuda`.")
        self._notebook.device = rest
        print(f"Arrays that are sent from now on go to {rest}.")

    async def _eager(self, rest):
        self._notebook.eager = None if rest == "default" else size(rest, "`%torch eager`")
        print(self._arrives)

    @property
    def _arrives(self):
        eager = self._notebook.eager
        if eager is None:
            return "Arrays of 1 MiB together are here right after their cell."
        unit = next((n, u) for n, u in _UNITS if eager % n == 0)
        return f"Arrays of up to {eager // unit[0]} {unit[1]} each are here right after their cell."

    async def _status(self, rest):
        _refuse_more("status", rest)
        print(await self._connection.status())
        if self._connection.is_open:
            print(f"Arrays go to {self._notebook.device}. {self._arrives}")

    async def _jobs(self, rest):
        _refuse_more("jobs", rest)
        jobs = self._notebook.jobs.values()
        print("\n".join(map(repr, jobs)) or "No cell of this notebook runs in the background.")

    async def _stop(self, rest):
        if rest:
            job = self._notebook.jobs.get(rest)
            if job is None:
                raise OptionError(f"There is no job {rest!r}; `%torch jobs` lists them.")
            job.stop()
            return
        channel = await self._connection.ready()
        reply = await channel.request("interrupt_request", {})
        if reply.content["status"] != "ok":
            raise ServerError(reply.content["evalue"])
        print("Interrupted what runs in this notebook's session.")

    async def _peek(self, rest):
        if not rest:
            raise OptionError(
                "`%torch peek` takes a name or an expression: `%torch peek loss[-1]`."
            )
        await self._notebook.ready()
        from ._remote import peek

        return await self._notebook.stops.wait(peek(rest, self._notebook), "stopped peeking.")

    async def _replay(self, rest):
        _refuse_more("replay", rest)
        await self._notebook.ready()
        from ._replay import replay

        text = "stopped watching; what runs there goes on."
        await self._notebook.stops.wait(replay(self._notebook), text)

    async def _put(self, rest):
        from ._files import move

        print(await move("put", rest, self._notebook))

    async def _get(self, rest):
        from ._files import move

        print(await move("get", rest, self._notebook))


def _kernel_option(rest):
    """Take `--kernel NAME` out of what follows a command; return the others and the name or None."""
    found = _KERNEL.search(rest)
    if found:
        rest = f"{rest[: found.start()]} {rest[found.end() :]}".strip()
    if "--kernel" in rest:
        raise OptionError(f"`--kernel` takes the name of one kernel, once. The lines are: {USAGE}.")
    return rest, found and found[1]


def _refuse_more(command, rest):
    if rest:
        raise OptionError(f"`%torch {command}` takes nothing after it. The lines are: {USAGE}.")
