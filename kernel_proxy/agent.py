"""The agent: exports and imports tensors inside the remote kernel.

Injected as source (see injection.py), so it imports only torch, the standard library and the
modules that are injected with it. It never runs in the proxy. Its one entry is `call`.
"""

import importlib
import json
import math
import os
import sys
import time
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor

import _jupyterlite_torch_safetensors as safetensors
import _jupyterlite_torch_segment as segment
import _jupyterlite_torch_values as values
import torch
from IPython import get_ipython

MIME_TYPE = "application/vnd.jupyterlite-torch+json"
#: CPU tensors up to this size are checked for changes by their bytes, all others by torch's version
#: counter, which sees every in-place operation but not what goes through `.data` or NumPy.
CHECKSUM_BYTES = 16 * 2**20
#: Checksums are of blocks of this size, as the page's are.
BLOCK_BYTES = 2**20
#: A tensor smaller than this is copied out of what was sent, so that it does not keep a large
#: neighbour's memory alive.
OWN_MEMORY_BYTES = 2**20

TORCH_TYPES = {name: getattr(torch, name) for name in safetensors.CODES if hasattr(torch, name)}
TORCH_CODES = {dtype: safetensors.CODES[name] for name, dtype in TORCH_TYPES.items()}


class Failure(Exception):
    """A request of the page that can not be met; its text goes to the user."""


class TooLarge(Failure):
    """The page has no room for an array."""


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
        value = values.decode(tree, lambda kind, key: _from_wire(kind, tensors[key]))
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
    dtype = TORCH_TYPES.get(safetensors.NAMES[entry.code])
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


def _from_wire(kind, tensor):
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
        return type(value)(_to(item, device, name) for item in value)
    if isinstance(value, dict):
        return {key: _to(item, device, name) for key, item in value.items()}
    return value


# --- What both sides have ------------------------------------------------------------------------


class Known:
    """What a name was when both sides last agreed on it, cheap enough to compare after a cell."""

    def __init__(self, value):
        self.identity = id(value)
        try:
            self.alive = weakref.ref(value)
        except TypeError:
            self.alive = None
        self.fingerprint = fingerprint(value)
        self.version = _version(value)

    def is_same_object(self, value):
        """True if `value` is the object that was exchanged, changed in place or not."""
        if self.alive is not None:
            return self.alive() is value
        return self.identity == id(value)


#: The names that both sides have, or that the page has seen stay here (fingerprint None).
exchanged = {}


def fingerprint(value):
    """Return something that differs when the value does; None for what can not travel."""
    try:
        tree = values.encode(value, _fingerprint_leaf)
    except values.Untransferable:
        return None
    return zlib.crc32(repr(tree).encode()) if isinstance(tree, list | dict) else repr(tree)


def _fingerprint_leaf(value):
    if isinstance(value, torch.Size):
        return {"tuple": list(value)}
    if isinstance(value, torch.Tensor):
        if _obstacle(value):
            return {"tensor": id(value)}
        facts = [str(value.dtype), list(value.shape), str(value.device)]
        return {"tensor": [*facts, _version(value), _tensor_checksum(value)]}
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.ndarray | numpy.generic):
        array = numpy.ascontiguousarray(value)
        if array.dtype.hasobject:
            return None
        return {
            "array": [array.dtype.str, list(value.shape), zlib.crc32(array.reshape(-1).view("u1"))]
        }
    return None


def _tensor_checksum(tensor):
    """Checksum the bytes where that is cheap, else name the memory."""
    if tensor.nbytes > CHECKSUM_BYTES or tensor.device.type != "cpu" or tensor.nbytes == 0:
        return [tensor.data_ptr(), id(tensor)]
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().view(-1)
    return zlib.crc32(_bytes_of(plain))


def _bytes_of(flat):
    """View the memory of a contiguous CPU tensor of one dimension, without NumPy."""
    import ctypes

    return memoryview((ctypes.c_char * flat.nbytes).from_address(flat.data_ptr())).cast("B")


def _version(value):
    """Return what every in-place operation changes; None where torch does not count them."""
    if not isinstance(value, torch.Tensor) or _obstacle(value) or value.is_inference():
        return None
    return value._version, value.data_ptr()


def _obstacle(tensor):
    """Say why a tensor has no plain array of its values; None for one that has."""
    if tensor.is_nested or tensor.layout is not torch.strided:
        return "it is sparse or nested: bring back `.to_dense()` or a part of it"
    if tensor.is_quantized:
        return "it is quantized: bring back `.dequantize()` of it"
    if tensor.device.type == "meta":
        return "it is on the meta device and has no values"
    if tensor.dtype not in TORCH_CODES:
        return f"it is of {tensor.dtype}: bring back `.float()` of it"
    return None


def _touched(name):
    """True if an exchanged tensor was changed in place, as far as that costs nothing to see; a cell
    can do so without mentioning its name, as an optimizer's step does."""
    value, known = get_ipython().user_ns.get(name), exchanged[name]
    return known.version is not None and (
        not known.is_same_object(value) or known.version != _version(value)
    )


def _changed(name, value):
    known = exchanged[name]
    return not known.is_same_object(value) or known.fingerprint != fingerprint(value)


# --- From the kernel to the page -----------------------------------------------------------------

#: Segments that the proxy has not opened yet, by id.
outgoing = {}
_last_result = None


def _remember_result(result):
    global _last_result
    _last_result = result.result


def export(assigned=(), stale=(), mentioned=None, expressions=(), eager=0, limit=0, release=()):
    """Encode what a cell assigned or changed; see `metadata.torch` in docs/protocol.md.

    Names of `stale` come back even unchanged: the page has lost or replaced its own value.
    `mentioned` None: nothing comes back by itself.
    `tensors` of the result says, for each, the segment and key under which the proxy finds it.
    """
    global _last_result
    for identifier in release:
        outgoing.pop(identifier).close()
    namespace = get_ipython().user_ns
    batch = Batch(limit)
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
    reply["tensors"], reply["segments"] = batch.write(eager)
    return reply


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


class Batch:
    """The tensors of one export, each once however often it occurs."""

    def __init__(self, limit):
        self.limit = limit
        self.tensors = []
        self._keys = {}
        # By key, for tensors that travel by themselves: the CRC-32 of each MiB, which the page would
        # else have to find out.
        self._checksums = {}

    def encode(self, value):
        """Return the tree of `value`, its tensors added to the batch; all of them or, when one
        fails, none."""
        before, keys = len(self.tensors), dict(self._keys)
        try:
            return values.encode(value, self._leaf)
        except BaseException:
            del self.tensors[before:]
            self._keys = keys
            raise

    def _leaf(self, value):
        if isinstance(value, torch.Size):
            return {"tuple": list(value)}
        if isinstance(value, torch.Tensor):
            return {"tensor": self._add(value, value)}
        numpy = sys.modules.get("numpy")
        if numpy and isinstance(value, numpy.ndarray | numpy.generic):
            name = value.dtype.newbyteorder("=").name
            if name not in TORCH_TYPES:
                return None
            native = numpy.array(value, dtype=name, order="C", copy=None)
            kind = "array" if isinstance(value, numpy.ndarray) else "scalar"
            if isinstance(value, numpy.ndarray) and not native.flags.writeable:
                native = native.copy()
            return {kind: self._add(value, torch.from_numpy(native.reshape(value.shape)))}
        return None

    def _add(self, original, tensor):
        key = self._keys.get(id(original))
        if key is None:
            if obstacle := _obstacle(tensor):
                raise Failure(obstacle)
            nbytes = tensor.numel() * (4 if tensor.dtype is torch.bfloat16 else tensor.itemsize)
            if self.limit and nbytes > self.limit:
                raise TooLarge(
                    f"its {_size(nbytes)} are more than the browser can hold in one array. It stays "
                    "on the server: bring back a part of it, as with `%%torch -o part=NAME[:1000]`, "
                    "or give it a name that starts with `_`, which always stays"
                )
            key = self._keys[id(original)] = str(len(self.tensors))
            self.tensors.append(tensor)
        return key

    def write(self, eager):
        """Copy the tensors into segments: the small ones, `eager` bytes together, into one."""
        entries = [
            safetensors.Entry(str(number), TORCH_CODES[tensor.dtype], tensor.shape)
            for number, tensor in enumerate(self.tensors)
        ]
        small, left = [], eager
        for entry in sorted(entries, key=lambda entry: entry.nbytes):
            left -= entry.nbytes
            if left < 0:
                break
            small.append(entry)
        large = [[entry] for entry in entries if entry not in small]
        segments = [self._write_file(small, eager=True)] if small else []
        segments += [self._write_file(group, eager=False) for group in large]
        described = [
            {
                "key": entry.key,
                "dtype": safetensors.NAMES[entry.code],
                "shape": list(entry.shape),
                "device": str(tensor.device),
                "nbytes": entry.nbytes,
                "requires_grad": tensor.requires_grad,
                "crc32": self._checksums.get(entry.key),
            }
            for entry, tensor in zip(entries, self.tensors, strict=True)
        ]
        return described, segments

    def _write_file(self, entries, eager):
        header, size = safetensors.layout(entries)
        try:
            target = segment.Segment.create(size)
        except OSError as error:
            raise Failure(f"no shared memory for {_size(size)}: {error}") from None
        view = target.view
        view[: len(header)] = header
        for entry in entries:
            tensor = self.tensors[int(entry.key)].detach().resolve_conj().resolve_neg()
            if entry.nbytes and eager:
                _copy(tensor, view, entry)
            elif entry.nbytes:
                self._checksums[entry.key] = _copy_large(tensor, target, entry)
        identifier = f"{time.monotonic_ns():x}-{entries[0].key}"
        outgoing[identifier] = target
        keys = [entry.key for entry in entries]
        return {"id": identifier, "path": target.path, "keys": keys, "eager": eager}


def _copy(tensor, view, entry):
    target = torch.frombuffer(view, dtype=tensor.dtype, count=tensor.numel(), offset=entry.start)
    target.view(tensor.shape).copy_(tensor)


def _copy_large(tensor, target, entry):
    """Copy a tensor into a segment and return the CRC-32 of each MiB, on several processors."""
    source = None
    if tensor.device.type == "cpu" and tensor.is_contiguous():
        source = _bytes_of(tensor.view(-1))
    else:
        _copy(tensor, target.view, entry)

    def block(offset):
        place = entry.start + offset
        if source is None:
            return zlib.crc32(
                target.view[place : min(place + BLOCK_BYTES, entry.start + entry.nbytes)]
            )
        data = source[offset : offset + BLOCK_BYTES]
        # Cheaper than a mapping where the pages are fresh, and other threads run meanwhile.
        os.pwrite(target.fd, data, place)
        return zlib.crc32(data)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return list(pool.map(block, range(0, entry.nbytes, BLOCK_BYTES)))


def _size(nbytes):
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} GiB"


METHODS = {"describe": describe, "import": import_, "export": export}


def start():
    """Begin to follow the cells of this kernel."""
    get_ipython().events.register("post_run_cell", _remember_result)
