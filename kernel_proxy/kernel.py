"""One remote kernel: its process, its ZeroMQ sockets, and the agent in it."""

import asyncio
import contextlib
import hmac
import json
import logging
import re
import secrets
import tempfile
from collections.abc import Callable
from typing import Any

import zmq.asyncio
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager

from . import injection
from .errors import AgentFailure, KernelDied, KernelStartFailed, NoTorch

CHANNELS = ("shell", "control", "stdin", "iopub")
AGENT_MIME_TYPE = "application/vnd.jupyterlite-torch+json"
#: Importing torch from a cold disk has been seen to take half a minute.
START_TIMEOUT_S = 120

#: Called with (channel, message, buffers) for each message that is not the proxy's own. `message`
#: holds the four JSON parts as the kernel wrote them, under "header", "parent_header", "metadata"
#: and "content".
Listener = Callable[[str, dict[str, bytes], tuple[bytes, ...]], None]


class Kernel:
    """A kernel process started by this proxy. Messages pass through as the kernel wrote them."""

    def __init__(
        self,
        specs: KernelSpecManager,
        name: str,
        cwd: str,
        listener: Listener,
        on_death: Callable[[int | None], None],
        log: logging.Logger,
    ):
        # A folder for its owner alone; short, since the path of a socket has at most 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="jupyterlite-torch-")
        self.manager = AsyncKernelManager(
            kernel_spec_manager=specs,
            kernel_name=name,
            transport="ipc",
            ip=f"{self._folder.name}/ipc",
            connection_file=f"{self._folder.name}/connection.json",
        )
        self.description: dict[str, Any] = {}
        self._cwd = cwd
        self._listener = listener
        self._on_death = on_death
        self._log = log
        self._sockets: dict[str, zmq.asyncio.Socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._calls: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._iopub_heard = asyncio.Event()
        self._context = zmq.asyncio.Context()
        # The default high-water mark of 1,000 loses messages in silence when the loop is late.
        self._context.setsockopt(zmq.RCVHWM, 0)
        self._context.setsockopt(zmq.SNDHWM, 0)
        self._context.setsockopt(zmq.LINGER, 0)

    # --- Life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the process and the agent; KernelStartFailed or NoTorch when that can not be."""
        try:
            await self.manager.start_kernel(cwd=self._cwd)
        except Exception as error:
            raise KernelStartFailed(
                f"The kernel {self.manager.kernel_name!r} could not be started: {error}"
            ) from error
        self._connect()
        self._tasks = [asyncio.create_task(self._receive(channel)) for channel in CHANNELS]
        self._tasks.append(asyncio.create_task(self._watch()))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._inject()
        except TimeoutError:
            await self.shutdown()
            raise KernelStartFailed(
                f"The kernel {self.manager.kernel_name!r} did not answer within {START_TIMEOUT_S} s."
            ) from None
        except KernelDied as error:
            await self.shutdown()
            raise KernelStartFailed(f"While the kernel was being started: {error}") from None
        except BaseException:
            await self.shutdown()
            raise

    def _connect(self) -> None:
        identity = secrets.token_hex(16).encode()
        info = self.manager.get_connection_info()
        for channel in CHANNELS:
            kind = zmq.SUB if channel == "iopub" else zmq.DEALER
            socket = self._context.socket(kind)
            if channel == "iopub":
                socket.subscribe(b"")
            else:
                # stdin requests are routed to the identity that asked on shell.
                socket.identity = identity
            socket.connect(f"ipc://{info['ip']}-{info[f'{channel}_port']}")
            self._sockets[channel] = socket

    async def _inject(self) -> None:
        # A subscription takes effect some time after it was made: wait until iopub is heard.
        while not self._iopub_heard.is_set():
            await self._execute("")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._iopub_heard.wait(), 0.1)
        try:
            await self._execute(injection.code())
        except AgentFailure as error:
            if re.match(r"ModuleNotFoundError: .*\btorch\b(?!\.)", str(error)):
                raise NoTorch(
                    f"The kernel {self.manager.kernel_name!r} of the server has no PyTorch. Install "
                    "it in that kernel's environment (`pip install torch`), then run the cell again."
                ) from None
            raise KernelStartFailed(f"The agent could not be started: {error}") from None
        self.description = await self.call("describe")

    async def _watch(self) -> None:
        provisioner = self.manager.provisioner
        assert provisioner is not None
        exitcode = await provisioner.wait()
        for future in self._calls.values():
            if not future.done():
                future.set_exception(KernelDied(f"The kernel died (exit code {exitcode})."))
        self._on_death(exitcode)

    async def interrupt(self) -> None:
        """Interrupt what runs, as Ctrl-C would."""
        await self.manager.interrupt_kernel()

    async def shutdown(self) -> None:
        """End the process and let go of everything."""
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if self.manager.has_kernel:
            await self.manager.shutdown_kernel(now=True)
        self._context.destroy(linger=0)
        self._folder.cleanup()

    # --- Messages --------------------------------------------------------------------------------

    def send(self, channel: str, message: dict[str, Any], buffers: tuple[bytes, ...] = ()) -> None:
        """Send a message of the page, with the header that the page gave it."""
        session = self.manager.session
        parts = [
            json.dumps(message.get(part) or {}).encode()
            for part in ("header", "parent_header", "metadata", "content")
        ]
        frames = [b"<IDS|MSG>", session.sign(parts), *parts, *buffers]
        # Without a high-water mark sending never waits.
        self._sockets[channel].send_multipart(frames)

    async def _receive(self, channel: str) -> None:
        socket = self._sockets[channel]
        session = self.manager.session
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
            parent = json.loads(parts[1])
            if parent.get("session") == session.session:
                self._own_reply(channel, parent["msg_id"], parts)
            elif channel == "iopub" and not parent:
                # The kernel's own start; nobody's cell.
                self._iopub_heard.set()
            else:
                names = ("header", "parent_header", "metadata", "content")
                self._listener(channel, dict(zip(names, parts, strict=True)), tuple(buffers))

    # --- The agent -------------------------------------------------------------------------------

    async def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """Call the agent; AgentFailure with its sentence for the user when it refuses."""
        expression = injection.call(method, json.dumps(arguments))
        reply = (await self._execute("", expression))["user_expressions"]["reply"]
        if reply["status"] != "ok":
            if reply["ename"] == "KeyboardInterrupt":
                raise AgentFailure("Interrupted while values were on their way.")
            raise AgentFailure(f"{reply['ename']}: {reply['evalue']}")
        outcome = reply["data"][AGENT_MIME_TYPE]
        if "failure" in outcome:
            raise AgentFailure(outcome["failure"])
        return outcome["ok"]

    async def _execute(self, code: str, expression: str | None = None) -> dict[str, Any]:
        content = {
            "code": code,
            "silent": True,
            "store_history": False,
            "user_expressions": {"reply": expression} if expression else {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        message = self.manager.session.msg("execute_request", content)
        message["header"]["date"] = str(message["header"]["date"])
        identifier = message["header"]["msg_id"]
        future = self._calls[identifier] = asyncio.get_running_loop().create_future()
        try:
            self.send("shell", message)
            reply = await future
        finally:
            del self._calls[identifier]
        if reply["status"] != "ok":
            raise AgentFailure(f"{reply.get('ename')}: {reply.get('evalue')}")
        return reply

    def _own_reply(self, channel: str, identifier: str, parts: list[bytes]) -> None:
        if channel == "iopub":
            self._iopub_heard.set()
        elif channel == "shell" and identifier in self._calls:
            future = self._calls[identifier]
            if not future.done():
                future.set_result(json.loads(parts[3]))
