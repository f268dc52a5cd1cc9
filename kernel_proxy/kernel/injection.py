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
#: The comm target under which a kernel answers what is asked aside of its cells.
TARGET = "jupyterlite-torch-aside"
# A subshell of ipykernel 7 shares its shell with the cell that runs meanwhile. An execute_request
# there would show that cell's figures before they are done and forbid its `input()`; the opening of
# a comm calls this function and does nothing else.
_ASIDE = """
def serve():
    import json
    import sys
    import zmq
    from IPython import get_ipython
    kernel = get_ipython().kernel
    agent, export = sys.modules["PREFIXagent"], sys.modules["PREFIXexport"]
    def aside(comm, message):
        data = message["content"]["data"]
        export.release(data["release"])
        answer = None
        try:
            if data["method"]:
                answer = agent.call(data["method"], data["arguments"]).text
        except BaseException as error:
            answer = json.dumps({"failure": f"{type(error).__name__}: {error}"})
        comm.close({"answer": answer})
    agent.start()
    # Else 1,000 messages at most wait for a proxy that is late, and more are lost (ipykernel 7.4).
    publisher = kernel.iopub_thread
    publisher.schedule(lambda: publisher.socket.setsockopt(zmq.SNDHWM, 0))
    kernel.comm_manager.register_target("TARGET", aside)
""".replace("PREFIX", _PREFIX).replace("TARGET", TARGET)


def code() -> str:
    """Return code that loads and starts the agent, and defines no name where it runs."""
    wire, proxy = files("jupyterlite_torch"), files("kernel_proxy")
    # Each after what it imports. Read as files: importing the agent here would import torch.
    modules = {
        "size": wire / "_size.py",
        "values": wire / "_values.py",
        "kinds": wire / "_kinds.py",
        "tables": wire / "_tables.py",
        "safetensors": wire / "_safetensors.py",
        "page_checksum": wire / "_checksum.py",
        "segment": proxy / "tensors" / "segment.py",
        "failure": proxy / "agent" / "failure.py",
        "checksum": proxy / "agent" / "checksum.py",
        "forms": proxy / "agent" / "forms.py",
        "known": proxy / "agent" / "known.py",
        "pool": proxy / "agent" / "pool.py",
        "copying": proxy / "agent" / "copying.py",
        "export": proxy / "agent" / "export.py",
        "batch": proxy / "agent" / "batch.py",
        "held": proxy / "agent" / "held.py",
        "patch": proxy / "agent" / "patch.py",
        "incoming": proxy / "agent" / "incoming.py",
        "picture": proxy / "agent" / "picture.py",
        "preview": proxy / "agent" / "preview.py",
        "indices": proxy / "agent" / "indices.py",
        "use": proxy / "agent" / "use.py",
        "memory": proxy / "agent" / "memory.py",
        "variables": proxy / "agent" / "variables.py",
        "receipt": proxy / "agent" / "receipt.py",
        "introspection": proxy / "agent" / "introspection.py",
        "agent": proxy / "agent" / "agent.py",
    }
    sources = {_PREFIX + name: file.read_text(encoding="utf-8") for name, file in modules.items()}
    body = f"{_LOADER}{_ASIDE}\nload({sources!r})\nserve()\n"
    return f"exec({body!r}, {{}})"


def call(method: str, arguments: str) -> str:
    """Return the expression that calls `method` of the agent with the JSON text `arguments`."""
    return f"__import__('{_PREFIX}agent').call({method!r}, {arguments!r})"


def forget_exports() -> str:
    """Return the expression that gives back the memory of what was exported to an earlier proxy."""
    return f"__import__('{_PREFIX}export').forget()"
