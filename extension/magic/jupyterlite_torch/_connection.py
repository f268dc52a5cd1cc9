"""The connection of this notebook: to which server, and in which state."""

import asyncio
import contextlib
import secrets
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ._channel import Channel, describe
from ._errors import ConnectError, NotConnected, OptionError, ServerError, TorchError
from ._replay import cells_of, first_line
from ._transfers import Transfers


class Connection:
    """Knows the server and keeps one Channel to it.

    `make_transport(url)` gives a transport (see `_channel`), `page` the line to the page.
    """

    def __init__(self, make_transport, make_page, origin):
        self._make_transport = make_transport
        self._origin = origin
        self._server = None
        self._opening = asyncio.Lock()
        self.channel = None
        self.transport = None
        self.transfers = Transfers(lambda **message: self.page.tell(**message))
        handlers = self._use, self.interrupt, self._restart_now, self._close
        self.page = make_page(*handlers, self.transfers.cancel)
        # Set by the notebook: what Stop does, and what becomes of events of no request.
        self.on_stop = self.on_event = None
        # The kernelspec that this notebook has asked for.
        self._kernel = None
        self._own_session = secrets.token_urlsafe(24)

    def _use(self, server):
        """Take the server that the page names, or forget the one there was."""
        if server != self._server:
            self._close()
            self._server = server

    def _close(self):
        if self.channel is not None:
            self.channel.close()
        self.channel = self.transport = None

    # --- What the user asks for ------------------------------------------------------------------

    async def connect(self, url, kernel=None):
        """Connect to the server at `url`, asking for its token unless the page has it, to a session
        with the kernelspec `kernel`.

        Without `url`, to the one that is known or that the person names. Returns a sentence.
        """
        url = url or self.url
        if url:
            url = _address(url)
        if self.is_open and kernel not in (None, self._kernelspec):
            raise ConnectError(
                f"This notebook's session runs with the kernel {self._kernelspec!r}. "
                f"`%torch restart --kernel {kernel}` changes it, which loses its variables.",
                "kernel",
            )
        # The session is asked for it when the channel opens.
        self._kernel = kernel
        if not url:
            return await self._connect_to(await self.page.ask_server(None))
        if self._server and self._server["url"] == url:
            try:
                await self.ready()
                return f"Connected to {url}: {self._computes_with()}"
            except ConnectError as error:
                if error.reason != "token":
                    self._kernel = None
                    raise
        await self._look(url)
        return await self._connect_to(await self.page.ask_server(url))

    async def _connect_to(self, server):
        if server is None:
            self._kernel = None
            raise NotConnected("Not connected: no server was chosen, or no token given for it.")
        self._use(server)
        try:
            await self._open()
        except ConnectError:
            self._use(None)
            self._kernel = None
            raise
        return f"Connected to {server['url']}: {self._computes_with()}"

    async def _look(self, url):
        """Raise what is wrong with an address before a token for it is asked for."""
        try:
            await describe(self._make_transport(url), {})
        except ConnectError as error:
            # Chrome (since 142) may keep a worker of a public page from the local network until the
            # person, asked by the page, has allowed it.
            hidden = error.reason == "unreachable" and self._origin.startswith("https:")
            if error.reason != "token" and not hidden:
                raise

    def disconnect(self):
        """Leave the server; the session there goes on. Returns a sentence."""
        if self._server is None:
            return "Not connected."
        url = self._server["url"]
        self._use(None)
        self.page.tell(type="disconnected")
        return (
            f"Disconnected from {url}. The session there goes on and is found again on connecting."
        )

    async def status(self):
        """Return lines that say where cells run, and what runs."""
        if self._server is None:
            return str(self._not_connected())
        channel = await self.ready()
        created = datetime.fromisoformat(channel.welcome["session"]["created"])
        cells = await cells_of(channel)
        return "\n".join(
            [
                f"Connected to {self._server['url']}: {self._computes_with()}",
                f"Session of this notebook: started {_ago(created)}, kernel {self._kernelspec!r}",
                *(_described(cell, channel) for cell in cells),
                *([] if cells else ["Nothing runs there now."]),
            ]
        )

    async def doctor(self, url):
        """Return what is wrong with the server at `url`, or with the one that is known."""
        return await self.page.ask_doctor(_address(url) if url else self.url)

    async def restart(self, kernel=None):
        """Replace the remote kernel by a fresh one, of the kernelspec `kernel` if that is named.
        Returns a sentence."""
        channel = await self.ready()
        reply = await channel.request("shutdown_request", {"restart": True, "kernel": kernel})
        if reply.content["status"] != "ok":
            raise ServerError(reply.content["evalue"])
        channel.welcome["session"].update(reply.content["session"])
        if kernel is None:
            return "The remote kernel was restarted; its variables are gone."
        self._kernel = channel.kernel = kernel
        return (
            f"A new remote kernel: {self._computes_with()}. The variables of the old one are gone."
        )

    def _restart_now(self):
        """Restart, asked for by the page while a cell does not react to Stop."""
        if self.is_open:
            asyncio.ensure_future(self._restart_quietly())

    async def _restart_quietly(self):
        # The cell that waits says what has become of it.
        with contextlib.suppress(TorchError):
            await self.restart()

    def interrupt(self):
        """Stop what this notebook waits for."""
        self.on_stop()

    # --- The channel -----------------------------------------------------------------------------

    @property
    def url(self):
        """The address of the server, or of the one that the site names; None where none is known."""
        return self._server["url"] if self._server else self.page.default_url

    @property
    def is_open(self):
        """True when there is a channel that a cell can go over at once."""
        return self.channel is not None and self.channel.is_open

    async def ready(self):
        """Return the open Channel, opened first if need be; NotConnected where no server is known."""
        if not self.is_open:
            if self._server is None:
                raise self._not_connected()
            await self._open()
        return self.channel

    async def _open(self):
        async with self._opening:
            if self.is_open:
                return
            server = self._server
            again = self.channel is not None
            transport = self._make_transport(server["url"])
            session = self.page.session or self._own_session
            channel = Channel(
                transport, server["token"], session, _notice, self.on_event, self._kernel
            )
            try:
                welcome = await channel.open()
            except ConnectionError:
                raise ConnectError(
                    f"{server['url']} answers, but its WebSocket can not be opened: something between "
                    "here and there, such as a reverse proxy, lets no WebSocket pass."
                ) from None
            self.channel, self.transport = channel, transport
            self.page.tell(type="connected", url=server["url"])
            if welcome["ended"]:
                _notice(f"{welcome['ended']} A new one has begun.")
            unseen = [cell for cell in welcome["cells"] if not cell["seen"]]
            if unseen or not (welcome["new"] or again):
                _notice(_found_again(welcome["session"], unseen))

    @property
    def generation(self):
        """Differs when the remote kernel is another one than before, and its variables are gone."""
        session = self.channel.welcome["session"]
        return session["id"], session["created"], session["generation"]

    def _computes_with(self):
        session = self.channel.welcome["session"]
        device = session["device_name"] or session["device"]
        kernel = f", kernel {self._kernel!r}" if self._kernel else ""
        return f"torch {session['torch']} on {device}, Python {session['python']}{kernel}"

    @property
    def _kernelspec(self):
        return self.channel.welcome["session"]["kernel"]

    def _not_connected(self):
        known = self.url
        return NotConnected(
            "This notebook is not connected to a GPU server. Connect with a cell `%torch connect "
            f"{known or 'http://127.0.0.1:8889'}`"
            + (
                "."
                if known
                else " (the address that `jupyter torch-proxy` prints), after starting it on the "
                f"machine with the GPU: `jupyter torch-proxy --origin {self._origin}`."
            )
        )


def _address(text):
    """Return a server's address in one form; OptionError for what is none."""
    text = text.strip().strip("'\"").rstrip("/")
    if text and "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or parts.username:
        raise OptionError(
            "Write the address of the server, such as `%torch connect http://127.0.0.1:8889`; no "
            "token belongs into it, the page asks for that."
        )
    return text


def _found_again(session, unseen):
    held = session["names"]
    names = ", ".join(held[:8]) + (f" and {len(held) - 8} more" if len(held) > 8 else "")
    created = datetime.fromisoformat(session["created"])
    text = f"Found this notebook's session again: started {_ago(created)}"
    if unseen:
        running = any(cell["state"] == "running" for cell in unseen)
        what = "a cell is running" if running else "a cell has ended unseen"
        return f"{text}, {what}: `%torch replay` shows what it printed."
    bring = f" Bring one back with `%%torch -o {held[0]}`." if held else ""
    return f"{text}, holds {names or 'no names'}.{bring}"


def _described(cell, channel):
    """Return a line for `%torch status`."""
    since = cell["ended"] or cell["started"]
    when = f" {_ago(datetime.fromisoformat(since))}" if since else ""
    what = {"running": "Runs, begun", "queued": "Waits", "ended": "Ended unseen,"}[cell["state"]]
    hint = "" if channel.awaits(cell["id"]) else " (`%torch replay` shows what it printed)"
    return f"{what}{when}: {first_line(cell)}{'' if cell['state'] == 'queued' else hint}"


def _ago(moment):
    seconds = max(0, (datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "less than a minute ago"


def _notice(text):
    print(text, file=sys.stderr)
