"""Values on their way: a push's arrays up to the server, a cell's tensors down into NumPy."""

import secrets
import types

from . import _arrays, _progress, _safetensors, _tables, _values
from ._download import Sink
from ._errors import Refused, TransferError
from ._remote_array import RemoteArray
from ._size import human_size
from ._transfers import Cancelled

#: Tensors up to this many bytes together travel with the cell's own messages.
EAGER_BYTES = 2**20
#: What a request is at most besides its arrays, in bytes.
_REQUEST_BYTES = 2**16
#: NumPy on a 32-bit machine, which the browser's Python is, has no larger array, in bytes.
MAX_ARRAY_BYTES = 2**31 - 1
_NOTHING = types.MappingProxyType({})


async def send(push, connection, output=None):
    """Send the arrays of a Push, with a bar in `output`; return (`metadata.torch.push`, binary parts
    for the request)."""
    described = {
        "values": push.values,
        "device": push.device,
        "dtype": push.dtype,
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
    names = ", ".join(f"`{name}`" for name in push.values)
    try:
        label = f"{names} to the server"
        with _progress.shown(output, label, size, connection.transfers) as progress:
            await connection.channel.upload(upload, pieces, size, progress.moved)
    except TransferError as error:
        raise TransferError(f"{names} ({human_size(size)}) can not be sent: {error}") from None
    described["tensors"] = {"upload": upload}
    return described, ()


async def peek(expression, notebook):
    """Return the value that an expression has in the session now, also while a cell runs there."""
    content = {"expression": expression, "eager": EAGER_BYTES, "limit": MAX_ARRAY_BYTES}
    reply = await notebook.connection.channel.request("peek_request", content)
    output = notebook.output()
    if reply.content["status"] == "ok":
        output.say(expression, reply.metadata["torch"]["value"])
    value, _ = await _value(reply, expression, notebook, None, output)
    return value


async def use(array, request, arguments, options, nbytes, notebook):
    """Return (value, what was said about it) of a use_request for a RemoteArray, or for those of the
    `handles` in the request; `nbytes` are expected to come, or more. Refused for arguments that can not go
    to the server, and an index that torch does not take."""
    source, handle = array.handle
    channel = notebook.connection.channel
    outgoing = _arrays.Outgoing()

    def leaf(value):
        is_remote = isinstance(value, RemoteArray)
        return value.tree_for(source, outgoing.leaf) if is_remote else outgoing.leaf(value)

    content = {**request, "handle": handle, "eager": EAGER_BYTES, "limit": MAX_ARRAY_BYTES}
    try:
        content["arguments"] = [_values.encode(value, leaf) for value in arguments]
        named = (options or {}).items()
        content["options"] = {key: _values.encode(value, leaf) for key, value in named}
    except _values.Untransferable as reason:
        raise Refused(
            f"`{array.name}` can not be asked for that on the server: {reason}."
        ) from None
    pieces, size = outgoing.file() if outgoing.arrays else ((), 0)
    if size > channel.limits["message_bytes"] - _REQUEST_BYTES:
        raise Refused(
            f"`{array.name}` can not be asked for that on the server: {human_size(size)} of index are "
            "more than it takes at once."
        )
    buffers = (b"".join(pieces),) if pieces else ()
    ahead = None
    if nbytes > EAGER_BYTES:
        content["ahead"] = secrets.token_urlsafe(18)
        headers = {**channel.session_headers, "Torch-Ahead": content["ahead"]}
        ahead = notebook.connection.transport.ask("tensors", headers)
    try:
        reply = await channel.request("use_request", content, buffers)
        return await _value(reply, array.name, notebook, source, notebook.output(), ahead)
    finally:
        if ahead:
            ahead.close()


async def _value(reply, name, notebook, source, output, ahead=None):
    if reply.content["status"] != "ok":
        raise TransferError(reply.content["evalue"].removesuffix(".") + ".")
    described = reply.metadata["torch"]
    if "refused" in described:
        raise Refused(described["refused"] + ".")
    tree = described.pop("value")
    values = Values({**described, "values": {name: tree}}, reply.buffers, source)
    try:
        await values.fetch(notebook, output, ahead)
    except Cancelled:
        raise TransferError(
            f"`{name}` was cancelled on its way. It is still on the server: read it again to have it."
        ) from None
    try:
        for error in values.failed.values():
            raise error
        value = values.decode(tree)
    except _tables.Unfit as error:
        raise TransferError(f"`{name}` can not be fetched: {error}.") from None
    return value, {**described, "checksums": values.checksums}


class Values:
    """What came back with a reply: `metadata.torch` of protocol.md, decoded by name. `namespace` has what
    is here already."""

    def __init__(self, described, buffers, source, namespace=_NOTHING):
        self.described = described
        self._namespace = namespace
        self._arrays = {}
        self._names = None
        self._trees = [*described["values"].values(), described.get("result")]
        self._kinds = _values.kinds(self._trees)
        #: Why a tensor could not be fetched, by its key.
        self.failed = {}
        #: Checksums of arrays that the server has summed up, by the array's id.
        self.checksums = {}
        #: The tensors that are to be fetched.
        tensors = described.get("tensors", ())
        self.large = [t for t in tensors if t["handle"]]
        small = []
        for tensor in tensors:
            key = tensor["key"]
            if tensor["held"]:
                self._arrays[key] = RemoteArray(source, tensor, self.name_of(key))
            elif "error" in tensor:
                self.failed[key] = TransferError(
                    f"`{self.name_of(key)}` ({human_size(tensor['nbytes'])}) is still on the server "
                    f"and can not be brought back: {tensor['error']}"
                )
            elif not tensor["handle"]:
                small.append(tensor)
        if small:
            view = memoryview(buffers[0])
            start = _safetensors.header_size(view[:8])
            self._take(small, _safetensors.parse(view[:start], len(view)), view[start:])

    def _take(self, tensors, entries, data):
        """Take tensors out of a file's data."""
        begin = min(entry.start for entry in entries.values())
        for tensor in tensors:
            entry = entries[tensor["key"]]
            incoming = _arrays.Incoming(self.name_of(entry.key), entry.code, entry.shape)
            incoming.take(data[entry.start - begin : entry.start - begin + entry.nbytes])
            self._arrays[entry.key] = incoming.array

    @property
    def lacks(self):
        """True if something is to be fetched or loaded before `decode`."""
        return bool(self.large or self._kinds & {"sparse", "arrow"})

    async def fetch(self, notebook, output, ahead=None):
        """Fetch what did not come with the reply, with a bar in `output`, and load what `decode`
        needs. `ahead`: the Ahead of a single file, or None."""
        if "sparse" in self._kinds and not await notebook.load_optional("scipy"):
            text = "scipy can not be loaded in this page: sparse tensors came dense.\n"
            output.write(text, "stderr")
        if "arrow" in self._kinds:
            await self._load_tables(notebook)
        connection = notebook.connection
        try:
            wanted = {each["handle"] for each in self.large if each["key"] not in self.failed}
            if tensors := [tensor for tensor in self.large if tensor["handle"] in wanted]:
                await self._fetch_large(tensors, connection, output, ahead)
        finally:
            if self.large:
                handles = dict.fromkeys(tensor["handle"] for tensor in self.large)
                connection.channel.release(handles)

    async def _load_tables(self, notebook):
        for library, kind, stream, *_ in _values.contents(self._trees, "arrow"):
            # In their order: of what is missing the rest is not loaded in vain.
            for package in _tables.NEEDS.get(library, ()):
                if not await notebook.load_optional(package):
                    break
            try:
                _tables.imported(library, kind, _tables.PAGE)
            except _tables.Unfit as reason:
                self.failed.update(dict.fromkeys(tensor_keys(stream), reason))

    async def _fetch_large(self, tensors, connection, output, ahead):
        transport, channel = connection.transport, connection.channel
        names = dict.fromkeys(self.name_of(tensor["key"]) for tensor in tensors)
        files = {}
        for tensor in tensors:
            files.setdefault(tensor["handle"], []).append(tensor)
        label = f"{', '.join(f'`{name}`' for name in names)} from the server"
        total = sum(tensor["nbytes"] for tensor in tensors)
        with _progress.shown(output, label, total, connection.transfers) as progress:
            for file in files.values():
                try:
                    first = ahead if len(files) == 1 else None
                    await self._fetch(file, transport, channel, progress.moved, first)
                except Exception as error:
                    for tensor in file:
                        self.failed[tensor["key"]] = self._named(tensor, error)

    def _named(self, tensor, error):
        """Return an error that says of which array it is."""
        name = f"`{self.name_of(tensor['key'])}`"
        if not isinstance(error, TransferError) or name in str(error):
            return error
        return TransferError(f"{name} ({human_size(tensor['nbytes'])}) did not arrive: {error}")

    async def _fetch(self, tensors, transport, channel, moved, ahead):
        """Fetch a file, which has one tensor, or several as so many bytes."""
        first, several = tensors[0], len(tensors) > 1
        name, entries = self.name_of(first["key"]), {}
        code, shape = _safetensors.CODES[first["dtype"]], first["shape"]
        if several:
            code, shape = "U8", (sum(tensor["nbytes"] for tensor in tensors),)
        incoming = _arrays.Incoming(name, code, shape)
        headers = {**channel.session_headers, "Torch-Handle": first["handle"]}

        def begin(header, file_size):
            entries.update(_safetensors.parse(header, file_size))
            for tensor in tensors:
                entry = entries[tensor["key"]]
                announced = _safetensors.CODES[tensor["dtype"]], list(tensor["shape"])
                if (entry.code, list(entry.shape)) != announced:
                    raise ValueError("the file is not what was announced")

        sink = Sink(name, incoming, begin, moved, _arrays.block_checksum)
        sums = await transport.download("tensors", headers, sink, ahead)
        array = incoming.array
        if several:
            self._take(tensors, entries, memoryview(array))
        else:
            self._arrays[first["key"]] = array
            self.checksums[id(array)] = _arrays.known_checksums(array, first["dtype"], sums)

    def name_of(self, key):
        """Return the name under which a tensor is known to the user."""
        if self._names is None:
            # The first of several that have it.
            trees = reversed(self.described["values"].items())
            self._names = {key: name for name, tree in trees for key in tensor_keys(tree)}
        return self._names.get(key, "the result")

    def decode(self, tree):
        """Return the value of a tree; KeyError with the key of a tensor that is not there, Unfit for
        a table that is none."""
        return _values.decode(tree, lambda kind, key: self._leaf(kind, key))

    def _leaf(self, kind, key):
        if kind in _values.COMPOSITE:
            return _arrays.compose(kind, key)
        if kind == "name":
            return self._namespace[key]
        if key in self.failed:
            raise KeyError(key)
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
