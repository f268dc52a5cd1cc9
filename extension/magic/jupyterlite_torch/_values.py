"""One Python value as a JSON tree and back, with its types; see "Trees" in docs/protocol.md.

Pure standard library: this source runs in the page and, injected by the proxy, in the kernel.
What neither side can write as JSON (arrays, tensors) is left to a `leaf` function of the caller.
"""

import base64
import dataclasses
import importlib
import math
import struct
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import Enum

MAX_DEPTH = 100
# Above this a reader that has only doubles would round. Written in hexadecimal, which has no limit
# on its digits (decimal text has one since CPython 3.11).
_EXACT_INT = 2**53


#: So many items of containers, and so many characters and bytes, come from the server by themselves.
MOST_ITEMS, MOST_TEXT = 200_000, 8 * 2**20


class Untransferable(TypeError):
    """A value, or something inside it, has no place in a tree. `args[0]` says what and where."""


class Endless(Untransferable):
    """A value contains itself, or is nested beyond MAX_DEPTH."""


def encode(value, leaf):
    """Return the tree of `value`.

    `leaf(value)` returns a tree for what it knows and None for everything else.
    Raises Untransferable for a value of any other type, Endless for a cycle or deep nesting.
    """
    return _encode(value, leaf, "", ())


def _encode(value, leaf, path, inside):
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if -_EXACT_INT < value < _EXACT_INT else {"int": hex(value)}
    if kind is float:
        return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
    if kind is complex:
        return {"complex": [_encode(part, leaf, path, ()) for part in (value.real, value.imag)]}
    if kind is bytes or kind is bytearray:
        return {kind.__name__: base64.b64encode(value).decode("ascii")}
    if value is Ellipsis:
        return {"ellipsis": None}
    if kind is range or kind is slice:
        ends = (value.start, value.stop, value.step)
        return {kind.__name__: [_encode(end, leaf, path, inside) for end in ends]}
    fields = _fields(value)
    is_record = fields is None and kind not in CONTAINERS
    if is_record:
        tree = leaf(value)
        if tree is None and isinstance(value, str) and not isinstance(value, Enum):
            # Text with methods of its own, as torch.__version__ is.
            return str.__str__(value)
        if tree is None and (text_kind := _text_kind(kind)):
            return {text_kind: _text(text_kind, value, path)}
        if tree is None and not dataclasses.is_dataclass(kind):
            raise Untransferable(f"{path or 'it'} is of type {_type_name(kind)}")
        if tree is not None:
            return tree
    if any(value is container for container in inside):
        raise Endless(f"{path or 'it'} contains itself")
    if len(inside) >= MAX_DEPTH:
        raise Endless(f"it is nested more than {MAX_DEPTH} levels deep")
    inside = (*inside, value)
    if kind in DICTS:
        items = [
            [
                _hashable(_encode(key, leaf, f"{path} key {key!r:.40}", inside), path),
                _encode(item, leaf, f"{path}[{key!r:.40}]", inside),
            ]
            for key, item in value.items()
        ]
        return _dict(value, items)
    if is_record:
        items = [
            [field.name, _encode(getattr(value, field.name), leaf, f"{path}.{field.name}", inside)]
            for field in dataclasses.fields(value)
            if hasattr(value, field.name)
        ]
        return {"noted": [DATACLASS_NOTE, {"dict": items}]}
    items = [_encode(item, leaf, f"{path}[{n}]", inside) for n, item in enumerate(value)]
    if fields is not None:
        return {"namedtuple": [kind.__name__, fields, items]}
    if kind in (set, frozenset):
        items = [_hashable(item, path) for item in items]
    return items if kind is list else {kind.__name__: items}


def _text_kind(kind):
    """Return which of _TEXTS_OF a type is, None for any other."""
    name = "Path" if kind.__name__ in ("PosixPath", "WindowsPath") else kind.__name__
    # Python 3.13 has pathlib._local. By names, for most of these modules nobody has imported.
    package = str(kind.__module__).partition(".")[0]
    return name if name in _TEXTS_OF and _TEXTS_OF[name][0] == package else None


def _text(kind, value, path):
    _, write, read = _TEXTS_OF[kind]
    text = write(value)
    # The name of a time zone, and which of two equal hours in autumn, are not in ISO 8601.
    if read is _read_iso and repr(read(type(value), text)) != repr(value):
        raise Untransferable(f"{path or 'it'} is a {kind} with a time zone or a fold of its own")
    return text


def _dict(value, items):
    """Return the tree of a dict of one of DICTS whose items are trees already."""
    kind, made = type(value), getattr(value, "default_factory", None)
    if kind is not defaultdict:
        return {kind.__name__: items}
    if made is None or any(made is each for each in _DEFAULTS.values()):
        return {"defaultdict": [None if made is None else made.__name__, items]}
    return {"noted": [DEFAULTDICT_NOTE, {"dict": items}]}


def is_large(value):
    """True for a plain value of more than MOST_ITEMS items or MOST_TEXT characters, without a look at
    the rest. What is nested too deep is not: of that there is something else to say."""
    items = text = 0
    pending = [(value, 0)]
    while pending:
        value, depth = pending.pop()
        kind = type(value)
        if issubclass(kind, tuple):
            # Without the methods that a subclass has for this.
            value = tuple.__getitem__(value, slice(None))
        if kind in _TEXTS:
            text += len(value)
        elif kind in CONTAINERS or issubclass(kind, tuple):
            items += len(value)
            if depth == MAX_DEPTH:
                return False
            if items <= MOST_ITEMS:
                parts = [*value, *value.values()] if kind in DICTS else value
                pending += [(part, depth + 1) for part in parts if type(part) not in _SMALL]
        if items > MOST_ITEMS or text > MOST_TEXT:
            return True
    return False


#: What is said of these, as of all kinds in _kinds.py.
DATACLASS_NOTE = "is a dataclass: a dict of its fields travels"
DEFAULTDICT_NOTE = "is a defaultdict whose default comes from a function of yours: a dict travels"


def _hashable(tree, path):
    """Return a tree whose value can be a key or be in a set on the other side, too."""
    if not _can_be_key(tree):
        raise Untransferable(f"{path or 'it'} has keys or members that are tensors or arrays")
    return tree


def _can_be_key(tree):
    if not isinstance(tree, dict):
        return not isinstance(tree, list)
    ((kind, content),) = tree.items()
    if kind in ("tuple", "frozenset", "namedtuple"):
        return all(map(_can_be_key, content[2] if kind == "namedtuple" else content))
    return kind not in ("tensor", "array", "sparse", "masked", "arrow", "noted", "name")


DICTS = frozenset({dict, OrderedDict, defaultdict, Counter})
#: What can make a default on either side.
_DEFAULTS = {
    each.__name__: each for each in (bool, int, float, complex, str, list, tuple, dict, set)
}
#: Types whose values travel with all that they hold, beside named tuples and dataclasses.
CONTAINERS = DICTS | {list, tuple, set, frozenset}
_TEXTS = frozenset({str, bytes, bytearray})
_SMALL = frozenset({type(None), bool, int, float, complex})


def _fields(value):
    """Return the field names of a named tuple, of Python's or C's making, else None."""
    if not isinstance(value, tuple):
        return None
    names = getattr(value, "_fields", None) or getattr(value, "__match_args__", None)
    return list(names) if names and len(names) == len(value) else None


def decode(tree, leaf):
    """Return the value of `tree`; `leaf(kind, content)` makes the kinds that `encode` left to one,
    of those in COMPOSITE from the values of their parts.

    Raises ValueError for a tree that is none.
    """
    if tree is None or isinstance(tree, bool | str | int | float):
        return tree
    if isinstance(tree, list):
        return [decode(item, leaf) for item in tree]
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ValueError("a tree is a JSON scalar, a list, or an object with one key")
    ((kind, content),) = tree.items()
    if kind == "int":
        return int(content, 16)
    if kind == "float":
        return struct.unpack(">d", bytes.fromhex(content))[0]
    if kind == "complex":
        return complex(*(decode(part, leaf) for part in content))
    if kind == "bytes":
        return base64.b64decode(content, validate=True)
    if kind == "bytearray":
        return bytearray(base64.b64decode(content, validate=True))
    if kind == "ellipsis":
        return ...
    if kind in _DECODED_DICTS:
        items = {decode(key, leaf): decode(item, leaf) for key, item in content}
        return items if kind == "dict" else _DECODED_DICTS[kind](items)
    if kind == "defaultdict":
        made, items = content
        if made is not None and made not in _DEFAULTS:
            raise ValueError(f"no default is made by {made!r:.40}")
        return defaultdict(_DEFAULTS.get(made), decode({"dict": items}, leaf))
    if kind == "namedtuple":
        name, fields, items = content
        made = namedtuple(name, fields, rename=True)
        return made(*(decode(item, leaf) for item in items))
    if kind in _SEQUENCES:
        return _SEQUENCES[kind](decode(item, leaf) for item in content)
    if kind in _TEXTS_OF:
        module, _, read = _TEXTS_OF[kind]
        try:
            return read(getattr(importlib.import_module(module), kind), content)
        except (TypeError, AttributeError, ArithmeticError) as error:
            raise ValueError(f"no {kind} is {content!r:.40}") from error
    if kind in _TRIPLES:
        start, stop, step = (decode(end, leaf) for end in content)
        return _TRIPLES[kind](start, stop, step)
    if kind == "noted":
        return decode(content[1], leaf)
    if kind in COMPOSITE:
        return leaf(kind, [decode(part, leaf) for part in content])
    return leaf(kind, content)


#: Kinds that consist of trees.
COMPOSITE = frozenset({"sparse", "masked", "arrow"})


def notes(tree):
    """Return what is to be said of a tree's value: its notes, each once, in order."""
    return list(dict.fromkeys(content[0] for kind, content in _objects(tree) if kind == "noted"))


def kinds(tree):
    """Return the kinds of objects in a tree."""
    return {kind for kind, _ in _objects(tree)}


def contents(tree, kind):
    """Return the contents of all objects of one kind in a tree."""
    return [content for found, content in _objects(tree) if found == kind]


def _objects(tree):
    pending = [[tree]]
    while pending:
        tree = pending.pop()
        if isinstance(tree, dict):
            ((kind, content),) = tree.items()
            yield kind, content
            tree = [content]
        # A list of many numbers costs no turn for each.
        pending += [part for part in reversed(tree) if type(part) is list or type(part) is dict]


def _read_iso(kind, text):
    return kind.fromisoformat(text)


#: Types of the standard library whose values are texts: their module, how they are written, how read.
_TEXTS_OF = {
    "date": ("datetime", lambda value: value.isoformat(), _read_iso),
    "time": ("datetime", lambda value: value.isoformat(), _read_iso),
    "datetime": ("datetime", lambda value: value.isoformat(), _read_iso),
    "timedelta": (
        "datetime",
        lambda value: f"{value.days} {value.seconds} {value.microseconds}",
        lambda kind, text: kind(*map(int, text.split())),
    ),
    "Decimal": ("decimal", str, lambda kind, text: kind(text)),
    "Fraction": (
        "fractions",
        lambda value: f"{value.numerator:x}/{value.denominator:x}",
        lambda kind, text: kind(*(int(part, 16) for part in text.split("/"))),
    ),
    "UUID": ("uuid", str, lambda kind, text: kind(text)),
    "Path": ("pathlib", lambda value: value.as_posix(), lambda kind, text: kind(text)),
}
_DECODED_DICTS = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}
_SEQUENCES = {"tuple": tuple, "set": set, "frozenset": frozenset}
_TRIPLES = {"range": range, "slice": slice}


def _type_name(kind):
    module = kind.__module__
    return (
        kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    )
