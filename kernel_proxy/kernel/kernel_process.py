"""The process of a remote kernel: started by this proxy, or by an earlier one and found again."""

import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner
from jupyter_client.session import Session

from ..errors import KernelStartFailed, Refused
from .priority import Priority

#: How much of what a process has printed is told when it can not be started, in characters.
LAST_WORDS = 2000
#: How much of it is kept, about, in bytes.
MAX_OUTPUT_BYTES = 4 * 2**20
#: The longest path of a socket, in bytes: macOS takes 103, Linux 107.
LONGEST_PATH = 103


@dataclass(frozen=True)
class Processes:
    """Starts kernels in one directory, and finds those of an earlier proxy.

    `names`: the kernelspecs that a page may choose from, the first for one that chooses none.
    `independent`: they outlive this proxy, however that ends.
    """

    specs: KernelSpecManager
    names: tuple[str, ...]
    directory: str
    independent: bool

    def choose(self, name: object) -> str:
        """Return the kernelspec that a page means; Refused when it is not for pages."""
        chosen = self.names[0] if name is None else str(name)
        if chosen not in self.names:
            there = ", ".join(map(repr, self.names))
            raise Refused(
                f"This server has no kernel {chosen[:100]!r} for notebooks; it has: {there}. Who "
                "started it adds one with `--kernel NAME`.",
                "kernel",
                404,
            )
        return chosen

    async def start(self, name: str, output: Path) -> "KernelProcess":
        """Start one; what the process itself prints goes to the file `output`."""
        process = KernelProcess(self.specs, self.choose(name), output)
        await process.start(self.directory, self.independent)
        return process

    def find(self, record: dict[str, Any], output: Path) -> "KernelProcess | None":
        """Return the one of a record; None, and nothing left of it, if it is gone."""
        process = KernelProcess(self.specs, record["name"], output, record["folder"])
        return process if process.find(record["pid"], record["created"]) else None


class KernelProcess:
    """A process and the way to it. Its sockets and its key lie in a folder for its owner alone."""

    def __init__(
        self, specs: KernelSpecManager, name: str, output: Path, folder: str | None = None
    ):
        self._folder = folder or _new_folder()
        self._manager = AsyncKernelManager(
            kernel_spec_manager=specs,
            kernel_name=name,
            transport="ipc",
            ip=f"{self._folder}/ipc",
            connection_file=f"{self._folder}/connection.json",
        )
        self._output = output
        self.priority = Priority(None)

    @property
    def name(self) -> str:
        """The kernelspec's name."""
        return self._manager.kernel_name

    @property
    def session(self) -> Session:
        """Signs messages to this kernel."""
        return self._manager.session

    @property
    def connection(self) -> KernelConnectionInfo:
        """Where its sockets are."""
        return self._manager.get_connection_info()

    async def start(self, cwd: str, independent: bool) -> None:
        """Start it."""
        descriptor = -1
        try:
            descriptor = os.open(
                self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600
            )
            await self._manager.start_kernel(
                cwd=cwd, independent=independent, stdout=descriptor, stderr=descriptor
            )
            self.priority = Priority(self._local_pid)
        except Exception as error:
            self._remove_folder()
            raise KernelStartFailed(
                f"The kernel {self.name!r} could not be started: {error}"
            ) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    @property
    def _local_pid(self) -> int | None:
        """None for a process that is not on this machine."""
        provisioner = self._manager.provisioner
        return provisioner.pid if isinstance(provisioner, LocalProvisioner) else None

    @property
    def is_here(self) -> bool:
        """True for a process on this machine."""
        return self._local_pid is not None

    def record(self) -> dict[str, Any] | None:
        """Say what `find` needs; None for a process that is not on this machine."""
        pid = self._local_pid
        if pid is None:
            return None
        try:
            created = _birth(psutil.Process(pid))
        except psutil.NoSuchProcess:
            return None
        return {"name": self.name, "folder": self._folder, "pid": pid, "created": created}

    def find(self, pid: int, created: str) -> bool:
        """Take it over from an earlier proxy; False, and nothing left of it, if it is gone."""
        manager = self._manager
        try:
            process = _Found(pid, created)
            manager.load_connection_file()
            provisioner = KernelProvisionerFactory.instance().create_provisioner_instance(
                manager.kernel_id, manager.kernel_spec, parent=manager
            )
        except (psutil.Error, OSError, ValueError, NoSuchKernel):
            self._remove_folder()
            return False
        provisioner.connection_info = manager.get_connection_info()
        provisioner.process, provisioner.pid = process, pid
        # It leads a process group of its own (jupyter_client 8.10 starts it in a new session).
        provisioner.pgid = pid
        manager.provisioner = provisioner
        self.priority = Priority(pid, lowered=True)
        return True

    async def wait(self) -> int | None:
        """Wait for its end; return the exit code, None where that can not be known."""
        provisioner = self._manager.provisioner
        return await provisioner.wait() if provisioner else None

    def cpu_s(self) -> float:
        """Return the time in which the processors have worked for it and its child processes, those
        that have ended included, in seconds; 0 for a process that is not on this machine."""
        pid = self._local_pid
        if pid is None:
            return 0
        total = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    total += sum(each.cpu_times()[:4])
        return total

    async def interrupt(self) -> None:
        """Interrupt what runs in it, as Ctrl-C would."""
        if self._manager.has_kernel:
            await self._manager.interrupt_kernel()

    async def end(self) -> None:
        """Kill it and remove what is left of it."""
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=True)
        self._remove_folder()

    def last_words(self) -> str:
        """Return the end of what it has printed itself, as a part of a sentence."""
        try:
            said = self._output.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            said = ""
        return f" It said: {said[-LAST_WORDS:]}" if said else ""

    def trim_output(self) -> None:
        """Begin the file of what it prints itself again if that has grown large."""
        with contextlib.suppress(OSError):
            if self._output.stat().st_size > MAX_OUTPUT_BYTES:
                os.truncate(self._output, 0)

    def _remove_folder(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _new_folder() -> str:
    """Make a folder whose path leaves room for those of sockets: not below the state, and not where
    TMPDIR says if that is a long one, as batch systems give them."""
    usual = tempfile.gettempdir()
    is_short = len(os.fsencode(f"{usual}/jupyterlite-torch-12345678/ipc-12")) <= LONGEST_PATH
    return tempfile.mkdtemp(prefix="jupyterlite-torch-", dir=usual if is_short else "/tmp")  # noqa: S108


def _birth(process: psutil.Process) -> str:
    """Return what tells a process from a later one of its number: on Linux by the ticks since the
    machine's start, and which start that was, since the time of day may be put right meanwhile."""
    if sys.platform != "linux":
        return f"{process.create_time():.0f}"
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        raise psutil.NoSuchProcess(process.pid) from None
    # The name of the program, in brackets, may hold spaces.
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


class _Found:
    """What LocalProvisioner needs of a Popen, for a process that is no child of this one."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, created: str):
        self.pid = pid
        self._process = psutil.Process(pid)
        if _birth(self._process) != created or self.poll() is not None:
            raise psutil.NoSuchProcess(pid)

    def poll(self) -> int | None:
        """Return None while it runs. One that nobody has waited for is dead as well."""
        try:
            alive = self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            alive = False
        return None if alive else 0

    def wait(self) -> None:
        """Called when it has ended: how is told to its parent only."""

    def send_signal(self, signum: int) -> None:
        """Called where its process group could not be signalled."""
        self._process.send_signal(signum)

    def kill(self) -> None:
        """As above."""
        self._process.kill()
