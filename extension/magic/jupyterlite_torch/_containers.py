"""RemoteArrays in lists, tuples and dicts."""

from ._remote_array import RemoteArray

#: How deep they are looked for.
_DEPTH = 8


def contained(value, depth=_DEPTH):
    """Yield the RemoteArrays in a value of containers, fetched or not."""
    if isinstance(value, RemoteArray):
        yield value
    elif depth and isinstance(value, dict):
        for item in value.values():
            yield from contained(item, depth - 1)
    elif depth and isinstance(value, list | tuple):
        for item in value:
            yield from contained(item, depth - 1)


def replaced(value, depth=_DEPTH):
    """Return a value with arrays in the place of its fetched RemoteArrays; lists and dicts are
    changed in place."""
    if isinstance(value, RemoteArray):
        return value if value.fetched is None else value.fetched
    if not depth:
        return value
    if isinstance(value, list):
        value[:] = [replaced(item, depth - 1) for item in value]
    elif isinstance(value, dict):
        # Not `update`, which adds to what a Counter has.
        for key, item in value.items():
            value[key] = replaced(item, depth - 1)
    elif isinstance(value, tuple):
        items = [replaced(item, depth - 1) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
