"""The agent's source as one piece of code for a kernel.

The kernel's environment needs torch and nothing of this package: the modules travel as text and are
entered into its `sys.modules` under names of their own.
"""

from importlib.resources import files

_PREFIX = "_jupyterlite_torch_"
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
    wire, proxy = files("jupyterlite_torch"), files("kernel_proxy")
    # Each after what it imports. Read as files: importing the agent here would import torch.
    modules = {
        "values": wire / "_values.py",
        "safetensors": wire / "_safetensors.py",
        "segment": proxy / "segment.py",
        "known": proxy / "agent" / "known.py",
        "batch": proxy / "agent" / "batch.py",
        "agent": proxy / "agent" / "agent.py",
    }
    sources = {_PREFIX + name: file.read_text(encoding="utf-8") for name, file in modules.items()}
    body = f"{_LOADER}\nload({sources!r})\nimport sys; sys.modules['{_PREFIX}agent'].start()\n"
    return f"exec({body!r}, {{}})"


def call(method: str, arguments: str) -> str:
    """Return the expression that calls `method` of the agent with the JSON text `arguments`."""
    return f"__import__('{_PREFIX}agent').call({method!r}, {arguments!r})"
