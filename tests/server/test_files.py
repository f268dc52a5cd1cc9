"""Files of a session's folder: what goes in and comes out, and what is refused."""

import asyncio
import json
import os
import random
import re
import socket
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import fronts
import namespaces
import pytest
from file_client import FileClient, Refusal
from native_notebook import NativeNotebook
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel
from relay import DOWN, UP, Fate

from jupyterlite_torch._errors import OptionError, TransferError
from kernel_proxy.command.tls import self_signed
from kernel_proxy.errors import Refused
from kernel_proxy.files import folder as folder_module
from kernel_proxy.files import uploads
from kernel_proxy.session.kernel_life import KernelLife

MIB = 2**20
UPLOAD = "an-upload-of-this-test"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder in which the proxy and its kernels work."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def proxy(place):
    before = ["env", f"--chdir={place}"]
    started = Proxy(before=before)
    yield started
    started.interrupt()


@pytest.fixture(scope="module")
def client(proxy):
    return client_of(proxy)


def client_of(proxy, url=None):
    page = RawChannel(proxy)
    assert page.greet()["type"] == "welcome"
    page.close()
    return FileClient(url or proxy.url, proxy.token, page.session, ORIGIN)


def parts_in(place):
    return [name for name in os.listdir(place) if name.endswith(".part")]


@pytest.mark.parametrize("size", [0, 1, 3 * MIB - 1, 3 * MIB, 3 * MIB + 1, 5 * MIB, 12 * MIB + 7])
def test_round_trip(client, place, size):
    data = random.Random(size).randbytes(size)
    client.put("round.bin", data)
    assert (place / "round.bin").read_bytes() == data
    assert client.get("round.bin") == data and client.whole("round.bin") == data
    [entry] = [each for each in client.list()["entries"] if each["name"] == "round.bin"]
    assert entry["bytes"] == size and not entry["folder"]
    assert abs(entry["modified"] - time.time()) < 100
    assert not parts_in(place)


@pytest.mark.parametrize("name", ["größe 100%.csv", "模型.pt", "a'b\"c;d.txt", "-x", "é" * 100])
def test_names(client, place, name):
    client.put(name, b"x" * 10)
    assert (place / name).read_bytes() == b"x" * 10
    assert client.get(name) == b"x" * 10
    assert name in [entry["name"] for entry in client.list()["entries"]]


def test_files_in_folders_of_it(client, place):
    (place / "deep" / "er").mkdir(parents=True)
    client.put("deep/er/./x.bin", b"deep")
    assert client.get("deep/er/x.bin") == b"deep"
    assert [entry["name"] for entry in client.list("deep")["entries"]] == ["er"]
    listed = client.list("deep/er")
    assert [entry["name"] for entry in listed["entries"]] == ["x.bin"]
    assert listed["folder"] == str(place / "deep" / "er")
    with pytest.raises(
        Refusal, match=r"There is no folder `not/there` .*Make it with a cell first"
    ):
        client.put("not/there/x", b"")
    with pytest.raises(Refusal, match="`deep` is a folder in the session's folder"):
        client.put("deep", b"")
    with pytest.raises(Refusal, match=r"`deep/er` is a folder\. Pack it"):
        client.get("deep/er")
    with pytest.raises(Refusal, match="There is no file `none.bin`") as error:
        client.get("none.bin")
    assert error.value.status == 404


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "deep/../../x", "..", "", ".", "a\nb", "x" * 2000, "a\0b"]
)
def test_refused_names(client, place, name):
    before = sorted(os.listdir(place.parent))
    for act in (lambda: client.get(name), lambda: client.put(name, b"no")):
        with pytest.raises(Refusal, match="no name of a file|can not be the name|no file"):
            act()
    assert sorted(os.listdir(place.parent)) == before


def test_names_that_are_no_names(client):
    for text in ("%ff%fe", "x" * 5000):
        with pytest.raises(Refusal, match="Torch-File"):
            client.ask("GET", "file", Torch_File=text)
    with pytest.raises(Refusal, match="can not be the name"):
        client.put(".torch-" + "0" * 32 + ".part", b"")


def test_links_lead_out_of_nothing(client, place, tmp_path):
    (tmp_path / "secret").write_text("out")
    (place / "out").symlink_to(tmp_path)
    (place / "file-out").symlink_to(tmp_path / "secret")
    (place / "round").symlink_to("round")
    (place / "inside").symlink_to("target.txt")
    for name in ("out/secret", "file-out", "out/new", "out"):
        for act in (lambda name=name: client.get(name), lambda name=name: client.put(name, b"no")):
            with pytest.raises(Refusal, match="leads out of the session's folder"):
                act()
    with pytest.raises(Refusal, match="leads out"):
        client.list("out")
    assert sorted(os.listdir(tmp_path)) == ["secret"]
    assert (tmp_path / "secret").read_text() == "out"
    with pytest.raises(Refusal):
        client.get("round")
    # One that stays inside is the file that it leads to.
    client.put("inside", b"there")
    assert (place / "target.txt").read_bytes() == b"there" and (place / "inside").is_symlink()


def test_what_is_no_file(client, place):
    os.mkfifo(place / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(place / "socket"))
        for name in ("pipe", "socket"):
            with pytest.raises(Refusal, match="no ordinary file|can not be read"):
                client.get(name)
    assert not {"pipe", "socket"} & {entry["name"] for entry in client.list()["entries"]}


def test_a_file_is_there_when_it_is_complete(client, place):
    (place / "old.bin").write_bytes(b"old")
    assert client.part("old.bin", UPLOAD, 0, 6, b"new") == {"size": 3, "complete": False}
    assert (place / "old.bin").read_bytes() == b"old"
    assert ".part" not in json.dumps(client.list())
    # Asked, it says where to go on; what comes again or too early does no harm.
    assert client.part("old.bin", UPLOAD, 0, 6, b"") == {"size": 3, "complete": False}
    assert client.part("old.bin", UPLOAD, 0, 6, b"new") == {"size": 3, "complete": False}
    assert client.part("old.bin", UPLOAD, 5, 6, b"r") == {"size": 3, "complete": False}
    assert client.part("old.bin", UPLOAD, 3, 6, b"xxx", crc32=1) == {"size": 3, "complete": False}
    assert client.part("old.bin", UPLOAD, 3, 6, b"er!") == {"size": 6, "complete": True}
    assert client.part("old.bin", UPLOAD, 3, 6, b"er!") == {"size": 6, "complete": True}
    assert (place / "old.bin").read_bytes() == b"newer!"


def test_two_uploads_of_one_name(client, place):
    client.part("twice.bin", "first-upload", 0, 4, b"11")
    client.part("twice.bin", "second-upload", 0, 6, b"222")
    client.part("twice.bin", "second-upload", 3, 6, b"222")
    assert (place / "twice.bin").read_bytes() == b"222222"
    client.part("twice.bin", "first-upload", 2, 4, b"11")
    assert (place / "twice.bin").read_bytes() == b"1111"


def test_an_upload_that_is_given_up(client, place):
    client.part("dropped.bin", UPLOAD, 0, 6, b"new")
    assert len(parts_in(place)) == 1
    client.drop("dropped.bin", UPLOAD)
    client.drop("dropped.bin", UPLOAD)
    assert not parts_in(place) and not (place / "dropped.bin").exists()


def test_what_an_earlier_proxy_has_left_goes(client, place):
    old = place / (".torch-" + "a" * 32 + ".part")
    old.write_bytes(b"left")
    client.put("fresh.bin", b"")
    assert old.exists()
    past = time.time() - uploads.LIFETIME_S - 60
    os.utime(old, (past, past))
    client.put("fresh.bin", b"")
    assert not old.exists()


def test_what_nobody_goes_on_with_goes(tmp_path, monkeypatch, loop):
    monkeypatch.setattr(uploads, "LIFETIME_S", 0.1)
    monkeypatch.setattr(uploads, "MAX_UNDER_WAY", 1)
    remove, removed = uploads._remove, asyncio.Event()
    monkeypatch.setattr(uploads, "_remove", lambda part: (remove(part), removed.set()))

    async def wait():
        held = uploads.Uploads()
        assert await held.take("one", tmp_path / "x", 0, 6, b"abc") == 3
        with pytest.raises(Refused, match="1 files are on their way"):
            await held.take("two", tmp_path / "y", 0, 6, b"abc")
        assert len(parts_in(tmp_path)) == 1
        await removed.wait()
        assert not parts_in(tmp_path)
        assert await held.take("two", tmp_path / "y", 0, 3, b"abc") == 3

    loop.run_until_complete(asyncio.wait_for(wait(), 30))
    assert os.listdir(tmp_path) == ["y"]


def test_a_kernel_on_another_machine():
    elsewhere = SimpleNamespace(process=SimpleNamespace(is_here=False))
    with pytest.raises(Refused, match="runs on another machine than its server") as error:
        KernelLife.directory.fget(SimpleNamespace(kernel=elsewhere))
    assert error.value.reason == "kernel"


def test_bounds(client, place):
    for body in (b"x" * (4 * MIB + 1), b"x" * (40 * MIB)):
        with pytest.raises((Refusal, OSError)):
            client.part("large.bin", UPLOAD, 0, len(body), body)
    assert client.part("large.bin", UPLOAD, 0, 5 * MIB, b"x" * 4 * MIB)["size"] == 4 * MIB
    with pytest.raises(Refusal, match="beyond the end"):
        client.part("large.bin", UPLOAD, 4 * MIB, 5 * MIB, b"x" * 2 * MIB)
    assert not parts_in(place)
    for headers in ({"Torch_Start": "-1"}, {"Torch_Total": "1e3"}, {"Torch_Upload": "short"}):
        fitting = {"Torch_Upload": UPLOAD, "Torch_Start": 0, "Torch_Total": 0, "Torch_Crc32": 0}
        with pytest.raises(Refusal, match="header"):
            client.ask("PUT", "file", "bound.bin", b"", **(fitting | headers))
    with pytest.raises(Refusal, match="has no session on this server"):
        client.ask("GET", "files", Torch_Session="unknown-session")


def test_a_list_is_bounded(tmp_path, monkeypatch):
    for n in range(7):
        (tmp_path / f"{n}").touch()
    (tmp_path / ".hidden").touch()
    (tmp_path / os.fsdecode(b"\xff")).touch()
    (tmp_path / "nowhere").symlink_to("gone")
    listed = folder_module.Folder(str(tmp_path)).list("")
    assert [entry["name"] for entry in listed["entries"]] == list("0123456") and not listed["more"]
    monkeypatch.setattr(folder_module, "MAX_LISTED", 5)
    listed = folder_module.Folder(str(tmp_path)).list("")
    assert [entry["name"] for entry in listed["entries"]] == list("01234") and listed["more"]


def test_ranges(client):
    client.put("ten.txt", b"0123456789")
    assert client.range("ten.txt", 3, 6)[0] == b"345"
    headers, body = client.ask("GET", "file", "ten.txt", Range="bytes=7-")
    assert body == b"789" and headers["Content-Range"] == "bytes 7-9/10"
    for wanted in ("bytes=10-", "bytes=5-3", "lines=1-2", "bytes=-3"):
        with pytest.raises(Refusal, match="Only one") as error:
            client.ask("GET", "file", "ten.txt", Range=wanted)
        assert error.value.status == 416


def test_a_file_that_is_another_one_midway(client, place):
    client.put("changes.bin", b"0123456789")
    _, identity, _ = client.range("changes.bin", 0, 3)
    client.range("changes.bin", 3, 6, Torch_Identity=identity)
    (place / "changes.bin").write_bytes(b"9876543210")
    with pytest.raises(Refusal, match="changed on the server while it was on its way") as error:
        client.range("changes.bin", 6, 10, Torch_Identity=identity)
    assert (error.value.reason, error.value.status) == ("changed", 412)


def test_cuts(proxy, client, place, start_relay, loop):
    data = random.Random(0).randbytes(8 * MIB)
    # In a part, in the answer to one, and in the answer to the last.
    fates = {1: Fate(UP, MIB, past_head=True), 3: Fate(DOWN, 0), 5: Fate(DOWN, 0)}
    relay = start_relay(fate=fates.get)
    far = client_of(proxy, relay.url)
    loop.run_until_complete(loop.run_in_executor(None, far.put, "cut.bin", data))
    assert relay.cuts == len(fates)
    assert (place / "cut.bin").read_bytes() == data
    assert not parts_in(place)


def test_a_proxy_that_is_started_again_goes_on(start_proxy, tmp_path):
    proxy = start_proxy("--state", str(tmp_path / "state"), before=["env", f"--chdir={tmp_path}"])
    client = client_of(proxy)
    client.part("again.bin", UPLOAD, 0, 6, b"012")
    proxy.kill()
    proxy.start()
    assert client.part("again.bin", UPLOAD, 0, 6, b"")["size"] == 3
    assert client.part("again.bin", UPLOAD, 3, 6, b"345")["complete"]
    assert (tmp_path / "again.bin").read_bytes() == b"012345"


@pytest.mark.program("nginx", "openssl")
def test_nginx_takes_the_smaller_parts_of_a_page(client, proxy, place, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.cert))
    data = bytes(3 * 2**18)
    with fronts.nginx(tmp_path, proxy, certificate, "") as url:
        far = FileClient(url, proxy.token, client._headers["Torch-Session"], ORIGIN)
        assert far.part("nginx.bin", UPLOAD, 0, len(data), data)["complete"]
        (place / "nginx.bin").write_bytes(bytes(7 * MIB))
        assert far.get("nginx.bin") == bytes(7 * MIB)


@pytest.mark.mount
def test_a_disk_that_is_full(start_proxy, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    proxy = start_proxy(before=[*namespaces.small(small, "4m"), "env", f"--chdir={small}"])
    inside = namespaces.seen_by(proxy.process.pid, small)
    client = client_of(proxy)
    with pytest.raises(Refusal, match=r"has room for \d+ more bytes, and `x.bin` has 6291456"):
        client.put("x.bin", bytes(6 * MIB))
    # It fills up midway.
    client.part("x.bin", UPLOAD, 0, 3 * MIB, bytes(MIB))
    with open(f"{inside}/rest", "wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(Refusal, match=r"No space left on device\); nothing of it is left") as e:
        client.part("x.bin", UPLOAD, MIB, 3 * MIB, bytes(2 * MIB))
    assert (e.value.reason, e.value.status) == ("full", 507)
    assert os.listdir(inside) == ["rest"]
    os.remove(f"{inside}/rest")
    client.put("x.bin", bytes(3 * MIB))
    assert os.listdir(inside) == ["x.bin"]


def test_moving_files_costs_no_memory(client, proxy, place):
    with open(place / "sparse.bin", "wb") as file:
        file.truncate(300 * MIB)
    whole = zlib.crc32(client.whole("sparse.bin"))
    assert whole == zlib.crc32(bytes(300 * MIB))
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    assert int(re.search(r"VmHWM:\s+(\d+)", status)[1]) < 250 * 1024


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder of the notebook."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_lines(proxy, place, loop, here, capsys):
    notebook = NativeNotebook(proxy, loop)
    data = random.Random(1).randbytes(4 * MIB)
    (here / "my data.bin").write_bytes(data)
    (here / ".hidden").write_bytes(b"h")
    notebook.line("put 'my data.bin'")
    assert (place / "my data.bin").read_bytes() == data
    (place / "sub").mkdir(exist_ok=True)
    notebook.line("put ./.hidden sub/")
    assert (place / "sub" / ".hidden").read_bytes() == b"h"
    # It is where cells look for it, and what they write is there to be fetched.
    assert notebook.torch("len(open('my data.bin', 'rb').read())") == len(data)
    notebook.torch("torch.save({'w': torch.ones(3)}, 'sub/model.pt')")
    notebook.line("get sub/model.pt")
    assert (here / "model.pt").read_bytes() == (place / "sub" / "model.pt").read_bytes()
    notebook.line("get sub/model.pt other.pt")
    assert (here / "other.pt").exists()
    printed = capsys.readouterr().out
    assert "`my data.bin` (4 MiB) is in the session's folder." in printed
    assert "is in the session's folder as `sub/.hidden`." in printed
    assert "is in this notebook's folder as `other.pt`." in printed
    with pytest.raises(TransferError, match="There is no file `none`"):
        notebook.line("get none")
    # A variable of that name is still one.
    notebook.torch("put = 6")
    notebook.line("put * 7")
    notebook.close()


@pytest.mark.parametrize(
    "line", ["put", "get a b c", "put ../x", "get /etc/passwd", "get x ../y", "put 'a", "put . x"]
)
def test_lines_that_are_refused(proxy, loop, here, line):
    notebook = NativeNotebook(proxy, loop)
    with pytest.raises(OptionError, match=r"The line is: %torch (put|get) FILE \[NAME\]"):
        notebook.line(line)
    notebook.close()
