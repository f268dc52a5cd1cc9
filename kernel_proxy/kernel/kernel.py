"""What is said to a remote kernel and by it: its ZeroMQ sockets, and the agent in it."""

import asyncio
import contextlib
import hmac
import json
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any

import zmq.asyncio

from ..errors import AgentFailure, KernelDied, KernelStartFailed, NoTorch
from . import injection
from .kernel_process import KernelProcess

CHANNELS = ("shell", "control", "stdin", "iopub")
AGENT_MIME_TYPE = "application/vnd.jupyterlite-torch+json"
#: Importing torch from a cold disk has been seen to take half a minute.
START_TIMEOUT_S = 120
#: A kernel that was found again answers while a cell runs, unless code there holds Python's lock.
ADOPT_TIMEOUT_S = 5
#: Marks the proxy's own requests, in their header.
_CALL = "jupyterlite_torch_call"

#: Called with (channel, parent, message, buffers) for each message that is not the proxy's own.
#: `message` holds the four JSON parts as the kernel wrote them, under "header", "parent_header",
#: "metadata" and "content"; `parent` is the parent header, read.
Listener = Callable[[str, dict[str, Any], dict[str, bytes], tuple[bytes, ...]], None]


class Kernel:
    """A conversation with a kernel's process. Messages pass through as the kernel wrote them.

    `identity` is under which the kernel knows this side: a reply goes to the one that asked.
    """

    def __init__(
        self,
        process: KernelProcess,
        listener: Listener,
        on_death: Callable[[int | None], None],
        log: logging.Logger,
        identity: str | None = None,
    ):
        self.process = process
        self.identity = identity or secrets.token_hex(16)
        self.description: dict[str, Any] = {}
        self._listener = listener
        self._on_death = on_death
        self._log = log
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._iopub_heard = asyncio.Event()
        self._under: dict[str, Any] = {}
        self._aside = asyncio.Lock()
        self._ending = asyncio.Lock()
        self._subshell: str | None = None
        self._left = False
        #: Calls that were under way at an interrupt.
        self._shaken: set[str] = set()
        self._context = zmq.asyncio.Context()
        # The default high-water mark of 1,000 loses messages in silence when the loop is late.
        self._context.setsockopt(zmq.RCVHWM, 0)
        self._context.setsockopt(zmq.SNDHWM, 0)
        self._context.setsockopt(zmq.LINGER, 0)

    # --- Life ------------------------------------------------------------------------------------

    async def start(self, memory_share: float = 0) -> None:
        """Start the agent in a new process; KernelStartFailed or NoTorch when that can not be.

        `memory_share`: the part of each GPU's memory that torch is to take at most; 0 for all.
        """
        self._connect()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._inject()
                if memory_share:
                    await self.call("share_gpus", share=memory_share)
        except TimeoutError:
            await self.shutdown()
            raise KernelStartFailed(
                f"The kernel {self.process.name!r} did not answer within {START_TIMEOUT_S} s."
                + self.process.last_words()
            ) from None
        except KernelDied as error:
            await self.shutdown()
            raise KernelStartFailed(
                f"While the kernel was being started: {error}{self.process.last_words()}"
            ) from None
        except BaseException:
            await self.shutdown()
            raise

    async def adopt(self, description: dict[str, Any], under: dict[str, Any]) -> None:
        """Go on with a process in which an earlier proxy has started the agent; `under` is the header
        of the last cell. KernelDied when it ends meanwhile."""
        self.description, self._under = description, under
        self._connect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ADOPT_TIMEOUT_S):
                while not self._iopub_heard.is_set():
                    await self._ask("control", "kernel_info_request", {})
                    await self._hear()

    def _connect(self) -> None:
        info = self.process.connection
        for channel in CHANNELS:
            kind = zmq.SUB if channel == "iopub" else zmq.DEALER
            socket = self._context.socket(kind)
            if channel == "iopub":
                socket.subscribe(b"")
            else:
                # stdin requests are routed to the identity that asked on shell.
                socket.identity = self.identity.encode()
            socket.connect(f"ipc://{info['ip']}-{info[f'{channel}_port']}")
            self._sockets[channel] = socket
        self._tasks = [asyncio.create_task(self._receive(channel)) for channel in CHANNELS]
        self._tasks.append(asyncio.create_task(self._watch()))

    async def _hear(self) -> None:
        """Wait a moment for iopub: a subscription takes effect some time after it was made."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._iopub_heard.wait(), 0.1)

    async def _inject(self) -> None:
        while not self._iopub_heard.is_set():
            await self._execute("")
            await self._hear()
        try:
            await self._execute(injection.code())
        except AgentFailure as error:
            if re.match(r"ModuleNotFoundError: .*\btorch\b(?!\.)", str(error)):
                raise NoTorch(
                    f"The kernel {self.process.name!r} of the server has no PyTorch. Install "
                    "it in that kernel's environment (`pip install torch`), then run the cell again."
                ) from None
            raise KernelStartFailed(f"The agent could not be started: {error}") from None
        self.description = await self.call("describe")

    async def _watch(self) -> None:
        exitcode = await self.process.wait()
        self._fail_calls(f"The kernel died (exit code {exitcode}).")
        self._on_death(exitcode)

    def _fail_calls(self, why: str) -> None:
        for future in self._calls.values():
            if not future.done():
                future.set_exception(KernelDied(why))

    async def interrupt(self) -> None:
        """Interrupt what runs, as Ctrl-C would."""
        self._shaken.update(self._calls)
        await self.process.interrupt()
        # Code that awaits learns of the signal when the kernel's loop turns next (ipykernel 7.4),
        # which any message brings about.
        self.send("shell", self._own_message("shell", "kernel_info_request", {}))

    async def _settle(self, call: str) -> None:
        """See that an interrupted call ends: a signal that comes between the kernel's own lines
        takes the reply along (ipykernel 7.4)."""
        with contextlib.suppress(KernelDied):
            await self._ask("shell", "kernel_info_request", {})
        if (future := self._calls.get(call)) and not future.done():
            future.set_exception(AgentFailure("Interrupted while values were on their way."))

    def leave(self) -> None:
        """Let go of the process, which goes on."""
        self._left = True
        self._fail_calls("The kernel was left.")
        self.process.priority.close()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._context.destroy(linger=0)

    async def shutdown(self) -> None:
        """End the process and let go of everything."""
        self.leave()
        async with self._ending:
            await self.process.end()

    # --- Messages --------------------------------------------------------------------------------

    def send(self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> None:
        """Send a message, with the header that it has."""
        header = message["header"]
        if header["msg_type"] == "execute_request" and _CALL not in header:
            self._under = header
        parts = [
            json.dumps(message.get(part) or {}).encode()
            for part in ("header", "parent_header", "metadata", "content")
        ]
        frames = [b"<IDS|MSG>", self.process.session.sign(parts), *parts, *buffers]
        # Without a high-water mark sending never waits.
        self._sockets[channel].send_multipart(frames)

    async def _receive(self, channel: str) -> None:
        socket, session = self._sockets[channel], self.process.session
        while True:
            frames = [bytes(frame) for frame in await socket.recv_multipart()]
            start = frames.index(b"<IDS|MSG>") + 1
            signature, parts, buffers = (
                frames[start],
                frames[start + 1 : start + 5],
                frames[start + 5 :],
            )
            if not hmac.compare_digest(session.sign(parts), signature):
                self._log.warning("dropped a message with a wrong signature on %s", channel)
                continue
            parts = [_unicode(part) for part in parts]
            parent = json.loads(parts[1])
            if channel == "iopub" and not parent:
                # The kernel's own start; nobody's cell.
                self._iopub_heard.set()
            elif _CALL not in parent or not self._own(channel, parent[_CALL], parts):
                names = ("header", "parent_header", "metadata", "content")
                self._listener(
                    channel, parent, dict(zip(names, parts, strict=True)), tuple(buffers)
                )

    def _own(self, channel: str, call: str, parts: list[bytes]) -> bool:
        """Take what answers the proxy itself; False for what somebody's code has said meanwhile."""
        answer = channel in ("shell", "control")
        if channel == "iopub":
            self._iopub_heard.set()
            kind = json.loads(parts[0])["msg_type"]
            answer = kind == "comm_close" and json.loads(parts[3])["comm_id"] == call
            if not answer and kind != "status":
                return False
            if call in self._shaken and json.loads(parts[3]).get("execution_state") == "idle":
                self._shaken.discard(call)
                self._tasks.append(asyncio.create_task(self._settle(call)))
        if answer and (future := self._calls.get(call)) and not future.done():
            future.set_result(json.loads(parts[3]))
        return True

    # --- The proxy's own requests ----------------------------------------------------------------

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call the agent; AgentFailure with its sentence for the user when it refuses."""
        return result(await self.evaluate(injection.call(method, json.dumps(arguments))))

    async def evaluate(self, expression: str) -> dict[str, Any]:
        """Return the kernel's reply to a user expression."""
        return (await self._execute("", expression))["user_expressions"]["reply"]

    async def call_aside(
        self, method: str | None, release: Sequence[str] = (), **arguments: Any
    ) -> dict[str, Any]:
        """Call the agent while a cell may be running. `release`: exports that were taken over."""
        async with self._aside:
            if self._subshell is None:
                self._subshell = await self._new_subshell()
        data = {"method": method, "arguments": json.dumps(arguments), "release": release}
        content = {"target_name": injection.TARGET, "data": data}
        reply = await self._ask("shell", "comm_open", content, subshell_id=self._subshell)
        answer = reply["data"]["answer"]
        return _outcome(answer) if answer else {}

    async def _new_subshell(self) -> str:
        info = await self._ask("control", "kernel_info_request", {})
        if "kernel subshells" not in info.get("supported_features", ()):
            raise AgentFailure(
                "The server's kernel can not be asked anything while a cell runs: that needs "
                "ipykernel 7 or newer in its environment."
            )
        return (await self._ask("control", "create_subshell_request", {}))["subshell_id"]

    async def flush(self) -> None:
        """Return when the kernel has done, and answered, all that was sent on shell before."""
        with contextlib.suppress(AgentFailure):
            await self._execute("")

    async def forget_exports(self) -> None:
        """Give back the memory of what was exported to an earlier proxy."""
        await self._execute("", injection.forget_exports())

    async def _execute(self, code: str, expression: str | None = None) -> dict[str, Any]:
        content = {
            "code": code,
            "silent": True,
            "store_history": False,
            "user_expressions": {"reply": expression} if expression else {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        reply = await self._ask("shell", "execute_request", content)
        if reply["status"] == "aborted":
            raise AgentFailure(
                "A cell before this one failed, and the kernel dropped what waited behind it. Run this "
                "one again."
            )
        if reply["status"] != "ok":
            raise AgentFailure(f"{reply.get('ename')}: {reply.get('evalue')}")
        return reply

    async def _ask(
        self, channel: str, kind: str, content: dict[str, Any], **header: str
    ) -> dict[str, Any]:
        """Send a request of the proxy's own; return the content of what answers it. KernelDied when
        there is nobody to answer."""
        if self._left:
            raise KernelDied("The kernel was left.")
        message = self._own_message(channel, kind, content, **header)
        identifier = message["header"][_CALL]
        future = self._calls[identifier] = asyncio.get_running_loop().create_future()
        try:
            self.send(channel, message)
            return await future
        finally:
            del self._calls[identifier]
            self._shaken.discard(identifier)

    def _own_message(
        self, channel: str, kind: str, content: dict[str, Any], **header: str
    ) -> dict[str, Any]:
        message = self.process.session.msg(kind, content)
        own = message["header"]
        own["date"] = str(own["date"])
        identifier = own["msg_id"]
        if kind == "comm_open":
            content["comm_id"] = identifier
        # What threads and child processes print has the header of the request that came last
        # (ipykernel 7.4), so that one says that it is the last cell's.
        under = self._under if channel == "shell" else {}
        message["header"] = {**own, **under, **header, "msg_type": kind, _CALL: identifier}
        return message


def _unicode(part: bytes) -> bytes:
    """Return JSON as it may travel: of half a character, as in the name of a file that is no Unicode,
    a kernel writes the byte that it stands for (jupyter_client 8.10), and a browser would end the
    connection. Its escape in JSON means the same."""
    try:
        part.decode()
    except UnicodeDecodeError:
        return part.decode(errors="surrogateescape").encode(errors="backslashreplace")
    return part


def result(expression: dict[str, Any]) -> dict[str, Any]:
    """Return what the agent has returned, by the reply to a user expression that called it."""
    if expression["status"] != "ok":
        if expression["ename"] == "KeyboardInterrupt":
            raise AgentFailure("Interrupted while values were on their way.")
        raise AgentFailure(f"{expression['ename']}: {expression['evalue']}")
    return _outcome(expression["data"][AGENT_MIME_TYPE])


def _outcome(text: str) -> dict[str, Any]:
    answer = json.loads(text)
    if "failure" in answer:
        raise AgentFailure(answer["failure"])
    return answer["ok"]
