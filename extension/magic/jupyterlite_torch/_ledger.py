"""What both sides have: the values of names when page and server last agreed on them."""

import builtins
import json
import secrets
import types

import numpy as np

from . import _arrays, _patch, _tables, _values
from ._arguments import looks_secret
from ._checksum import BLOCK_BYTES
from ._errors import TransferError
from ._remote_array import RemoteArray
from ._size import human_size

#: Above this an array goes only when it is asked for with `-i`, in bytes.
AUTO_PUSH_BYTES = 256 * 2**20
#: Names that belong to the local IPython and mean something else there.
_INTERACTIVE = frozenset({"_", "__", "___", "In", "Out", "_ih", "_oh", "_dh", "_i", "_ii", "_iii"})
_DEFINITIONS = types.ModuleType | type | types.FunctionType | types.BuiltinFunctionType
_MISSING = object()
_NONE = types.MappingProxyType({})


class Push:
    """What goes to the server before a cell runs."""

    def __init__(self, dtype=None):
        self.values, self.device, self.imports, self.delete = {}, {}, {}, []
        self.dtype, self.arrays = dtype, _arrays.Outgoing(dtype)
        self.fingerprints = {}
        # Names of a function's scope, whose values here are not the notebook's.
        self.passing = set()
        # What may go as a patch alone: names with the bytes of their arrays.
        self.patching, self.large = False, {}

    def __bool__(self):
        return bool(self.values or self.imports or self.delete)


class Ledger:
    """Follows one namespace. `functions` is what `_names.analyze` found in the cells that ran.

    `hidden` are the names that IPython itself put there.
    """

    def __init__(self, namespace, hidden):
        self.namespace = namespace
        self._hidden = hidden
        #: Where the RemoteArrays of the kernel that is followed come from.
        self.source = None
        self.reset()

    def reset(self):
        """Forget everything: the remote kernel is a new one."""
        #: Whose values the kernel has, which other pages may change as well.
        self.page = secrets.token_urlsafe(12)
        self.functions = {}
        # Name to the fingerprint of the local value then; None where there was none.
        self._agreed = {}
        # Names whose values the page has not: they stay there, or are on their way.
        self._there = set()
        # Name to that of what was fetched and that of its handle, which both sides had before.
        self._fetched = {}
        self._imports = {}

    # --- Before a cell ---------------------------------------------------------------------------

    def prepare(self, names, send, scope=None, dtype=None, patches=False):
        """Return the Push for a cell that reads `names`, with `send` (name to device) asked for, its
        floating-point arrays as `dtype`; with `patches`, of large arrays only what has changed.

        Names are looked up in `scope`, the local names of a function, first. Raises TransferError
        for a value that can not go.
        """
        push = Push(dtype)
        push.patching = patches and dtype is None
        push.passing = set(scope or ()).intersection((*send, *names))
        for name, device in send.items():
            if name not in self.namespace and name not in push.passing:
                raise TransferError(f"`{name}` of -i does not exist here: assign it first.")
            value = scope[name] if name in push.passing else self.namespace[name]
            self._add(push, name, value, asked=True)
            if device:
                push.device[name] = device
        for name in names:
            if name in send or name in _INTERACTIVE:
                continue
            value = scope[name] if name in push.passing else self.namespace.get(name, _MISSING)
            if value is _MISSING:
                if self._agreed.get(name) is not None:
                    push.delete.append(name)
            elif not (name in self._hidden and self._hidden[name] is value):
                self._add(push, name, value, asked=False)
        patched = _patch.apply(push, self._agreed) if push.patching else ()
        for name in push.large.keys() - patched:
            _refuse_large(name, push.large[name])
        return push

    def _add(self, push, name, value, asked):
        agreed = self._agreed.get(name, _MISSING)
        if isinstance(value, _DEFINITIONS):
            if agreed != _identity(value):
                self._add_import(push, name, value)
            return
        before = len(push.arrays.arrays)
        try:
            facts = _Facts(value, streams=push.arrays.streams)
            if not asked:
                if agreed == facts.fingerprint:
                    push.arrays.drop(before)
                    return
                _refuse_secret(name, value)
            place = push.arrays.leaf
            if push.patching and not asked:
                place = self._leaf_of_same(push, name, facts, place)
            push.values[name] = facts.tree(self._leaf(place), push.arrays.leaf)
        except _values.Untransferable as reason:
            push.arrays.drop(before)
            if not asked and agreed == _identity(value):
                return  # The server has one of its own, assigned there since.
            error = TransferError(_not_transferable(name, value, reason))
            error.lacks = getattr(reason, "packages", ())
            raise error from None
        push.fingerprints[name] = facts.fingerprint
        nbytes = sum(array.nbytes for array in push.arrays.arrays[before:])
        if not asked and nbytes > AUTO_PUSH_BYTES:
            patch = _patch.between(agreed, facts.fingerprint) if push.patching else None
            if patch is None or patch.nbytes > AUTO_PUSH_BYTES:
                _refuse_large(name, nbytes)
            push.large[name] = nbytes

    def _leaf_of_same(self, push, name, facts, leaf):
        """Return a leaf that names large arrays which the server has under another name."""

        def leaf_of_same(value):
            large = type(value) is np.ndarray and value.nbytes >= BLOCK_BYTES
            for other in self._agreed if large else ():
                now = self.namespace.get(other)
                if other != name and other not in push.values and _array_of(now) is value:
                    sums = facts.checksums[id(value)]
                    if self._agreed[other] == _fingerprint(now, {id(value): sums}):
                        return {"same": [other, value.dtype.name, list(value.shape), list(sums)]}
            return leaf(value)

        return leaf_of_same

    def _leaf(self, leaf):
        def with_handles(value):
            is_remote = isinstance(value, RemoteArray)
            return value.tree_for(self.source, leaf) if is_remote else leaf(value)

        return with_handles

    def _add_import(self, push, name, value):
        if isinstance(value, types.ModuleType):
            origin = (value.__name__, None)
        else:
            origin = (getattr(value, "__module__", None), getattr(value, "__qualname__", None))
            if origin[0] == "builtins" and getattr(builtins, name, None) is value:
                return
            if origin[0] in (None, "__main__") or "<" in (origin[1] or "<"):
                kind = "class" if isinstance(value, type) else "function"
                raise TransferError(
                    f"`{name}` is a {kind} of this page, and a {kind} runs where it was defined: "
                    "define it in a `%%torch` cell."
                )
        if self._imports.get(name) != origin:
            push.imports[name] = origin

    def current(self, push, names):
        """Return those of `names`, for which a Push was prepared, whose values both sides have once the
        server has taken it."""
        gone = {*push.passing, *push.delete, *(self._there - push.fingerprints.keys())}
        agreed = self._agreed | push.fingerprints
        # Of what can not travel an identity is noted.
        return [name for name in names if name not in gone and isinstance(agreed.get(name), str)]

    # --- After a cell ----------------------------------------------------------------------------

    def pushed(self, push):
        """Note that the server has taken a Push."""
        self._agreed.update(push.fingerprints)
        self._there.difference_update(push.fingerprints)
        self._imports.update(push.imports)
        for name in (*push.delete, *push.passing):
            self._agreed.pop(name, None)

    def refused(self, push):
        """Note that the server has taken nothing of a Push that was noted as `pushed`."""
        self.disagree(push.fingerprints, push.imports)
        for name in push.delete:
            self.differ(name)

    def disagree(self, names, imports=()):
        """Note that it is not known what the server has under these names."""
        for name in names:
            self._agreed.pop(name, None)
        for alias in imports:
            self._imports.pop(alias, None)

    def differ(self, name):
        """Note that the server has something else under this name than the page, or than nothing."""
        self._agreed[name] = ""

    def agree(self, name, checksums=None):
        """Note that page and server now have the same under `name`.

        `checksums` are those of arrays that are known already, by the array's id.
        """
        self._there.discard(name)
        self._imports.pop(name, None)
        self._agreed[name] = self._state(name, checksums)

    def leave(self, name):
        """Note that the server has a value under `name` which stays there, and that what is here is not
        to be sent in its place."""
        self.agree(name)
        self._there.add(name)

    def is_there(self, name):
        """True if the server has a value under `name` which the page has not."""
        return name in self._there

    def fetched(self, name, checksums):
        """Note that arrays have taken the place of the handles under `name`, on which both sides
        agreed; `checksums` as for `agree`. That is no other value."""
        before = self._agreed[name]
        self.agree(name, checksums)
        self._fetched[name] = self._agreed[name], before

    def agreed(self):
        """Return what both sides last had, by name, for `has_moved_on`."""
        return dict(self._agreed)

    def has_moved_on(self, name, before):
        """True if page or server has had another value since `agreed` said `before` of a name."""
        agreed = self._agreed.get(name, _MISSING)
        same = agreed == before or self._fetched.get(name) == (agreed, before)
        return not same or self.is_stale(name)

    def is_stale(self, name):
        """True if the page's value of `name` is not the one that both sides last had."""
        return name not in self._agreed or self._agreed[name] != self._state(name)

    def has_known(self, name):
        """True if both sides have agreed on `name` since this page knows the kernel."""
        return name in self._agreed

    def _state(self, name, checksums=None):
        value = self.namespace.get(name, _MISSING)
        return None if value is _MISSING else _fingerprint(value, checksums or {})


def _array_of(value):
    return value.fetched if isinstance(value, RemoteArray) else value


def _identity(value):
    return ("object", id(value))


class _Facts:
    """What tells a value from another one, as the tree in which it travels: with what is in an array, a
    table or a handle in its place. `checksums` as for `Ledger.agree`; `streams` as for
    `_arrays.table_facts`. Raises Untransferable."""

    def __init__(self, value, checksums=_NONE, streams=None):
        #: Of each array, by its id.
        self.checksums = {}
        self._known, self._streams = checksums, streams
        # Each of these trees, what it stands for, and whether that is a part of something, as of a
        # sparse array.
        self._places = []
        self._tree = _values.encode(value, self._leaf)
        self.fingerprint = json.dumps(self._tree)

    def tree(self, leaf, leaf_of_part):
        """Turn it into the tree that travels, once: `leaf` gives those of arrays, tables and handles."""
        for tree, value, is_part in self._places:
            travels = leaf_of_part(value) if is_part else leaf(value)
            tree.clear()
            tree.update(travels)
        return self._tree

    def _leaf(self, value):
        if isinstance(value, RemoteArray):
            return self._place(self._remote(value), value)
        if not isinstance(value, np.ndarray) and (kind := _tables.kind(value)):
            return self._place({"arrow": _arrays.table_facts(value, kind, self._streams)}, value)
        return _arrays.leaf(
            value, lambda array: self._place(self._array(array), array, array is not value)
        )

    def _place(self, tree, value, is_part=False):
        self._places.append((tree, value, is_part))
        return tree

    def _array(self, array):
        sums = self.checksums.get(id(array)) or self._known.get(id(array))
        self.checksums[id(array)] = sums = sums or _arrays.checksums(array)
        return {"tensor": [array.dtype.str, array.shape, sums]}

    def _remote(self, array):
        (source, handle), tree = array.handle, array.tree(self._array)
        # Fetched and not changed since, it is what its handle stands for.
        as_it_came = array.checksums and tree.get("tensor", [])[2:] == [array.checksums]
        # Another kernel has handles of the same IDs.
        return {"held": [id(source), handle]} if as_it_came or "held" in tree else tree


def _fingerprint(value, checksums):
    """Return something that differs when the value does; `checksums` as for `Ledger.agree`."""
    if isinstance(value, _DEFINITIONS):
        return _identity(value)
    try:
        return _Facts(value, checksums).fingerprint
    except _values.Untransferable:
        return _identity(value)


def _refuse_large(name, nbytes):
    raise TransferError(
        f"`{name}` is {human_size(nbytes)}, above the {human_size(AUTO_PUSH_BYTES)} that go by "
        f"themselves. If it shall go, write `%%torch -i {name}`."
    )


def _refuse_secret(name, value):
    pending = [(name, name, value)]
    seen = 0
    while pending and seen < 10_000:
        seen += 1
        path, key, item = pending.pop()
        if isinstance(key, str) and isinstance(item, str | bytes) and looks_secret(key):
            raise TransferError(
                f"`{path}` looks like a secret, and secrets do not go by themselves. If it shall go "
                f"to the server, write `%%torch -i {name}`."
            )
        if isinstance(item, dict):
            pending.extend((f"{path}[{key!r}]", key, inner) for key, inner in item.items())
        elif isinstance(item, list | tuple):
            pending.extend(
                (f"{path}[{n}]", None, inner)
                for n, inner in enumerate(item)
                if isinstance(inner, dict | list | tuple)
            )


def _not_transferable(name, value, reason):
    kind = type(value)
    library = kind.__module__.split(".")[0]
    if _tables.kind(value):
        return f"`{name}` can not be sent to the server: {reason}."
    if library in ("pandas", "polars") and hasattr(value, "to_numpy"):
        return f"`{name}` is a {library} {kind.__name__}: send its numbers, `{name}.to_numpy()`."
    if library == "PIL":
        return f"`{name}` is an image of PIL: send its pixels, `np.asarray({name})`."
    return (
        f"`{name}` can not be sent to the server: {reason}. Arrays, plain values and containers of "
        "them can; make one of it here, or make it in a `%%torch` cell."
    )
