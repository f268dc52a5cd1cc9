"""The agent's source as one piece of code for a kernel.

The kernel's environment needs torch and nothing of this package: the modules travel as text and are
entered into its `sys.modules` under names of their own.
"""

import inspect

from jupyterlite_torch import _safetensors, _values

from . import segment

MODULES = {
    "_jupyterlite_torch_values": inspect.getsource(_values),
    "_jupyterlite_torch_safetensors": inspect.getsource(_safetensors),
    "_jupyterlite_torch_segment": inspect.getsource(segment),
}
AGENT = "_jupyterlite_torch_agent"

_LOADER = """
def load(sources):
    import linecache, sys, types
    for name, source in sources.items():
        module = types.ModuleType(name)
        file = f"<{name}>"
        # Makes the source visible in a traceback, and in the agent's own bug reports.
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        sys.modules[name] = module
        exec(compile(source, file, "exec"), module.__dict__)
"""


def code() -> str:
    """Return code that loads and starts the agent, and defines no name where it runs."""
    from pathlib import Path

    # Read as a file: importing the agent here would import torch.
    agent = Path(__file__).with_name("agent.py").read_text(encoding="utf-8")
    body = (
        f"{_LOADER}\nload({ {**MODULES, AGENT: agent}!r})\n"
        f"import sys; sys.modules[{AGENT!r}].start()\n"
    )
    return f"exec({body!r}, {{}})"


def call(method: str, arguments: str) -> str:
    """Return the expression that calls `method` of the agent with the JSON text `arguments`."""
    return f"__import__({AGENT!r}).call({method!r}, {arguments!r})"
