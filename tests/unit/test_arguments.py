"""The line after `%%torch`."""

import pytest

from jupyterlite_torch._arguments import looks_secret, parse, size
from jupyterlite_torch._errors import OptionError


@pytest.mark.parametrize(
    ("line", "send", "fetch"),
    [
        ("", {}, {}),
        ("-i x", {"x": None}, {}),
        ("-i x,y -i z", {"x": None, "y": None, "z": None}, {}),
        ("-i x y", {"x": None, "y": None}, {}),
        ("-i x:cuda:1,y", {"x": "cuda:1", "y": None}, {}),
        ("-o w", {}, {"w": "w"}),
        ("-o w,acc=ok/n", {}, {"w": "w", "acc": "ok/n"}),
        ("-o part=w[:10,0]", {}, {"part": "w[:10,0]"}),
        ('-o "part=w[:10, 0]"', {}, {"part": "w[:10, 0]"}),
        ("-o v=d['a,b']", {}, {"v": "d['a,b']"}),
        ("-o same=a==b", {}, {"same": "a==b"}),
    ],
)
def test_names(line, send, fetch):
    options = parse(line)
    assert (options.send, options.fetch, options.auto) == (send, fetch, True)


def test_no_auto():
    assert parse("--no-auto -o x").auto is False


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-x", "-x"),
        ("hello", "hello"),
        ("-i", "-i"),
        ("-i 1x", "'1x' is none"),
        ("-o a-b", "'a-b' is none"),
        ("-o y=(", "is not an expression"),
        ("-o 'y", "quot"),
        ("--as float8", "float64, float32, float16, bfloat16, and 'float8' is none"),
        ("--as int32", "is none"),
        ("--eager many", "8MiB, 512KiB or 0, and 'many' is none"),
        ("--eager -1", "--eager"),
    ],
)
def test_mistakes_are_named(line, says):
    with pytest.raises(OptionError, match=says):
        parse(line)


def test_as_and_eager():
    options = parse("--as float16 -i x:cuda:1 --eager 8MiB")
    assert (options.dtype, options.send, options.eager) == ("float16", {"x": "cuda:1"}, 2**23)
    assert parse("--as torch.bfloat16").dtype == "bfloat16"
    assert (parse("").dtype, parse("").eager, parse("--eager 0").eager) == (None, None, 0)


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("1000", 1000), ("512KiB", 2**19), ("512 k", 2**19), ("1.5 GiB", 3 * 2**29), ("7B", 7)],
)
def test_sizes(text, nbytes):
    assert size(text, "--eager") == nbytes


@pytest.mark.parametrize(
    "name", ["token", "api_key", "hfToken", "AWS_SECRET", "password2", "apikey"]
)
def test_secrets(name):
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["tokens", "tokenizer", "keys", "monkey", "keyboard", "x"])
def test_no_secrets(name):
    assert not looks_secret(name)
