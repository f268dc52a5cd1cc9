"""The agent: exports and imports tensors inside the remote kernel.

Injected as source (see injection.py), so it imports only torch, the standard library and the
modules that are injected with it. It never runs in the proxy. Its one entry is `call`.
"""

import importlib
import json
import math
import os
import sys

import _jupyterlite_torch_forms as forms
import _jupyterlite_torch_held as held
import _jupyterlite_torch_memory as memory
import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_segment as segment
import _jupyterlite_torch_values as values
import torch
from _jupyterlite_torch_batch import Batch
from _jupyterlite_torch_export import release as take_back
from _jupyterlite_torch_failure import Failure, TooLarge
from _jupyterlite_torch_known import TYPES, Known, fingerprint, version
from IPython import get_ipython

MIME_TYPE = "application/vnd.jupyterlite-torch+json"
#: A tensor smaller than this is copied out of what was sent, so that it does not keep a large
#: neighbour's memory alive.
OWN_MEMORY_BYTES = 2**20


class Reply:
    """What `call` returns: JSON for the proxy, carried as a MIME type of its own."""

    def __init__(self, payload):
        self.payload = payload

    def __repr__(self):
        return "<jupyterlite-torch reply>"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {MIME_TYPE: self.payload}


def call(method, arguments):
    """Run one of METHODS with the JSON text of its arguments."""
    try:
        return Reply({"ok": METHODS[method](**json.loads(arguments))})
    except Failure as failure:
        return Reply({"failure": str(failure)})


def describe():
    """Say what this kernel computes with, and define what every `%%torch` cell may use."""
    namespace = get_ipython().user_ns
    device = best_device()
    namespace.setdefault("torch", torch)
    namespace.setdefault("device", device)
    return {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "python": sys.version.split()[0],
        "names": sorted(name for name, known in exchanged.items() if known.fingerprint is not None),
        "pid": os.getpid(),
    }


def best_device():
    """Return the accelerator of this machine, else its CPU."""
    if torch.accelerator.is_available() if hasattr(torch, "accelerator") else False:
        return torch.accelerator.current_accelerator()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


# --- From the page to the kernel -----------------------------------------------------------------


def import_(trees, device=(), imports=(), delete=(), path=None):
    """Define names here: `trees` of values whose tensors are in the safetensors file at `path`.

    Returns the names whose value here had changed since the last exchange, and was overwritten.
    """
    namespace = get_ipython().user_ns
    for alias, (module, attribute) in dict(imports).items():
        namespace[alias] = _imported(alias, module, attribute)
    for name in delete:
        namespace.pop(name, None)
        exchanged.pop(name, None)
    tensors = _read(path) if path else {}
    devices = dict(device)
    conflicts = []
    for name, tree in trees.items():
        if name in exchanged and name in namespace and _changed(name, namespace[name]):
            conflicts.append(name)
        value = _decode(tree, tensors)
        if name in devices:
            value = _to(value, devices[name], name)
        namespace[name] = value
        exchanged[name] = Known(value)
    return {"conflict": conflicts}


def _imported(alias, module, attribute):
    try:
        value = importlib.import_module(module)
        for part in (attribute or "").split(".") if attribute else ():
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        package = module.split(".")[0]
        raise Failure(
            f"`{alias}` is `{module}{'.' + attribute if attribute else ''}` here, and the server's "
            f"kernel can not import it ({error}). Install it there with a cell of two lines, "
            f"`%%torch` and `%pip install {package}`, or use another name."
        ) from None
    return value


def _read(path):
    source = segment.Segment.open(path)
    try:
        view = source.view
        start = safetensors.header_size(view[:8])
        entries = safetensors.parse(view[:start], source.size)
        return {key: _mapped(view, entry, source.size) for key, entry in entries.items()}
    finally:
        source.close()


def _mapped(view, entry, file_size):
    dtype = TYPES.get(safetensors.NAMES[entry.code])
    if dtype is None:
        raise Failure(
            f"torch {torch.__version__} has no {safetensors.NAMES[entry.code]}; convert the array "
            "before it is sent"
        )
    if entry.nbytes == 0:
        return torch.empty(entry.shape, dtype=dtype)
    tensor = torch.frombuffer(
        view, dtype=dtype, count=math.prod(entry.shape), offset=entry.start
    ).view(entry.shape)
    return tensor.clone() if entry.nbytes < min(OWN_MEMORY_BYTES, file_size) else tensor


def _decode(tree, tensors):
    return values.decode(tree, lambda kind, content: _from_wire(kind, content, tensors))


def _from_wire(kind, content, tensors):
    if kind == "held":
        return held.get(content)[0]
    if kind == "sparse":
        return forms.sparse(*content)
    tensor = tensors[content]
    if kind == "tensor":
        return tensor
    array = _numpy().asarray(tensor)
    return array[()] if kind == "scalar" else array


def _numpy():
    try:
        return importlib.import_module("numpy")
    except ImportError:
        raise Failure("the server's kernel has no NumPy: `%pip install numpy` there") from None


def _to(value, device, name):
    if isinstance(value, torch.Tensor):
        try:
            return value.to(device)
        except (RuntimeError, AssertionError) as error:
            raise Failure(f"`{name}` can not go to {device!r}: {error}") from None
    if isinstance(value, list | tuple):
        items = [_to(item, device, name) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: _to(item, device, name) for key, item in value.items()}
    return value


# --- What both sides have ------------------------------------------------------------------------


#: The names that both sides have, or that the page has seen stay here (fingerprint None).
exchanged = {}


def _touched(name):
    """True if an exchanged tensor was changed in place, as far as that costs nothing to see; a cell
    can do so without mentioning its name, as an optimizer's step does."""
    value, known = get_ipython().user_ns.get(name), exchanged[name]
    return known.version is not None and (
        not known.is_same_object(value) or known.version != version(value)
    )


def _changed(name, value):
    known = exchanged[name]
    return not known.is_same_object(value) or known.fingerprint != fingerprint(value)


# --- From the kernel to the page -----------------------------------------------------------------

_last_result = None
_last_error = None


def _remember_result(result):
    global _last_result, _last_error
    _last_result = result.result
    _last_error = result.error_before_exec or result.error_in_exec


def peek(expression, eager=0, limit=0):
    """Encode the value of an expression while a cell may be running: nothing is noted of it."""
    try:
        value = eval(expression, get_ipython().user_ns)
    except Exception as error:
        raise Failure(_no_value(expression, expression, error)) from None
    batch = Batch(limit)
    try:
        tree = batch.encode(value)
    except (values.Untransferable, Failure) as reason:
        text = str(reason).replace("NAME", expression)
        raise Failure(f"`{expression}` can not be read from here: {text}.") from None
    tensors, segments = batch.write(eager)
    return {"value": tree, "tensors": tensors, "segments": segments}


#: What a handle can be asked for besides its value and a part of it: `a.NAME(...)`.
CALLS = frozenset(
    "mean sum prod min max argmin argmax std var any all to transpose permute reshape".split()
)


def use(handle, operation, name="", arguments=(), options=None, path=None, eager=0, limit=0):
    """Encode what a handle's value is, or what comes of an operation on it.

    `operation`: "get" its value, "index" it with the one argument, or "call" its method `name`.
    What a call returns gets a handle of its own when it is large.
    """
    value, changed = held.get(handle)
    tensors = _read(path) if path else {}
    given = [_decode(tree, tensors) for tree in arguments]
    named = {key: _decode(tree, tensors) for key, tree in (options or {}).items()}
    try:
        if operation == "index":
            value = value[given[0]]
        elif operation == "call" and name in CALLS:
            value = _called(value, name, given, named)
        elif operation != "get":
            raise Failure(f"a handle can not be asked for {operation} {name}")
    except Failure:
        raise
    except Exception as error:
        raise Failure(f"{type(error).__name__}: {error}") from None
    batch = Batch(limit)
    try:
        tree = batch.encode(value)
    except TooLarge as failure:
        known_as = held.name(handle)
        raise Failure(
            f"`{known_as}` can not be fetched: " + str(failure).replace("NAME", known_as)
        ) from None

    def hold(key, originals):
        return held.hold(originals, name, strong=True)

    tensors, segments = batch.write(eager, hold if operation == "call" else None)
    return {"value": tree, "tensors": tensors, "segments": segments, "changed": changed}


def _called(value, name, given, named):
    if name == "to":
        given = [getattr(torch, given[0])]
    if name in ("mean", "std", "var") and not (value.is_floating_point() or value.is_complex()):
        value = value.double()
    value = getattr(value, name)(*given, **named)
    # `min(dim)` and `max(dim)` also say where.
    return value[0] if name in ("min", "max") and isinstance(value, tuple) else value


def export(
    assigned=(),
    stale=(),
    mentioned=None,
    expressions=(),
    eager=0,
    limit=0,
    release=(),
    hold=False,
    dropped=(),
):
    """Encode what a cell assigned or changed; see `metadata.torch` in docs/protocol.md.

    Names of `stale` come back even unchanged: the page has lost or replaced its own value.
    `mentioned` None: nothing comes back by itself.
    `tensors` of the result says, for each, the segment and key under which the proxy finds it.
    """
    global _last_result, _last_error
    take_back(release)
    held.drop(dropped)
    namespace = get_ipython().user_ns
    batch = Batch(limit, hold)
    trees, kept, deleted, in_place, errors, notes = {}, [], [], [], {}, {}
    changed = [] if mentioned is None else [n for n in exchanged if n in mentioned or _touched(n)]
    for name in dict.fromkeys([*assigned, *changed]):
        if name not in namespace:
            if exchanged.pop(name, None) is not None:
                deleted.append(name)
            continue
        value = namespace[name]
        known = exchanged.get(name)
        if known is not None and name not in stale and not _changed(name, value):
            continue
        if known is not None and known.is_same_object(value):
            in_place.append(name)
        exchanged[name] = Known(value)
        try:
            trees[name] = batch.encode(value)
        except values.Untransferable:
            kept.append(name)
        except Failure as failure:
            kept.append(name)
            if isinstance(failure, TooLarge):
                errors[name] = _can_not_come(name, str(failure).replace("NAME", name))
            else:
                notes[name] = str(failure)
    for name, expression in dict(expressions).items():
        try:
            value = eval(expression, namespace)
        except Exception as error:
            errors[name] = _no_value(name, expression, error)
            continue
        if isinstance(value, torch.nn.Module):
            value = value.state_dict()
        try:
            trees[name] = batch.encode(value)
        except values.Untransferable as reason:
            errors[name] = _can_not_come(
                expression, f"{reason}. Bring back a tensor, a plain value, or a container of them"
            )
        except Failure as failure:
            errors[name] = _can_not_come(expression, failure)
        if name == expression:
            exchanged[name] = Known(value)
    result, _last_result = _last_result, None
    reply = {
        "values": trees, "kept": kept, "deleted": deleted, "in_place": in_place,
        "errors": errors, "notes": notes,
    }  # fmt: skip
    if result is not None:
        reply["result"] = _encode_result(result, batch)
    error, _last_error = _last_error, None
    if error is not None:
        reply["error"] = _describe_error(error)
    names = {key: name for name, tree in trees.items() for key in _keys(tree)}
    asked = {key for name in dict(expressions) if name in trees for key in _keys(trees[name])}

    def hold_one(key, originals):
        return held.hold(originals, names.get(key, "the result"), strong=key in asked)

    reply["tensors"], reply["segments"] = batch.write(eager, hold_one if hold else None)
    return reply


def _keys(tree):
    """Yield the keys of the tensors in a tree."""
    if isinstance(tree, list):
        for item in tree:
            yield from _keys(item)
    elif isinstance(tree, dict):
        ((kind, content),) = tree.items()
        if kind in ("tensor", "array", "scalar"):
            yield content
        else:
            yield from _keys(content if isinstance(content, list) else [])


def _describe_error(error):
    bases = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    out_of_memory = type(error).__name__ == "OutOfMemoryError"
    held = memory.holders(get_ipython().user_ns) if out_of_memory else None
    return {"bases": bases, "memory": held}


def _can_not_come(expression, reason):
    return f"`{expression}` can not be brought back: {reason}."


def _encode_result(result, batch):
    for name, known in exchanged.items():
        if known.is_same_object(result) and isinstance(result, torch.Tensor):
            return {"name": name}
    try:
        return batch.encode(result)
    except (values.Untransferable, Failure):
        return {"stays": None}


def _no_value(name, expression, error):
    if isinstance(error, NameError) and name == expression:
        return f"`{name}` does not exist on the server: no `%%torch` cell has assigned it."
    return f"`{expression}` could not be evaluated on the server: {type(error).__name__}: {error}"


METHODS = {"describe": describe, "import": import_, "export": export, "peek": peek, "use": use}


def start():
    """Begin to follow the cells of this kernel."""
    get_ipython().events.register("post_run_cell", _remember_result)
