"""What a page asks of a handle: its value, a part of it, what one of its methods returns, or what
it looks like.

Injected into the kernel, as agent.py is.
"""

import _jupyterlite_torch_held as held
import _jupyterlite_torch_incoming as incoming
import _jupyterlite_torch_indices as indices
import _jupyterlite_torch_kinds as kinds
import _jupyterlite_torch_preview as looks
import torch
from _jupyterlite_torch_batch import Batch
from _jupyterlite_torch_copying import Filling
from _jupyterlite_torch_failure import Failure, TooLarge

#: What a handle can be asked for besides its value and a part of it: `a.NAME(...)`.
CALLS = frozenset(
    "mean sum prod min max argmin argmax std var any all to transpose permute reshape".split()
)


def use(
    handle,
    operation,
    name="",
    arguments=(),
    options=None,
    path=None,
    eager=0,
    limit=0,
    handles=None,
):
    """Encode what a handle's value is, or what comes of an operation on it.

    `operation`: "get" its value, "index" it with the one argument, "call" its method `name`, or
    describe it for a "preview". What a call returns gets a handle of its own when it is large.
    What torch refuses is no failure: the reply says so, as `refused`. With `handles`, a list of theirs
    instead, "get" what they all stand for: None, also as `changed`, for one that is gone.
    """
    if handles is None:
        value, changed = held.get(handle)
    else:
        pairs = [_get(each) for each in handles]
        value, changed = [value for value, _ in pairs], [changed for _, changed in pairs]
    tensors = incoming.read(path) if path else {}
    try:
        given = [incoming.decode(tree, tensors) for tree in arguments]
        named = {key: incoming.decode(tree, tensors) for key, tree in (options or {}).items()}
        if handles is not None and operation != "get":
            raise Failure(f"several handles at once can not be asked for {operation}")
        if operation == "index":
            value = value[indices.for_torch(given[0], value.ndim)]
        elif operation == "call" and name in CALLS:
            value = _called(value, name, given, named)
        elif operation == "preview":
            value = looks.preview(value, **named)
        elif operation != "get":
            raise Failure(f"a handle can not be asked for {operation} {name}")
    except Failure:
        raise
    except Exception as error:
        asked = operation in ("index", "call")
        if asked and not isinstance(error, torch.cuda.OutOfMemoryError):
            reason = f"{type(error).__name__}: {error}"
            return {"value": None, "refused": reason, **Batch(0).write(0)}
        raise Failure(f"{type(error).__name__}: {error}") from None
    batch = Batch(limit)
    try:
        tree = batch.encode(value)
    except TooLarge as failure:
        known_as = held.name(handles[0] if handles else handle) + {"get": "", "index": "[...]"}.get(
            operation, f".{name}(...)"
        )
        raise Failure(
            f"`{known_as}` can not be fetched: " + str(failure).replace("NAME", known_as)
        ) from None

    def hold(key, originals):
        return held.hold(originals, name, strong=True)

    written = batch.write(eager, hold if operation == "call" else None, filling=Filling())
    return {"value": tree, "changed": changed, **written}


def _get(handle):
    try:
        return held.get(handle)
    except Failure:
        return None, None


def _called(value, name, given, named):
    if name == "to":
        given = [getattr(torch, given[0])]
    if name in ("mean", "std", "var") and not (value.is_floating_point() or value.is_complex()):
        value = value.double()
    if name in ("sum", "prod", "mean", "std", "var"):
        # As precise as the page would be.
        travel = kinds.TRAVELS[str(value.dtype).removeprefix("torch.")]
        value = value.to(getattr(torch, travel.here))
    if name in ("min", "max") and "dim" in named:
        # Those also say where, and know one dimension only.
        name = f"a{name}"
    return getattr(value, name)(*given, **named)
