"""The variables of this kernel's user: a list of them, a text that shows one, and an end to some.

Injected into the kernel, as agent.py is. Called in a subshell, so that it works while a cell runs.
"""

import collections
import ctypes
import itertools
import reprlib
import sys
import threading
import types

import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_memory as memory
import _jupyterlite_torch_values as values
import torch
from _jupyterlite_torch_failure import Failure
from IPython import get_ipython

#: So many are listed, the largest first.
LISTED = 20_000
LONGEST_NAME = 200
#: Of a container so many items are looked at, those of what it holds among them.
LOOKED_AT = 1000
#: Code of users, as in `__repr__`, may take so many seconds.
SHOW_S = 2
#: Threads that a `__repr__` without an end may hold.
STUCK = 4
_HIDDEN = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType)
_stuck = []


def list_variables():
    """Return the facts of each variable, the largest first, and how many there are."""
    listed = [_facts(name, value) for name, value in _variables().items()]
    listed.sort(key=lambda facts: (-(facts["bytes"] or 0), facts["name"]))
    return {"variables": listed[:LISTED], "count": len(listed)}


def delete_variables(names):
    """Delete variables by their names; return which of them there were."""
    namespace, there = get_ipython().user_ns, _variables()
    deleted = [name for name in dict.fromkeys(names) if name in there]
    for name in deleted:
        # The running cell may be faster.
        namespace.pop(name, None)
    return {"deleted": deleted}


def show_variable(name, limit):
    """Return a text of at most `limit` characters that shows a variable as `repr` does."""
    value = get_ipython().user_ns.get(name, _stuck)
    if value is _stuck:
        raise Failure(f"There is no `{name}` in this session any more.")
    _stuck[:] = [thread for thread in _stuck if thread.is_alive()]
    if len(_stuck) >= STUCK:
        raise Failure(
            f"`{name}` is not shown: earlier variables are still being written as text. Restart the "
            "kernel if that does not end."
        )
    outcome = []

    def work():
        try:
            outcome.append(_text(value, limit))
        except BaseException as error:
            outcome.append(f"<{type(value).__name__}, whose repr raises {type(error).__name__}>")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(SHOW_S)
    if not outcome:
        _stuck.append(thread)
        # Ends Python code; code that is compiled goes on.
        ident, error = ctypes.c_ulong(thread.ident), ctypes.py_object(TimeoutError)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, error)
        raise Failure(f"`{name}` is not shown: its `repr` takes longer than {SHOW_S} seconds.")
    text = outcome[0]
    return {"text": text[:limit], "truncated": len(text) > limit}


def _variables():
    """Return what the user has defined, without modules, functions and IPython's own names."""
    shell = get_ipython()
    own = shell.user_ns_hidden
    missing = object()
    return {
        name: value
        for name, value in list(shell.user_ns.items())
        if type(name) is str
        and not name.startswith("_")
        and len(name) <= LONGEST_NAME
        and not issubclass(type(value), _HIDDEN)
        and own.get(name, missing) is not value
        # Defined by the agent for every cell.
        and not (name == "device" and type(value) is torch.device)
    }


def _facts(name, value):
    """Return what is known of a variable without running code of its user; None for what is not."""
    kind = type(value)
    facts = {"name": name, "type": kind.__name__[:LONGEST_NAME], "bytes": None}
    try:
        if issubclass(kind, torch.Tensor):
            facts |= _tensor_facts(value)
        elif (numpy := sys.modules.get("numpy")) and issubclass(
            kind, numpy.ndarray | numpy.generic
        ):
            facts |= {
                "shape": list(value.shape),
                "dtype": str(value.dtype)[:LONGEST_NAME],
                "device": "cpu",
                "bytes": value.nbytes,
            }
        elif kind in (str, bytes, bytearray):
            facts |= {"shape": [len(value)], "bytes": sys.getsizeof(value)}
        elif kind in (int, float, bool, complex, type(None)):
            facts["bytes"] = sys.getsizeof(value)
        else:
            if kind in values.CONTAINERS:
                facts["shape"] = [len(value)]
            facts |= _total(_tensors(value))
    except Exception:  # noqa: S110
        # A cell may change it meanwhile, and subclasses may have no such facts.
        pass
    return facts


def _tensors(value):
    """Yield the tensors of a model or an optimizer, or of the first LOOKED_AT items in a container and
    in those that it holds."""
    pending, left = collections.deque([value]), LOOKED_AT
    while pending:
        value = pending.popleft()
        kind = type(value)
        if issubclass(kind, torch.Tensor):
            yield value
        elif issubclass(kind, torch.nn.Module | torch.optim.Optimizer):
            yield from memory._tensors(value)
        elif kind in values.CONTAINERS:
            items = itertools.islice(value.values() if kind in values.DICTS else value, left)
            found = len(pending)
            pending.extend(items)
            left -= len(pending) - found


def _tensor_facts(tensor):
    with torch._C.DisableTorchFunctionSubclass():
        try:
            nbytes = tensor.nbytes
        except (RuntimeError, NotImplementedError):
            nbytes = sum(part.nbytes for part in forms.memory(tensor))
        return {
            "shape": [] if tensor.is_nested else list(tensor.shape),
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "device": str(tensor.device),
            "requires_grad": tensor.requires_grad,
            "bytes": nbytes,
        }


def _total(tensors):
    """Sum up the tensors that something holds, each memory once."""
    held, devices = {}, set()
    for tensor in itertools.islice(tensors, LOOKED_AT * 100):
        facts = _tensor_facts(tensor)
        held[tensor.data_ptr() if facts["bytes"] else 0] = facts["bytes"]
        devices.add(facts["device"])
    if not devices:
        return {}
    return {"bytes": sum(held.values()), "device": ", ".join(sorted(devices)[:4])}


def _text(value, limit):
    kind = type(value)
    if kind in (bytes, bytearray):
        return repr(value[: limit + 1])
    if issubclass(kind, dict) and kind is not dict and len(value) > LOOKED_AT:
        few = dict(itertools.islice(dict.items(value), LOOKED_AT))
        return f"{kind.__name__} of {len(value)}, of which the first: {_text(few, limit)}"
    short = reprlib.Repr()
    short.maxlevel = 4
    short.maxdict = short.maxlist = short.maxtuple = short.maxset = short.maxfrozenset = 50
    short.maxstring = short.maxlong = limit
    # Cut at its end, not in its middle.
    short.maxother = sys.maxsize
    return short.repr(value)
