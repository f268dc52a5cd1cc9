"""The line after `%%torch`."""

import pytest

from jupyterlite_torch._arguments import looks_secret, parse
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
    ],
)
def test_mistakes_are_named(line, says):
    with pytest.raises(OptionError, match=says):
        parse(line)


@pytest.mark.parametrize(
    "name", ["token", "api_key", "hfToken", "AWS_SECRET", "password2", "apikey"]
)
def test_secrets(name):
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["tokens", "tokenizer", "keys", "monkey", "keyboard", "x"])
def test_no_secrets(name):
    assert not looks_secret(name)
