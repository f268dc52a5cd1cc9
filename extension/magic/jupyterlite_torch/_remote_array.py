"""An array that is on the server: what it is at once, its values when they are needed."""

import asyncio
import contextlib
import math
import types
import weakref

import numpy as np
from IPython.display import display
from numpy.lib.array_utils import normalize_axis_tuple

from . import _preview
from ._arrays import checksums
from ._errors import Refused, TorchError, TransferError
from ._kinds import TRAVELS
from ._size import human_size
from ._values import Untransferable

#: Every RemoteArray by its `id`; without any, no local cell need be looked at.
alive = weakref.WeakValueDictionary()
#: Methods of arrays that are computed on the server.
REDUCTIONS = tuple("mean sum prod min max any all argmin argmax std var".split())
#: What a RemoteArray computes on the server, which one has to wait for.
VALUES = frozenset({"T", "astype", *REDUCTIONS})
#: What it answers without its values being fetched.
LAZY = VALUES | frozenset("shape dtype torch_dtype device nbytes ndim size name fetch plot".split())
#: Of what has fewer bytes several are fetched at once, so many, and of so many bytes together: as much as
#: the kernel puts into one file (export.py).
_SMALL_BYTES, _TOGETHER, _TOGETHER_BYTES = 4 * 2**20, 4096, 32 * 2**20
#: Of so many bytes each up to 8 MiB come with the reply (export.py).
_WITH_REPLY_BYTES = 2**16
_CHANGED = "`{name}` was changed in place since its cell; this is what it is now."
#: So long a preview is waited for, in seconds: nobody has asked for one.
PREVIEW_TIMEOUT_S = 10


class Source:
    """Where RemoteArrays of one kernel come from. `use(array, request, arguments, options, nbytes)` asks the
    server and returns (value, what was said about it), `nbytes` being what is expected to come or less;
    `wait_for` runs a coroutine from synchronous code."""

    def __init__(self, use, wait_for, say):
        self.use, self.wait_for, self.say = use, wait_for, say
        # Handles that nobody here has any more.
        self.dropped = []

    def take_dropped(self):
        """Return the handles that the server can let go of, once."""
        dropped, self.dropped[:] = list(self.dropped), []
        return dropped


def _reduction(name):
    def reduce(self, axis=None, *others, keepdims=False, **options):
        return self._reduce(name, axis, keepdims, others, options)

    return _named(reduce, name)


def _named(method, name):
    method.__name__, method.__qualname__ = name, f"RemoteArray.{name}"
    method.__doc__ = f"As `ndarray.{name}`, computed on the server."
    return method


def _as_ndarrays(name):
    def convert(self, *arguments):
        return getattr(self._now(), name)(*arguments)

    return convert


class RemoteArray(np.lib.mixins.NDArrayOperatorsMixin):
    """A tensor of the server that has not been fetched.

    shape: tuple of int. dtype: the NumPy dtype that its values will have here. nbytes: bytes there.
    device, torch_dtype: str. `await w` or `np.asarray(w)` gives the ndarray, `w[...]` a part of it.
    A local cell that reads it as a whole has it fetched before it runs.
    """

    def __init__(self, source, described, name):
        self._source = source
        self._handle = described["held"]
        self._torch_dtype = described["dtype"]
        self.shape = tuple(described["shape"])
        self.dtype = np.dtype(TRAVELS[described["dtype"]].here)
        self.device = described["device"]
        self.nbytes = described["nbytes"]
        self.name = name
        self._fetching = self._array = None
        # The HTML of what was asked for before the cell that runs, by "preview" and "plot".
        self._shown = {}
        #: Checksums of the ndarray as it was fetched.
        self.checksums = None
        alive[id(self)] = self
        weakref.finalize(self, source.dropped.append, self._handle).atexit = False

    @property
    def fetched(self):
        """The ndarray if it has been fetched, else None."""
        return self._array

    @property
    def handle(self):
        """The Source and the ID of the handle there."""
        return self._source, self._handle

    def tree(self, leaf):
        """Return its tree: the array's if it has been fetched, else the handle's."""
        return {"held": self._handle} if self._array is None else leaf(self._array)

    def tree_for(self, source, leaf):
        """Return its tree for the kernel of a Source; Untransferable when only one that is gone had
        it."""
        if self._array is None and self._source is not source:
            raise Untransferable(
                "it was in a kernel of the server that is gone, and had not been fetched"
            )
        return self.tree(leaf)

    @property
    def torch_dtype(self):
        """The dtype there, as `torch.bfloat16`."""
        return f"torch.{self._torch_dtype}"

    @property
    def ndim(self):
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __bool__(self):
        if self.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous.")
        return bool(self._now())

    def __repr__(self):
        if self._array is not None:
            return repr(self._array)
        return (
            f"<RemoteArray {self.name}: {self._torch_dtype} {self.shape}, "
            f"{human_size(self.nbytes)} on {self.device}>"
        )

    def __format__(self, how):
        return format(self._now(), how) if how else str(self)

    # --- How it looks ----------------------------------------------------------------------------

    async def show(self, what):
        """Have the server make the "preview" or "plot" that is displayed next."""
        options = _preview.PREVIEW if what == "preview" else _preview.PLOT
        asking = self._ask({"operation": "preview"}, (), options)
        try:
            looks = await asyncio.wait_for(asking, PREVIEW_TIMEOUT_S)
            self._shown[what] = getattr(_preview, what)(self, looks)
        except TimeoutError:
            reason = f"The server did not say within {PREVIEW_TIMEOUT_S} s how it looks."
            self._shown[what] = _preview.apology(self, reason)
        except TorchError as error:
            self._shown[what] = _preview.apology(self, str(error))

    def forget_shown(self):
        """Ask the server anew when it is displayed: it may look different by now."""
        self._shown.clear()

    def _html(self, what):
        if what not in self._shown:
            try:
                self._source.wait_for(self.show(what))
            except TorchError:
                reason = (
                    "This browser can not ask the server in the middle of a cell (it lacks JSPI): "
                    "write the name alone in the last line of one."
                )
                return _preview.apology(self, reason)
        return self._shown[what]

    def _repr_html_(self):
        # Fetched it shows as NumPy's does.
        return None if self._array is not None else self._html("preview")

    def plot(self):
        """Display a figure that the server makes: the curve of a vector, the picture of a matrix or
        image, else a histogram."""
        display({"text/plain": repr(self), "text/html": self._html("plot")}, raw=True)

    # --- Its values ------------------------------------------------------------------------------

    def __await__(self):
        return self.fetch().__await__()

    async def fetch(self):
        """Return it as an ndarray. TransferError when that can not be."""
        # Again, if it was asked for with others and was gone: alone it says why.
        while self._array is None:
            if self._fetching is None:
                self._fetching = asyncio.ensure_future(self._fetch())
            try:
                await asyncio.shield(self._fetching)
            except BaseException:
                # The next one tries again.
                self._fetching = None
                raise
        return self._array

    async def _fetch(self):
        value, described = await self._source.use(self, {"operation": "get"}, nbytes=self.nbytes)
        self._arrived(value, described["checksums"])
        if described["changed"]:
            self._source.say(_CHANGED.format(name=self.name))

    def _arrived(self, value, sums):
        if self._array is not None:
            # By a fetch that nobody waited for any more.
            return
        self.checksums = sums.get(id(value))
        if self.checksums is None and isinstance(value, np.ndarray):
            self.checksums = checksums(value)
        # Not a task's own result: see `_stop.unless`.
        self._array = value

    def _now(self):
        if self._array is None:
            self._wait(self.fetch(), f"await {self.name}")
        return self._array

    def _wait(self, coroutine, instead):
        try:
            return self._source.wait_for(coroutine)
        except TorchError as error:
            if isinstance(error, TransferError):
                raise
            raise TransferError(
                f"`{self.name}` is on the server, and this browser can not wait for it here (it lacks "
                f"JSPI). Write `{instead}` in the cell."
            ) from None

    def __array__(self, dtype=None, copy=None):
        array = self._now()
        wanted = array if dtype is None else array.astype(dtype, copy=False)
        return wanted.copy() if copy and wanted is array else wanted

    def __reduce_ex__(self, protocol):
        # Copied or pickled, it is the array.
        return self._now().__reduce_ex__(protocol)

    def __array_ufunc__(self, function, method, *inputs, **options):
        given = [each._now() if isinstance(each, RemoteArray) else each for each in inputs]
        return getattr(function, method)(*given, **options)

    def __eq__(self, other):
        return False if other is None else self._now() == other

    def __ne__(self, other):
        return True if other is None else self._now() != other

    __hash__ = object.__hash__
    __contains__, __setitem__ = map(_as_ndarrays, ("__contains__", "__setitem__"))
    __int__, __float__ = map(_as_ndarrays, ("__int__", "__float__"))
    __index__, __complex__ = map(_as_ndarrays, ("__index__", "__complex__"))

    def __getattr__(self, name):
        # What is not asked of the server is asked of the array.
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"an array has no attribute {name!r}")
        return getattr(self._now(), name)

    # --- Parts and sums, on the server -----------------------------------------------------------

    def __getitem__(self, index):
        if self._array is not None:
            return self._array[index]
        return self._wait(self._part(index), f"(await {self.name})[...]")

    async def _part(self, index):
        index = tuple(map(_as_array, index)) if isinstance(index, tuple) else _as_array(index)
        parts = index if isinstance(index, tuple) else (index,)
        if all(not isinstance(each, np.ndarray) or each.dtype.kind in "biu" for each in parts):
            with contextlib.suppress(Refused):
                part = await self._ask(
                    {"operation": "index"}, [index], nbytes=self._bytes_of(index)
                )
                return part if any(each is ... for each in parts) else _scalar(part)
        for each in parts:
            if isinstance(each, RemoteArray):
                # NumPy could not wait for it in here.
                await each
        # torch knows less of indices than NumPy: no negative steps, for one (2.13). What NumPy
        # refuses, too, needs no values.
        with contextlib.suppress(ValueError, MemoryError):
            np.broadcast_to(np.empty((), self.dtype), self.shape)[index]
        return (await self.fetch())[index]

    def __iter__(self):
        rows = max(1, _CHUNK_BYTES // max(1, self.nbytes // max(1, len(self))))
        for start in range(0, len(self), rows):
            yield from self[start : start + rows]

    def _bytes_of(self, index):
        """Return how many bytes a part has there; 0 where that is not known without making it."""
        parts = index if isinstance(index, tuple) else (index,)
        given = [each for part in parts for each in _bounds(part)]
        if not all(isinstance(each, _BASIC) for each in given):
            return 0
        try:
            size = np.broadcast_to(np.empty((), self.dtype), self.shape)[index].size
        except (IndexError, ValueError, MemoryError):
            return 0
        return size * self.nbytes // max(1, self.size)

    async def _ask(self, request, arguments=(), options=None, nbytes=0):
        value, _ = await self._source.use(self, request, arguments, options, nbytes)
        return value

    def _call(self, name, *arguments, **options):
        if self._array is not None and hasattr(self._array, name):
            return getattr(self._array, name)(*arguments, **options)
        options = {key: value for key, value in options.items() if value is not None}
        request = {"operation": "call", "name": name}
        return self._wait(self._ask(request, arguments, options), f"(await {self.name}).{name}()")

    def astype(self, dtype, **options):
        """As `ndarray.astype`; converted on the server where torch has the dtype."""
        dtype = np.dtype(dtype)
        known = dtype.name in TRAVELS and TRAVELS[dtype.name].here == dtype.name
        if self._array is None and known and dtype.isnative and options.keys() <= {"copy"}:
            return self._call("to", dtype.name)
        return self._now().astype(dtype, **options)

    @property
    def T(self):
        """Transposed, on the server."""
        return self._call("transpose", 0, 1) if self.ndim == 2 else self._now().T

    mean, sum, prod, min, max, any, all, argmin, argmax, std, var = map(_reduction, REDUCTIONS)

    def _reduce(self, name, axis, keepdims, others, options):
        options = {key: value for key, value in options.items() if value is not None}
        deviates = name in ("std", "var")
        known = options.keys() <= ({"ddof"} if deviates else set())
        if self._array is None and known and all(each is None for each in others):
            if axis is not None:
                normalize_axis_tuple(axis, self.ndim, "axis")
            # Without a dimension torch knows no `keepdim`.
            keepdim = bool(keepdims) if axis is not None else None
            correction = options.get("ddof", 0) if deviates else None
            with contextlib.suppress(Refused):
                value = self._call(name, dim=axis, keepdim=keepdim, correction=correction)
                value = self._as_numpys(name, value)
                return value.reshape((1,) * self.ndim) if keepdims and axis is None else value
        return getattr(self._now(), name)(axis, *others, keepdims=keepdims, **options)

    def _as_numpys(self, name, value):
        """Return what torch has computed in the dtype that NumPy gives it."""
        if name in ("any", "all"):
            value = np.asarray(value, bool)
        elif name in ("sum", "prod") and self.dtype.kind == "u":
            value = np.asarray(value, np.uint64)
        return _scalar(value)


#: Bytes of a chunk in an iteration.
_CHUNK_BYTES = 2**20


#: What selects a part without a choice of elements, besides slices.
_BASIC = int | types.EllipsisType | types.NoneType | np.integer


def _bounds(part):
    return (part.start, part.stop, part.step) if isinstance(part, slice) else (part,)


def _scalar(value):
    return value[()] if isinstance(value, np.ndarray) and not value.ndim else value


def _as_array(part):
    """Return a part of an index as the array that NumPy takes it for, if it does."""
    if isinstance(part, _BASIC | slice | np.bool_ | RemoteArray):
        return part
    array = np.asarray(part)
    # Without elements it has the dtype of floats.
    return array.astype(np.intp) if isinstance(part, list | tuple) and not array.size else array


async def fetch_all(arrays):
    """Fetch arrays; small ones together, since each alone would be a way to the server and back.
    TransferError when one can not be had."""
    for group in _groups(arrays):
        task = asyncio.ensure_future(_fetch_together(group))
        for array in group:
            array._fetching = task
        try:
            await asyncio.shield(task)
        except BaseException:
            for array in group:
                array._fetching = None
            raise
    for array in arrays:
        await array


def _groups(arrays):
    """Yield those of which several can be fetched at once, so many at a time."""
    group, nbytes = [], 0
    for array in arrays:
        is_there = array._array is not None or array._fetching is not None
        if is_there or array.nbytes >= _SMALL_BYTES:
            continue
        nbytes += array.nbytes
        of_another = group and group[0]._source is not array._source
        if of_another or len(group) == _TOGETHER or nbytes > _TOGETHER_BYTES:
            yield group
            group, nbytes = [], array.nbytes
        group.append(array)
    if len(group) > 1:
        yield group


async def _fetch_together(group):
    source = group[0]._source
    request = {"operation": "get", "handles": [array._handle for array in group]}
    # The others come with the reply, as many of them as there may be.
    nbytes = sum(array.nbytes for array in group if array.nbytes > _WITH_REPLY_BYTES)
    values, described = await source.use(group[0], request, nbytes=nbytes)
    changed = {}
    for array, value, was_changed in zip(group, values, described["changed"], strict=True):
        if value is None:
            array._fetching = None
            continue
        array._arrived(value, described["checksums"])
        if was_changed:
            changed[array.name] = None
    for name in changed:
        source.say(_CHANGED.format(name=name))
