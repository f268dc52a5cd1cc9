"""`%%torch` and `%torch` as IPython knows them."""

import contextlib
import importlib.util
import sys

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)

from ._arguments import parse
from ._commands import Commands
from ._comms import Comms
from ._errors import ConnectError, NotConnected, TransferError
from ._local_kernel import LocalKernel
from ._output import Output
from ._source import Numbers, Source
from ._stop import Stops

#: So many messages of the page are remembered, under whose IDs the server may answer.
_REMEMBERED = 200


class Notebook:
    """The `%%torch` cells of this notebook, and what they share.

    `load(package)` makes a package importable, `wait_for` runs a coroutine from synchronous code,
    which `can_wait()` tells to be possible.
    """

    def __init__(self, shell, connection, load, wait_for, can_wait=lambda: True):
        self.shell = shell
        self.can_wait = can_wait
        self.connection = connection
        self.wait_for = wait_for
        self.ledger = None
        self.numbers = Numbers()
        self.stops = Stops()
        self.jobs = {}
        self.kernel = LocalKernel(shell)
        self.comms = Comms(self.kernel, self._post, self._expect)
        # Where arrays go that no `-i name:device` sends elsewhere.
        self.device = "cpu"
        # Up to how many bytes each an array is here right after its cell; None for as many as come
        # with the reply.
        self.eager = None
        self._load = load
        self._generation = None
        # Local cells that were not looked at yet, and what the functions of others read.
        self._unread, self._functions = [], {}
        self._commands = Commands(self)
        # Outputs of what the page has asked outside of cells, and IDs that cells have used.
        self._expected, self._used = {}, {}
        connection.on_stop, connection.on_event = self.stops.stop, self._show_other

    # --- Cells and lines -------------------------------------------------------------------------

    async def run_cell(self, line, body, lead="", show_result=True, scope=None):
        """Run a cell there and return the value of its last expression, or the Job of `--bg`."""
        options = parse(line)
        await self.ready()
        from ._cell import Cell
        from ._job import Job

        cell = Cell(self, options, Source(body, lead), self.output(), scope)
        background = options.background is not None
        self._tell(cell, "running", background)
        with contextlib.ExitStack() as ending:
            ending.callback(self._tell, cell, "ended", background)
            with self.stops.by(cell.stop):
                value = await (cell.begin() if background else cell.run())
            # What comes at the end of a job is its own matter.
            on_end = ending.pop_all().close if background else None
        if background:
            name = options.background or self._free_name()
            job = Job(name, cell, self.stops, on_end)
            value = self.shell.user_ns[name] = self.jobs[name] = job
            self.shell.displayhook.update_user_ns(value)
        elif show_result and cell.output.result is not None:
            cell.output.show_result(value)
        return value

    def _tell(self, cell, state, background):
        """Tell the page how far a cell is: the one that the notebook waits for, or a job."""
        self.connection.page.tell(
            type="cell",
            state=state,
            id=str(id(cell)),
            message=cell.output.message_id,
            background=background,
            receipt=cell.receipt,
        )

    def _free_name(self):
        return next(
            name
            for name in ("job", *(f"job{n}" for n in range(2, 10**6)))
            if name not in self.jobs or self.jobs[name].done()
        )

    async def run_line(self, line, show_result=True, scope=None):
        """Do what a `%torch` line says: a command, or a line of code."""
        return await self._commands.run(line.strip(), show_result, scope)

    def offer_to_run_there(self):
        """Show a button that runs the local cell, which needs the server, as a `%%torch` cell."""
        self.output().offer_to_run_there()

    def is_there(self, name):
        """True if the server has a value under `name` which this page has not."""
        return self.ledger is not None and self.ledger.is_there(name)

    def output(self, parent=None):
        """Return the Output of the local cell that runs, or of another message of the page."""
        return Output(self.shell, self.kernel, self.comms, parent)

    async def ready(self):
        """Connect if need be, and know what the server has."""
        if not self.connection.is_open:
            opening = self.connection.ready()
            try:
                await self.stops.wait(opening, "stopped while connecting to the server.")
            except (NotConnected, ConnectError):
                self.output().offer_to_connect(self.connection.url)
                raise
        # Only now: a kernel that never runs a `%%torch` cell does not pay for NumPy.
        if "numpy" not in sys.modules:
            await self._load("numpy")
        from ._ledger import Ledger

        if self.ledger is None:
            self.ledger = Ledger(self.shell.user_ns, self.shell.user_ns_hidden)
        if self._generation != self.connection.generation:
            self._generation = self.connection.generation
            self.ledger.reset()
            self.ledger.source = self._source()
            self.numbers = Numbers()
            self.comms.close()

    # --- Local cells -----------------------------------------------------------------------------

    async def bring(self, text):
        """Fetch what a local cell is going to read as a whole, and how what it displays looks,
        before it runs."""
        from . import _reads

        if not _reads.any_alive():
            self._unread.append(text)
            return
        for earlier in self._unread:
            self._functions = _reads.functions_of(earlier, self._functions)
        self._unread.clear()
        _reads.forget_shown()
        namespace = self.shell.user_ns
        found = _reads.of_cell(text, namespace, self._functions, self.can_wait())
        self._functions = found.functions
        for name in found.whole:
            await self.stops.wait(
                _reads.fetch(name, namespace, self.ledger),
                f"stopped while `{name}` came from the server; it is still there.",
            )
        for name, what in found.shown:
            await self.stops.wait(
                namespace[name].show(what),
                f"stopped while the server made a picture of `{name}`.",
            )

    def _source(self):
        from ._remote import use
        from ._remote_array import Source

        generation = self._generation

        async def ask(array, request, arguments=(), options=None, nbytes=0):
            await self.connection.ready()
            # A new kernel gives the IDs of its handles anew.
            if self.connection.generation != generation:
                raise TransferError(
                    f"`{array.name}` was in a kernel of the server that is gone, and had not been "
                    "fetched."
                )
            return await use(array, request, arguments, options, nbytes, self)

        return Source(ask, self.wait_for, lambda text: print(text, file=sys.stderr))

    async def load_optional(self, package):
        """Make a package importable; False where this page can not have it."""
        # A site without it, or a network that is gone, is no reason to lose a cell's values.
        with contextlib.suppress(Exception):
            await self._load(package)
        return importlib.util.find_spec(package) is not None

    # --- What comes outside of cells -------------------------------------------------------------

    def message_id(self, here):
        """Return the `msg_id` for a cell whose local message has the ID `here`, None for any.

        The first is that message's own: remote widgets that collect what is printed name it to the
        page.
        """
        return here if here and _remember(self._used, here, None) else None

    def _expect(self, message):
        """Show what the server answers to a message of the page's under that message."""
        output = self.output(message)
        output.detach()
        _remember(self._expected, message["header"]["msg_id"], output)
        return self.connection.is_open and not self.connection.channel.is_waiting

    def _post(self, *message):
        channel = self.connection.channel
        if channel is not None and channel.is_open:
            channel.post("shell", *message)

    def _show_other(self, message, buffers):
        """Show an event of no request: what widgets say and print when they are used."""
        parent = message["parent_header"].get("msg_id")
        output = self._expected.get(parent)
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "status" and content["execution_state"] == "idle":
            self.comms.answered(parent)
        elif output is not None:
            output.show(message, buffers)
        elif kind in ("comm_open", "comm_msg", "comm_close"):
            self.comms.show(kind, message, buffers)


def _remember(known, key, value):
    """Add to a dict of bounded size; False when it was there."""
    if key in known:
        return False
    known[key] = value
    while len(known) > _REMEMBERED:
        del known[next(iter(known))]
    return True


@magics_class
class TorchMagics(Magics):
    """For `%%torch?`, and for uses inside other code, which need JSPI."""

    def __init__(self, shell, notebook):
        super().__init__(shell)
        self._notebook = notebook

    @needs_local_scope
    @no_var_expand
    @line_cell_magic
    def torch(self, line, cell=None, local_ns=None):
        """Run this cell with PyTorch on your GPU server.

            %%torch [-i NAMES] [-o NAMES or name=expression] [--as DTYPE] [--eager SIZE]
                    [--no-auto] [--bg [NAME]]

        The cell behaves as if it ran here, with torch. `torch` and `device` (the best one there)
        are defined. Arrays and plain values that it reads are sent, arrays arriving as tensors on
        the CPU; tensors and plain values that it assigns come back, tensors as NumPy arrays.

            -i x            send x also if it is large or looks like a secret
            -i x:cuda       send it straight to a device
            -o w            bring w back, and raise if that can not be
            -o y=w[:10]     bring the value of an expression back as y
            --as float16    send arrays of floating-point numbers as that dtype
            --eager 8MiB    arrays up to that size are here right after the cell; larger ones stay
                            there until a cell of this page reads them
            --no-auto       exchange nothing but -i and -o
            --bg train      return at once with a job `train`; the cell runs on

        A tensor w that stays there is displayed as a preview; `w.plot()` draws it.

        One line of code:

            %torch x.sum()         run it there; `y = %torch x.sum()` for its value

        Lines of their own:

            %torch connect URL     connect; the page asks for the token
            %torch status          where cells run, and what runs
            %torch peek w[:3]      look at a value there while a cell runs
            %torch jobs            the cells in the background
            %torch stop [NAME]     interrupt what runs there, or a job
            %torch replay          what was printed while nobody watched
            %torch put x.csv       a file of this notebook's folder, into the session's
            %torch get x.pt        one of the session's folder, into this notebook's
            %torch restart         a fresh kernel there
            %torch disconnect      leave; what runs there goes on
            %torch doctor [URL]    why connecting fails, and what to do
            %torch device cuda     send arrays to that device from now on
            %torch eager 8MiB      as --eager, for all cells from now on
        """
        scope = None if local_ns is self.shell.user_ns else local_ns
        if cell is None:
            run = self._notebook.run_line(line, show_result=False, scope=scope)
        else:
            lead = f"%%torch {line}\n"
            run = self._notebook.run_cell(line, cell, lead, show_result=False, scope=scope)
        return self._notebook.wait_for(run)
