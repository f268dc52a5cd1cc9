"""The GPUs of this machine, as its driver lists them: nothing here imports torch."""

import asyncio
import shutil
import subprocess
import time
from dataclasses import dataclass

#: Seconds in which nvidia-smi must answer; with a GPU that does not, it can hang.
TIMEOUT_S = 10
#: For so many seconds an answer is taken for the present.
FRESH_S = 5
_FIELDS = "index,name,driver_version,memory.used,memory.total,utilization.gpu"


@dataclass(frozen=True)
class Gpu:
    """One GPU. Sizes in bytes, `load` up to 1; None for what the driver does not tell."""

    index: str
    name: str
    driver: str
    used: float | None
    total: float | None
    load: float | None


class GpuError(Exception):
    """There is a driver, and it does not answer; the text says how."""


def read() -> list[Gpu]:
    """Ask the driver; none where there is none. GpuError when it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise GpuError(f"nvidia-smi does not answer within {TIMEOUT_S} s") from None
    except OSError as error:
        raise GpuError(f"nvidia-smi can not be run: {error}") from None
    if ran.returncode:
        said = (ran.stdout + ran.stderr).strip().splitlines()
        raise GpuError(f"nvidia-smi says: {said[0] if said else f'status {ran.returncode}'}")
    return [_parse(line) for line in ran.stdout.splitlines() if line.count(",") >= 5]


def _parse(line: str) -> Gpu:
    index, name, driver, used, total, load = (part.strip() for part in line.split(",", 5))
    return Gpu(
        index, name, driver, _number(used, 2**20), _number(total, 2**20), _number(load, 0.01)
    )


def _number(text: str, unit: float) -> float | None:
    """Read a number; None for `[N/A]`, as a part of a GPU (MIG) says of its load."""
    try:
        return float(text) * unit
    except ValueError:
        return None


class Gpus:
    """The GPUs for one who asks often."""

    def __init__(self) -> None:
        self._seen: list[Gpu] = []
        self._until = 0.0
        self._asking = asyncio.Lock()

    async def now(self) -> list[Gpu]:
        """Return the GPUs, none while the driver does not answer."""
        async with self._asking:
            if time.monotonic() >= self._until:
                try:
                    self._seen = await asyncio.to_thread(read)
                except GpuError:
                    self._seen = []
                self._until = time.monotonic() + FRESH_S
            return self._seen
