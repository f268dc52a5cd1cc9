"""Values on their way: a push's arrays up to the server, a cell's tensors down into NumPy."""

import secrets

from . import _arrays, _safetensors, _values
from ._errors import TransferError
from ._remote_array import RemoteArray

#: Tensors up to this many bytes together travel with the cell's own messages.
EAGER_BYTES = 2**20
#: NumPy on a 32-bit machine, which the browser's Python is, has no larger array, in bytes.
MAX_ARRAY_BYTES = 2**31 - 1


async def send(push, channel):
    """Send the arrays of a Push; return (`metadata.torch.push`, binary parts for the request)."""
    described = {
        "values": push.values,
        "device": push.device,
        "imports": push.imports,
        "delete": push.delete,
        "tensors": None,
    }
    if not push.arrays.arrays:
        return described, ()
    pieces, size = push.arrays.file()
    if size <= EAGER_BYTES:
        described["tensors"] = "buffer"
        return described, (b"".join(pieces),)
    upload = secrets.token_urlsafe(18)
    await channel.upload(upload, pieces, size)
    described["tensors"] = {"upload": upload}
    return described, ()


async def peek(expression, connection):
    """Return the value that an expression has in the session now, also while a cell runs there."""
    content = {"expression": expression, "eager": EAGER_BYTES, "limit": MAX_ARRAY_BYTES}
    reply = await connection.channel.request("peek_request", content)
    value, _ = await _value(reply, expression, connection, None)
    return value


async def use(array, request, arguments, options, connection):
    """Return (value, what was said about it) of a use_request for a RemoteArray."""
    source, handle = array.handle
    outgoing = _arrays.Outgoing()

    def leaf(value):
        return value.tree(outgoing.leaf) if isinstance(value, RemoteArray) else outgoing.leaf(value)

    content = {
        **request,
        "handle": handle,
        "arguments": [_values.encode(value, leaf) for value in arguments],
        "options": {key: _values.encode(value, leaf) for key, value in (options or {}).items()},
        "eager": EAGER_BYTES,
        "limit": MAX_ARRAY_BYTES,
    }
    buffers = (b"".join(outgoing.file()[0]),) if outgoing.arrays else ()
    await connection.ready()
    reply = await connection.channel.request("use_request", content, buffers)
    return await _value(reply, array.name, connection, source)


async def _value(reply, name, connection, source):
    if reply.content["status"] != "ok":
        raise TransferError(reply.content["evalue"].removesuffix(".") + ".")
    described = reply.metadata["torch"]
    tree = described.pop("value")
    values = Values({**described, "values": {name: tree}}, reply.buffers, source)
    await values.fetch(connection.transport, connection.channel)
    for error in values.failed.values():
        raise error
    return values.decode(tree), {**described, "checksums": values.checksums}


class Values:
    """What came back with a reply: `metadata.torch` of protocol.md, decoded by name."""

    def __init__(self, described, buffers, source):
        self.described = described
        self._arrays = {}
        #: Why a tensor could not be fetched, by its key.
        self.failed = {}
        #: Checksums of arrays that the server has summed up, by the array's id.
        self.checksums = {}
        #: The tensors that are to be fetched.
        self.large = [t for t in described.get("tensors", ()) if t["handle"]]
        small = []
        for tensor in described.get("tensors", ()):
            if tensor.get("held"):
                name = self.name_of(tensor["key"])
                self._arrays[tensor["key"]] = RemoteArray(source, tensor, name)
            elif not tensor["handle"]:
                small.append(tensor)
        if small:
            view = memoryview(buffers[0])
            start = _safetensors.header_size(view[:8])
            entries = _safetensors.parse(view[:start], len(view))
            for tensor in small:
                entry = entries[tensor["key"]]
                incoming = _arrays.Incoming(self.name_of(entry.key), entry.code, entry.shape)
                incoming.destination[:] = view[entry.start : entry.start + entry.nbytes]
                self._arrays[entry.key] = incoming.array

    async def fetch(self, transport, channel):
        """Fetch what did not come with the reply."""
        try:
            for tensor in self.large:
                key = tensor["key"]
                try:
                    self._arrays[key] = await self._fetch(tensor, transport, channel)
                except Exception as error:
                    self.failed[key] = error
        finally:
            channel.release(tensor["handle"] for tensor in self.large)

    async def _fetch(self, tensor, transport, channel):
        code = _safetensors.CODES[tensor["dtype"]]
        incoming = _arrays.Incoming(self.name_of(tensor["key"]), code, tensor["shape"])
        headers = {**channel.session_headers, "Torch-Handle": tensor["handle"]}
        destination = incoming.destination

        def place(header, file_size):
            entry = _safetensors.parse(header, file_size)[tensor["key"]]
            if (entry.code, list(entry.shape)) != (code, list(tensor["shape"])):
                raise ValueError("the file is not the tensor that was announced")
            return destination

        await transport.download("tensors", headers, place)
        array = incoming.array
        if array.nbytes == tensor["nbytes"]:
            self.checksums[id(array)] = tuple(tensor["crc32"])
        return array

    def name_of(self, key):
        """Return the name under which a tensor is known to the user."""
        for name, tree in self.described["values"].items():
            if key in tensor_keys(tree):
                return name
        return "the result"

    def decode(self, tree):
        """Return the value of a tree; KeyError with the key of a tensor that is not there."""
        return _values.decode(tree, lambda kind, key: self._leaf(kind, key))

    def _leaf(self, kind, key):
        array = self._arrays[key]
        return array[()] if kind == "scalar" else array


def tensor_keys(tree):
    """Return the keys of all tensors in a tree."""
    if isinstance(tree, list):
        return {key for item in tree for key in tensor_keys(item)}
    if not isinstance(tree, dict):
        return set()
    ((kind, content),) = tree.items()
    if kind in ("tensor", "array", "scalar"):
        return {content}
    return tensor_keys(content) if isinstance(content, list) else set()
