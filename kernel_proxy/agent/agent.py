"""The agent: brings values in and out inside the remote kernel.

Injected as source (see injection.py), so it imports only torch, the standard library and the
modules that are injected with it. It never runs in the proxy. Its one entry is `call`.
"""

import json
import os
import sys

import _jupyterlite_torch_held as held
import _jupyterlite_torch_introspection as introspection
import _jupyterlite_torch_memory as memory
import _jupyterlite_torch_receipt as receipt
import _jupyterlite_torch_tables as tables
import _jupyterlite_torch_values as values
import _jupyterlite_torch_variables as variables
import torch
from _jupyterlite_torch_batch import Batch
from _jupyterlite_torch_copying import Filling
from _jupyterlite_torch_export import release as take_back
from _jupyterlite_torch_failure import Failure, TooLarge
from _jupyterlite_torch_incoming import import_
from _jupyterlite_torch_known import Known, OnPage, changed, exchanged, touched
from _jupyterlite_torch_size import human_size
from _jupyterlite_torch_use import use
from IPython import get_ipython

MIME_TYPE = "application/vnd.jupyterlite-torch+json"


class Reply:
    """What `call` returns: JSON for the proxy, as `text`, carried under a MIME type of its own.

    Text within the kernel's JSON: a message whose own text holds half a character, which a str can,
    is lost (jupyter_client 8.10). `json.dumps` writes that in ASCII.
    """

    def __init__(self, content):
        self.text = json.dumps(content)

    def __repr__(self):
        return "<jupyterlite-torch reply>"

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {MIME_TYPE: self.text}


def call(method, arguments):
    """Run one of METHODS with the JSON text of its arguments."""
    try:
        return Reply({"ok": METHODS[method](**json.loads(arguments))})
    except Failure as failure:
        return Reply({"failure": str(failure)})
    except Exception as error:
        # Within a Reply: what it complains of may be half a character.
        return Reply({"failure": f"{type(error).__name__}: {error}"})


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
        # What its user wrote, where its user runs code.
        value = eval(expression, get_ipython().user_ns)  # noqa: S307
    except Exception as error:
        raise Failure(_no_value(expression, expression, error)) from None
    batch = Batch(limit)
    try:
        tree = batch.encode(value)
    except (values.Untransferable, Failure) as reason:
        text = str(reason).replace("NAME", expression)
        raise Failure(f"`{expression}` can not be read from here: {text}.") from None
    return {"value": tree, **batch.write(eager, filling=Filling())}


def export(cell, **pull):
    """Encode what a cell assigned or changed, once: a proxy that was started meanwhile asks again."""
    if cell in _exports:
        return _exports[cell]
    reply = _export(**pull)
    # Before anything else is asked for, all is copied.
    segments = [{**segment, "filling": None} for segment in reply["segments"]]
    _exports.clear()
    _exports[cell] = {**reply, "segments": segments, "filling": None}
    return reply


#: Why a plain value stays.
_LARGE = (
    f"it has more than the {values.MOST_ITEMS:,} items, or {human_size(values.MOST_TEXT)} of text, that "
    "come by themselves; `%%torch -o NAME` brings it"
)
#: What was exported last, by the ID of its cell.
_exports = {}


def _export(
    page=None,
    assigned=(),
    stale=(),
    mentioned=None,
    current=(),
    expressions=(),
    eager=0,
    limit=0,
    release=(),
    hold=None,
    dropped=(),
):
    """Do what `pull` of docs/protocol.md says; see `metadata.torch` there.

    Names of `stale` come back even unchanged: the page has lost or replaced its own value.
    `mentioned` None: nothing comes back by itself.
    `current`: names whose values the page had when the cell began.
    `hold`: bytes; what is larger stays here with a handle, if it does not come with `eager`.
    `tensors` of the result says, for each, the segment and key under which the proxy finds it.
    """
    global _last_result, _last_error
    take_back(release)
    held.drop(dropped)
    namespace = get_ipython().user_ns
    batch = Batch(limit, hold is not None)
    trees, kept, deleted, in_place, errors, notes = {}, [], [], [], {}, {}
    on_page = OnPage(page, set(current).difference(assigned))
    # One that is gone may have been deleted aside of all cells.
    seen = [
        name
        for name in (() if mentioned is None else exchanged)
        if name in mentioned or name not in namespace or touched(name)
    ]
    for name in dict.fromkeys([*assigned, *seen]):
        if name not in namespace:
            if exchanged.pop(name, None) is not None:
                deleted.append(name)
            continue
        value = namespace[name]
        known = exchanged.get(name)
        if known is not None and name not in stale and not changed(name, value):
            continue
        if known is not None and known.is_same_object(value):
            in_place.append(name)
        is_asked = dict(expressions).get(name) == name
        large = not is_asked and values.is_large(value)
        exchanged[name] = Known(value, page, large)
        on_page.forget(name)
        if large:
            kept.append(name)
            notes[name] = _LARGE.replace("NAME", name)
            continue
        try:
            trees[name] = batch.encode(value, is_asked, on_page.name_of)
        except values.Untransferable:
            kept.append(name)
        except Failure as failure:
            kept.append(name)
            if isinstance(failure, TooLarge):
                errors[name] = _can_not_come(name, str(failure).replace("NAME", name))
            else:
                notes[name] = str(failure).replace("NAME", name)
    for name, expression in dict(expressions).items():
        try:
            value = eval(expression, namespace)  # noqa: S307
            # Not `isinstance`, which asks the value itself.
            if issubclass(type(value), torch.nn.Module):
                value = value.state_dict()
        except Exception as error:
            errors[name] = _no_value(name, expression, error)
            continue
        try:
            trees[name] = batch.encode(value)
        except values.Untransferable as reason:
            errors[name] = _can_not_come(
                expression, f"{reason}. Bring back a tensor, a plain value, or a container of them"
            )
        except Failure as failure:
            errors[name] = _can_not_come(expression, failure)
        if name == expression:
            exchanged[name] = Known(value, page)
    result, _last_result = _last_result, None
    reply = {
        "values": trees, "kept": kept, "deleted": deleted, "in_place": in_place,
        "errors": errors, "notes": notes, "receipt": receipt.take(),
    }  # fmt: skip
    if result is not None:
        reply["result"] = _encode_result(result, batch)
    error, _last_error = _last_error, None
    if error is not None:
        reply["error"] = _describe_error(error)
    # The first of several that have it.
    names = {key: name for name, tree in reversed(trees.items()) for key in _keys(tree)}
    asked = {key for name in dict(expressions) if name in trees for key in _keys(trees[name])}

    def hold_one(key, originals):
        if batch.tensors[int(key)].nbytes <= min(hold, limit or hold):
            return None
        return held.hold(originals, names.get(key, "the result"), strong=key in asked)

    # What the kernel runs next may change what is copied.
    filling = Filling(first=True)
    return {**reply, **batch.write(eager, None if hold is None else hold_one, filling)}


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
    holders = memory.holders(get_ipython().user_ns) if out_of_memory else None
    return {"bases": bases, "memory": holders}


def _can_not_come(expression, reason):
    return f"`{expression}` can not be brought back: {reason}."


def _encode_result(result, batch):
    for name, known in exchanged.items():
        if known.is_same_object(result) and (
            isinstance(result, torch.Tensor) or tables.kind(result)
        ):
            return {"name": name}
    try:
        return batch.encode(result, asked=False)
    except (values.Untransferable, Failure):
        return {"stays": None}


def _no_value(name, expression, error):
    if isinstance(error, NameError) and name == expression:
        return f"`{name}` does not exist on the server: no `%%torch` cell has assigned it."
    return f"`{expression}` could not be evaluated on the server: {type(error).__name__}: {error}"


METHODS = {
    "describe": describe,
    "share_gpus": memory.share_gpus,
    "import": import_,
    "memory": receipt.memory,
    "export": export,
    "peek": peek,
    "use": use,
    "list_variables": variables.list_variables,
    "delete_variables": variables.delete_variables,
    "show_variable": variables.show_variable,
    "complete": introspection.complete,
    "inspect": introspection.inspect,
}


def start():
    """Begin to follow the cells of this kernel."""
    events = get_ipython().events
    events.register("pre_run_cell", receipt.begin)
    # First, since what is kept of the result is no part of the cell's time.
    events.register("post_run_cell", receipt.end)
    events.register("post_run_cell", _remember_result)
