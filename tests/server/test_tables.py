"""Tables of pandas, polars and pyarrow in both directions, against a real kernel."""

import datetime
import sys
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from jupyterlite_torch import _tables
from jupyterlite_torch._errors import TransferError

#: Tables that are the same afterwards, as code that makes them on either side.
PANDAS = {
    "types": "pd.DataFrame({'i': [1, 2], 'f': [0.5, np.nan], 'h': np.array([1, 2], 'f2'), 's': ['a', None],"
    " 'b': [True, False], 'u': np.array([1, 2], 'u8'), 'c': pd.Categorical(['x', None], ['y', 'x'], True)})",
    "times": "pd.DataFrame({'t': pd.to_datetime(['2026-01-01', None]), 'd': pd.to_timedelta([1, 2], 'h'),"
    " 'z': pd.to_datetime(['2026-03-29 01:59', None]).tz_localize('Europe/Berlin'),"
    " 'p': pd.period_range('2020', periods=2, freq='M'), 'i': pd.interval_range(0, 2)})",
    "one time": "pd.DataFrame({'t': pd.to_datetime(['2026-01-01', None]).as_unit('s')})",
    "nullable": "pd.DataFrame({'i': pd.array([1, None], 'Int8'), 'b': pd.array([True, None], 'boolean'),"
    " 's': pd.array(['a', None], 'string'), 'a': pd.array([1, None], 'int64[pyarrow]')})",
    "objects": "pd.DataFrame({'b': [b'x', None], 'd': [datetime.date(2026, 1, 1), None]})",
    "columns": "pd.DataFrame([[1, 2.5], [3, 4.5]], columns=[7, 3])",
    "several levels": "pd.DataFrame([[1, 2]], pd.MultiIndex.from_tuples([('a', 1)], names=['x', None]),"
    " pd.MultiIndex.from_tuples([('b', 1), ('c', 2)]))",
    "index": "pd.DataFrame({'a': [1, 2]}, index=pd.Index(['x', 'y'], name='key'))",
    "range": "pd.DataFrame({'a': [1, 2]}, index=pd.RangeIndex(4, 8, 2))",
    "nothing": "pd.DataFrame()",
    "no columns": "pd.DataFrame(index=range(3))",
    "no rows": "pd.DataFrame({'a': pd.array([], 'Int64'), 'c': pd.Categorical([], ['x'])})",
    "attributes": "pd.DataFrame({'a': [1]}).assign(b=2)",
}
SERIES = {
    "named": "pd.Series([1, 2], [5, 7], name='x')",
    "nameless": "pd.Series(pd.Categorical(['a', 'b']))",
    "number": "pd.Series([0.5, None], name=0)",
    "tuple": "pd.Series([True], name=('a', 1))",
    "no rows": "pd.Series([], dtype='Int8')",
}
POLARS = {
    "types": "pl.DataFrame({'i': [1, None], 'f': [0.5, float('nan')], 's': ['a', None], 'b': [b'x', b''],"
    " 'l': [[1], []], 'd': [{'x': 1}, {'x': None}], 'n': [None, None]})",
    "categories": "pl.DataFrame({'c': pl.Series(['a', 'b'], dtype=pl.Categorical),"
    " 'e': pl.Series(['a', None], dtype=pl.Enum(['b', 'a']))})",
    "times": "pl.DataFrame({'d': [datetime.date(2026, 1, 1)], 't': [datetime.time(1)], 'u': [datetime.timedelta(1)],"
    " 'z': pl.Series([datetime.datetime(2026, 1, 1)]).dt.replace_time_zone('Europe/Berlin')})",
    "numbers": "pl.DataFrame({'d': pl.Series(['1.10']).cast(pl.Decimal(10, 2)), 'i': pl.Series([2], dtype=pl.Int128),"
    " 'a': pl.Series([[1, 2]], dtype=pl.Array(pl.Int8, 2))})",
    "nothing": "pl.DataFrame()",
    "no rows": "pl.DataFrame(schema={'a': pl.Int8, 'b': pl.String})",
    "series": "pl.Series('x', [1, None, 3], dtype=pl.UInt16)",
    "nameless": "pl.Series([[1.5], []])",
}
PYARROW = {
    "table": "pa.table({'a': [1, None], 'b': ['x', 'y']}).replace_schema_metadata({'k': 'v'})",
    "dictionaries": "pa.table({'a': pa.chunked_array([pa.array(['x']).dictionary_encode(),"
    " pa.array(['y']).dictionary_encode()])})",
    "same names": "pa.Table.from_arrays([pa.array([1]), pa.array([{'x': [2]}])], ['a', 'a'])",
    "nothing": "pa.table({})",
    "no rows": "pa.table({'a': pa.array([], pa.decimal128(5, 2))})",
    "batch": "pa.record_batch({'a': [1, 2]}, metadata={'k': 'v'})",
    "empty batch": "pa.record_batch({'a': pa.array([], 'int8')})",
    "array": "pa.array([[1], None])",
    "empty array": "pa.array([], pa.timestamp('ms', 'UTC'))",
    "chunks": "pa.chunked_array([['a'], [None]])",
}
IMPORTS = (
    "import datetime, numpy as np, pandas as pd, polars as pl, pyarrow as pa\n"
    "import pandas.testing, zoneinfo"
)


def assert_same(got, expected):
    assert type(got) is type(expected)
    if isinstance(expected, pd.DataFrame):
        pd.testing.assert_frame_equal(got, expected)
        assert got.attrs == expected.attrs
    elif isinstance(expected, pd.Series):
        pd.testing.assert_series_equal(got, expected)
        assert got.name == expected.name and type(got.name) is type(expected.name)
    elif isinstance(expected, pl.DataFrame):
        assert got.equals(expected) and got.schema == expected.schema
        assert got.shape == expected.shape
    elif isinstance(expected, pl.Series):
        assert got.equals(expected, check_dtypes=True, check_names=True)
    elif isinstance(expected, pa.Table | pa.RecordBatch):
        assert got.equals(expected, check_metadata=True) and got.shape == expected.shape
    else:
        assert got.equals(expected) and got.type == expected.type


@pytest.fixture
def tables(notebook):
    """A notebook that has the libraries on both sides."""
    notebook.local(IMPORTS)
    notebook.torch(IMPORTS)
    return notebook


@pytest.mark.one_kernel
@pytest.mark.parametrize(
    "made", [PANDAS, SERIES, POLARS, PYARROW], ids="pandas series polars pa".split()
)
def test_both_ways(tables, capsys, made):
    libraries = dict(datetime=datetime, np=np, pd=pd, pl=pl, pa=pa)
    expected = {name: eval(code, libraries) for name, code in made.items()}
    code = "\n".join(f"there[{name!r}] = {made[name]}" for name in made)
    tables.torch(f"there = {{}}\n{code}")
    for name in made:
        assert_same(tables.names["there"][name], expected[name])
    tables.names["here"] = expected
    tables.torch(
        "sent = {name: type(value).__name__ for name, value in here.items()}\nback = dict(here)"
    )
    assert tables.names["sent"] == {name: type(each).__name__ for name, each in expected.items()}
    for name in made:
        assert_same(tables.names["back"][name], expected[name])
    assert capsys.readouterr().err == ""
    # Both sides have them now: nothing is sent in either direction.
    held = tables.names["there"]
    tables.torch("same = id(here)")
    first = tables.names["same"]
    tables.torch("there; same = id(here)")
    assert tables.names["same"] == first and tables.names["there"] is held


def test_lazy_frames_stay(tables):
    tables.torch("there = pl.Series('x', [1]).to_frame().lazy()")
    assert "there" not in tables.names


# --- Changes -------------------------------------------------------------------------------------


def test_changes_here_in_place_are_sent(tables):
    names = tables.names
    names["df"] = pd.DataFrame({"a": [1, 2], "c": pd.Categorical(["x", "y"])})
    tables.torch("total = int(df['a'].sum()); df = df")
    for change in (
        "df['a'] += 1",
        "df.loc[0, 'a'] = 7",
        "df.columns = ['b', 'c']",
        "df.index.name = 'key'",
        "df.attrs['k'] = 1",
        "df['c'] = df['c'].astype(str)",
    ):
        tables.local(change)
        tables.torch("back = df.copy(); held = id(df)")
        assert_same(names["back"], names["df"])
        held = names["held"]
        tables.torch("len(df); held = id(df)")
        assert names["held"] == held, change


def test_changes_of_a_series_are_sent(tables):
    tables.local("s = pd.Series([1, 2])")
    tables.torch("s")
    for change in ("s.name = 0", "s.name = None", "s.attrs['k'] = 1", "s[0] = 3"):
        tables.local(change)
        tables.torch("back = s.copy()")
        assert_same(tables.names["back"], tables.names["s"])
        assert tables.names["back"].attrs == tables.names["s"].attrs


def test_changes_there_in_place_come_back(tables):
    tables.torch(
        "df = pd.DataFrame({'a': [1, 2], 't': pd.to_datetime(['2026', '2027'])})\np = pl.DataFrame({'a': [1]})"
    )
    names = tables.names
    # What arrived can be changed, too.
    tables.local("df.loc[0, 't'] = df.loc[1, 't']; df.loc[0, 'a'] = 5")
    assert df_values(names["df"]) == [5, 2]
    tables.torch("df['a'] += 1\np[0, 'a'] = 3")
    assert df_values(names["df"]) == [6, 3] and names["p"]["a"].to_list() == [3]
    held = names["df"]
    tables.torch("df['a'].sum(), p")
    assert names["df"] is held


def df_values(frame):
    return frame["a"].tolist()


# --- Size ----------------------------------------------------------------------------------------


def test_large_tables(tables, capsys):
    """Above a MiB a stream is uploaded, or fetched under a handle."""
    rng = np.random.default_rng(0)
    numbers = {"a": rng.standard_normal(2**20), "s": np.arange(2**20).astype(str)}
    for value in (pd.DataFrame(numbers), pl.DataFrame(numbers), pa.table(numbers)):
        tables.names.update(df=value, mark=np.ones(3, "u1"))
        tables.torch("back = df[:]\nrows = df.shape[0] + int(mark.sum())")
        assert_same(tables.names["back"], value)
        assert tables.names["rows"] == 2**20 + 3
    assert capsys.readouterr().err == ""


def test_tables_above_the_bound_come_when_they_are_asked_for(tables, capsys):
    tables.torch(
        "import sys\n_tables = sys.modules['_jupyterlite_torch_tables']\n_tables.AUTO_BYTES = 2**16"
    )
    tables.torch("df = pd.DataFrame({'a': range(2**14)})\ndf")
    assert "df" not in tables.names
    said = capsys.readouterr().err
    assert "`df` stays on the server: its 128" in said and "`%%torch -o df` brings it." in said
    tables.torch("df['a'] += 1", "-o df")
    assert tables.names["df"]["a"].iloc[0] == 1 and capsys.readouterr().err == ""


# --- What is lost, and what is refused -----------------------------------------------------------


@pytest.mark.one_kernel
@pytest.mark.parametrize(
    "code, said",
    [
        ("pd.DataFrame({'a': np.array([1, None], object)})", "column 'a' arrives as int64"),
        ("pd.DataFrame([[1, 2]], columns=['a', 1])", "the names of its columns arrive as text"),
        ("pd.DataFrame({'a': [[1], [2, 3]]})", "in column 'a' lists arrive as arrays"),
        ("pd.Series([1, 2], pd.date_range('2026', periods=2))", "its index without `freq`"),
        ("pd.DataFrame({'a': [1]}).pipe(with_attrs, object())", "its `attrs`"),
        ("type('Mine', (pd.DataFrame,), {})({'a': [1]})", "its class Mine"),
        (
            "pd.DataFrame({n: np.array([n], object) for n in 'abcde'}, index=np.array([1], object))",
            None,
        ),
        ("pd.DataFrame({n: np.array([n], object) for n in range(5)})", "; 2 more"),
    ],
)
def test_what_arrow_does_not_keep_is_said(tables, capsys, code, said):
    note = "is a table of which Arrow keeps not all: "
    for cell in (tables.local, tables.torch):
        cell("def with_attrs(df, x):\n    df.attrs['k'] = x\n    return df")
    tables.local(f"here = {code}")
    tables.torch(f"there = {code}\nrows = len(here)")
    text = capsys.readouterr().err
    if said is None:
        assert text.count("its index arrives as int64") == 2
    else:
        assert text.count(note) == 2 and text.count(said) == 2
    assert f"`here` {note}" in text and f"`there` {note}" in text
    assert tables.names["rows"] == len(tables.names["there"])


@pytest.mark.one_kernel
@pytest.mark.parametrize(
    "code, reason",
    [
        ("pd.DataFrame({'a': [object()]})", "Could not convert.*column a with type object"),
        ("pd.DataFrame({'a': [1, 'x']})", "tried to convert to int64.*column a"),
        ("pd.DataFrame({'a': [1j]})", "complex128"),
        ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "Duplicate column names"),
        ("pl.DataFrame({'a': [object()]})", "a column has the dtype Object"),
    ],
)
def test_what_arrow_lacks_is_refused(tables, capsys, code, reason):
    tables.local(f"here = {code}")
    library = "pandas" if code.startswith("pd") else "polars"
    text = rf"`here` can not be sent to the server: Arrow does not have all that is in this {library} DataFrame \(.*{reason}"
    with pytest.raises(TransferError, match=text):
        tables.torch("here")
    tables.torch(f"there = {code}; ok = 1")
    assert "`there` stays on the server: Arrow does not have all" in capsys.readouterr().err
    with pytest.raises(TransferError, match="`there` can not be brought back: Arrow does not have"):
        tables.torch("1", "-o there")
    assert tables.names["ok"] == 1 and "there" not in tables.names


# --- A library that one side lacks ---------------------------------------------------------------


def lack(notebook, *packages):
    """Keep the kernel from importing packages; undone by what it returns."""
    notebook.torch(
        "import sys\n_kept = {name: sys.modules.pop(name, None) for name in "
        f"{packages!r}}}\nsys.modules.update(dict.fromkeys({packages!r}))"
    )
    return lambda: notebook.torch(
        "for _name, _module in _kept.items():\n    sys.modules.pop(_name)\n"
        "    if _module: sys.modules[_name] = _module"
    )


def test_kernel_without_pyarrow(tables, capsys):
    tables.torch("b = 1")
    restore = lack(tables, "pyarrow")
    lacks = "the server's kernel lacks pyarrow: write `%pip install pyarrow` in a `%%torch` cell"
    tables.names["df"] = pd.DataFrame({"a": [1]})
    with pytest.raises(TransferError) as refused:
        tables.torch("n = len(df)")
    assert str(refused.value) == (
        "`df` can not be sent to the server: a pandas DataFrame travels where both sides have pyarrow "
        f"and pandas, and {lacks}, or take `.to_numpy()` of it."
    )
    tables.torch("there = pd.DataFrame({'a': [2]})\np = pl.DataFrame({'a': [1]})")
    said = capsys.readouterr().err
    assert said.startswith("`there` stays on the server: a pandas DataFrame ") and lacks in said
    tables.torch("len(there)")
    assert capsys.readouterr().err == "" and tables.names["p"].shape == (1, 1)
    tables.torch("x = 1", "-o numbers=there.to_numpy()")
    assert tables.names["numbers"].tolist() == [[2]]
    restore()
    tables.torch("n = len(df) + len(there)")
    assert tables.names["n"] == 2 and tables.names["there"]["a"].tolist() == [2]


def test_kernel_without_polars(tables):
    restore = lack(tables, "polars")
    tables.names["p"] = pl.Series([1])
    with pytest.raises(
        TransferError, match="a polars Series .* kernel lacks polars: .*install polars`"
    ):
        tables.torch("len(p)")
    restore()
    tables.torch("n = len(p)")
    assert tables.names["n"] == 1


def test_page_without_the_library(tables, capsys, monkeypatch):
    sent = pd.DataFrame({"a": [1]})
    tables.names["df"] = sent
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        patch.setitem(sys.modules, "polars", None)
        with pytest.raises(TransferError, match="`df` can .*this page lacks pyarrow: .* here, or"):
            tables.torch("df")
        tables.torch("q = pd.DataFrame({'a': range(2**18)})\np = pl.Series([1])\npl.Series([2])")
        said = capsys.readouterr().err.splitlines()
        assert [line.split(" travels")[0] for line in said] == [
            "`q` stays on the server: a pandas DataFrame",
            "`p` stays on the server: a polars Series",
        ]
        assert not {"q", "p"} & set(tables.names)
        for line in ("-o p", "-o y=p.to_frame()"):
            with pytest.raises(
                TransferError, match="can not be brought back: a polars .*page lacks"
            ):
                tables.torch("1", line)
        with pytest.raises(TransferError, match="`p` can not be fetched: a polars Series"):
            tables.line("peek p")
        # They are there, as they were.
        tables.torch("n = len(q) + len(p)")
        assert tables.names["n"] == 2**18 + 1
    tables.torch("1", "-o p q")
    assert tables.names["p"].to_list() == [1] and len(tables.names["q"]) == 2**18


def test_nothing_is_imported_for_other_values(notebook):
    notebook.names["x"] = np.ones(3)
    notebook.torch(
        "import sys\ny = x + 1\nfound = {'pandas', 'polars', 'pyarrow'} & set(sys.modules)"
    )
    assert notebook.names["found"] == set()


# --- Streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [pd.DataFrame({"a": ["x", "y"]}), pl.Series([1]), pa.array([1])])
def test_broken_streams(value):
    library, kind = _tables.kind(value)
    stream, rest, _ = _tables.write(value, _tables.PAGE)
    stream = bytes(stream)
    assert_same(_tables.read(library, kind, stream, *rest, side=_tables.PAGE), value)
    half = len(stream) // 16 * 8
    for broken in (b"", b"junk", stream[:-8], stream[:half] + stream[-8:], stream[8:], 3):
        with pytest.raises(
            _tables.Unfit, match=f"the Arrow stream of the {library} {kind} is broken"
        ):
            _tables.read(library, kind, broken, *rest, side=_tables.PAGE)
    for library, kind in (("os", "DataFrame"), ("pandas", "Index")):
        with pytest.raises(_tables.Unfit, match="is unknown here"):
            _tables.read(library, kind, stream, side=_tables.PAGE)


def test_offsets_are_checked():
    stream, _, _ = _tables.write(pa.array(["abc", "def"]), _tables.PAGE)
    at = stream.rindex(bytes([0, 0, 0, 0, 3, 0, 0, 0, 6, 0, 0, 0])) + 4
    stream[at : at + 4] = (2**30).to_bytes(4, "little")
    with pytest.raises(_tables.Unfit, match="broken"):
        _tables.read("pyarrow", "Array", stream, side=_tables.PAGE)


def test_pyarrow_that_could_unpickle_reads_nothing(monkeypatch):
    stream, _, _ = _tables.write(pa.array([1]), _tables.PAGE)
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    with pytest.raises(_tables.Unfit, match="this page has a pyarrow that could run code"):
        _tables.read("pyarrow", "Array", stream, side=_tables.PAGE)


def test_a_broken_stream_is_an_error_there(tables, monkeypatch):
    write = _tables.write

    def broken(value, side):
        stream, rest, lost = write(value, side)
        stream[8:40] = bytes(32)
        return stream, rest, lost

    tables.names.update(df=pd.DataFrame({"a": [1]}), p=pl.DataFrame({"a": [1]}))
    with monkeypatch.context() as patch:
        patch.setattr(_tables, "write", broken)
        for name in ("df", "p"):
            with pytest.raises(TransferError, match=f"`{name}` can not be sent.* is broken"):
                tables.torch(f"{name}")
    tables.torch("n = len(df) + len(p)")
    assert tables.names["n"] == 2


def test_a_broken_stream_is_an_error_here(tables):
    tables.torch(
        "import sys\n_tables = sys.modules['_jupyterlite_torch_tables']\n_write = _tables.write\n"
        "def _broken(value, side):\n    stream, *rest = _write(value, side)\n"
        "    stream[8:40] = bytes(32)\n    return stream, *rest\n_tables.write = _broken"
    )
    with pytest.raises(TransferError, match="`p` did not come back: the Arrow stream .*-o p"):
        tables.torch("p = pl.DataFrame({'a': [1]}); b = 2")
    assert tables.names["b"] == 2
    tables.torch("_tables.write = _write", "-o p")
    assert tables.names["p"].shape == (1, 1)


def test_what_is_written_is_the_same_each_time():
    libraries = dict(datetime=datetime, np=np, pd=pd, pl=pl, pa=pa)
    for made in (PANDAS, SERIES, POLARS, PYARROW):
        for code in made.values():
            value = eval(code, libraries)
            first = bytes(_tables.write(value, _tables.PAGE)[0])
            assert first == bytes(_tables.write(value, _tables.PAGE)[0])
            assert zlib.crc32(first) == _tables.checksum(value, _tables.PAGE)
