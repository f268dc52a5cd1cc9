"""The doctor's look at a kernelspec: a real kernel of it is started, and asked what it computes with."""

import ast
import asyncio
import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from jupyter_client.kernelspec import KernelSpecManager

from ..errors import KernelStartFailed, NoTorch
from ..kernel.kernel import Kernel
from ..kernel.kernel_process import Processes
from .finding import Finding, ok, problem, warning

#: What is asked beyond what the agent says of itself.
_ASK = """(lambda torch, json, version: json.dumps({
    "executable": __import__("sys").executable,
    "ipykernel": version("ipykernel"),
    "cuda": torch.version.cuda or torch.version.hip,
    "devices": torch.cuda.device_count() if torch.cuda.is_available() else 0,
}))(__import__("torch"), __import__("json"), __import__("importlib.metadata").metadata.version)"""
#: Raises with the reason where torch has no GPU.
_WHY_NOT = "__import__('torch').cuda.init()"


def check_kernel(name: str, directory: str, gpu_here: bool) -> Iterator[Finding]:
    """Start a real kernel, with the agent, and ask it what it computes with."""
    specs = KernelSpecManager()
    known = sorted(specs.find_kernel_specs())
    if name not in known:
        yield problem(
            f"There is no kernelspec {name!r}; there are: {', '.join(known) or 'none'}.",
            f"in the environment that has PyTorch: python -m ipykernel install --user --name {name}",
        )
        return
    python = specs.get_kernel_spec(name).argv[0]
    try:
        found, why_not = asyncio.run(_ask_kernel(specs, name, directory))
    except NoTorch as error:
        yield problem(str(error), f"{python} -m pip install torch")
    except KernelStartFailed as error:
        yield problem(str(error), f"{python} -m pip install --upgrade 'ipykernel>=7'")
    else:
        yield _of_kernel(name, found)
        if gpu_here and not found["devices"]:
            yield problem(
                f"torch of the kernel {name!r} sees no GPU: {why_not}", _cuda_advice(found)
            )


def _of_kernel(name: str, found: dict[str, str]) -> Finding:
    python = found["executable"]
    text = (
        f"Kernel {name!r} ({python}): torch {found['torch']} on {found['device_name'] or found['device']}"
        f", Python {found['python']}, ipykernel {found['ipykernel']}."
    )
    if int(found["ipykernel"].partition(".")[0]) < 7:
        return warning(
            f"{text} Nothing can be asked there while a cell runs (`%torch peek`, RemoteArrays).",
            f"{python} -m pip install --upgrade 'ipykernel>=7'",
        )
    return ok(text)


def _cuda_advice(found: dict[str, str]) -> str:
    if not found["cuda"]:
        return "that is PyTorch's build for processors: install one with CUDA, see pytorch.org."
    return f"install a driver for CUDA {found['cuda']}, or a PyTorch for the driver's CUDA."


async def _ask_kernel(specs: KernelSpecManager, name: str, directory: str) -> tuple[dict, str]:
    """Return what a kernel says of itself, and why it has no GPU."""
    silent = logging.getLogger("kernel_proxy.doctor")
    with tempfile.TemporaryDirectory(prefix="torch-proxy-doctor-") as folder:
        processes = Processes(specs, (name,), directory, independent=False)
        process = await processes.start(name, Path(folder) / "kernel.log")
        kernel = Kernel(process, lambda *message: None, lambda exitcode: None, silent)
        try:
            await kernel.start()
            reply = await kernel.evaluate(" ".join(_ASK.split("\n")))
            found = json.loads(ast.literal_eval(reply["data"]["text/plain"]))
            why_not = (await kernel.evaluate(_WHY_NOT)).get("evalue", "")
            return kernel.description | found, why_not
        finally:
            await kernel.shutdown()
