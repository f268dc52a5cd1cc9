"""`%%torch` and `%torch` as IPython knows them."""

import re

from IPython.core.magic import Magics, line_cell_magic, magics_class

from ._arguments import parse
from ._errors import OptionError

LINE_USAGE = "%torch connect URL | status | disconnect | restart | device NAME"
_DEVICE = re.compile(r"[a-z]+(:\d+)?")


class Notebook:
    """The `%%torch` cells of this notebook.

    `load(package)` makes a package importable, `wait_for` runs a coroutine from synchronous code.
    """

    def __init__(self, shell, connection, load, wait_for):
        self.shell = shell
        self.connection = connection
        self.wait_for = wait_for
        self.ledger = None
        self._load = load
        self._generation = None
        # Where arrays go that no `-i name:device` sends elsewhere.
        self.device = "cpu"

    async def run_cell(self, line, body, show_result=True):
        """Run a cell there and return the value of its last expression."""
        options = parse(line)
        await self.connection.ready()
        # Only now: a kernel that never runs a `%%torch` cell does not pay for NumPy.
        await self._load("numpy")
        from ._cell import Cell
        from ._ledger import Ledger

        if self.ledger is None:
            self.ledger = Ledger(self.shell.user_ns, self.shell.user_ns_hidden)
        if self._generation != self.connection.generation:
            self._generation = self.connection.generation
            self.ledger.reset()
        cell = Cell(self.shell, self.connection, self.ledger, options, body, self.device)
        value = await cell.run()
        if show_result and cell.shown.result is not None:
            cell.shown.show_result(value)
        return value

    async def run_line(self, line):
        """Do what a `%torch` line says, and print what came of it."""
        command, _, rest = line.strip().partition(" ")
        if command == "connect":
            text = await self.connection.connect(rest)
        elif command == "status" and not rest:
            text = await self.connection.status()
        elif command == "disconnect" and not rest:
            text = self.connection.disconnect()
        elif command == "restart" and not rest:
            text = await self.connection.restart()
        elif command == "device" and _DEVICE.fullmatch(rest):
            self.device = rest
            text = f"Arrays that are sent from now on go to {rest}."
        else:
            raise OptionError(f"`%torch {line.strip()}` is none of: {LINE_USAGE}")
        print(text)


@magics_class
class TorchMagics(Magics):
    """For `%%torch?`, and for uses inside other code, which need JSPI."""

    def __init__(self, shell, notebook):
        super().__init__(shell)
        self._notebook = notebook

    @line_cell_magic
    def torch(self, line, cell=None):
        """Run this cell with PyTorch on your GPU server.

            %%torch [-i NAMES] [-o NAMES or name=expression] [--no-auto]

        The cell behaves as if it ran here, with torch. `torch` and `device` (the best one there)
        are defined. Arrays and plain values that it reads are sent, arrays arriving as tensors on
        the CPU; tensors and plain values that it assigns come back, tensors as NumPy arrays.

            -i x            send x also if it is large or looks like a secret
            -i x:cuda       send it straight to a device
            -o w            bring w back, and raise if that can not be
            -o y=w[:10]     bring the value of an expression back as y
            --no-auto       exchange nothing but -i and -o

        Lines of their own:

            %torch connect URL     connect; the page asks for the token
            %torch status          where cells run
            %torch restart         a fresh kernel there
            %torch disconnect      leave; what runs there goes on
            %torch device cuda     send arrays to that device from now on
        """
        if cell is None:
            return self._notebook.wait_for(self._notebook.run_line(line))
        return self._notebook.wait_for(self._notebook.run_cell(line, cell, show_result=False))
