"""Several kernels: a notebook names its kernelspec, out of those that the proxy offers."""

import json
import subprocess
import sys
import venv

import pytest
from native_notebook import NativeNotebook
from proxy import Proxy
from raw_channel import RawChannel

from jupyterlite_torch._errors import ConnectError, ServerError

#: A second environment, with packages of this one.
OTHER = "other-env"
#: A kernelspec that is there, and not offered.
HIDDEN = "hidden"


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    """A folder for JUPYTER_PATH: kernelspecs of another environment."""
    folder = tmp_path_factory.mktemp("jupyter")
    python = make_environment(folder / "env")
    for name in (OTHER, HIDDEN):
        spec = folder / "kernels" / name
        spec.mkdir(parents=True)
        argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (spec / "kernel.json").write_text(
            json.dumps({"argv": argv, "display_name": name, "language": "python"})
        )
    return folder


def make_environment(folder):
    """Return the Python of a new environment in which ipykernel and torch can be imported."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    ours = [path for path in sys.path if path.endswith("site-packages")]
    with open(f"{packages}/ours.pth", "w") as file:
        file.write("\n".join(ours))
    return python


@pytest.fixture(scope="module")
def proxy(specs):
    started = Proxy("--kernel", "python3", "--kernel", OTHER, "--kernel", "gone",
                    env={"JUPYTER_PATH": str(specs)})  # fmt: skip
    yield started
    started.interrupt()


def prefix(notebook):
    notebook.torch("import sys; prefix = sys.prefix")
    return notebook.names["prefix"]


def test_a_notebook_names_its_kernel(proxy, loop, specs, capsys):
    notebook = NativeNotebook(proxy, loop, kernel=OTHER)
    assert prefix(notebook) == str(specs / "env")
    notebook.line("status")
    assert f"kernel '{OTHER}'" in capsys.readouterr().out
    # It is the session's, whoever comes back to it.
    notebook.connection.disconnect()
    again = NativeNotebook(proxy, loop, session=notebook.page.session)
    assert prefix(again) == str(specs / "env")
    again.close()


def test_the_first_is_for_those_who_name_none(proxy, notebook):
    assert prefix(notebook) == sys.prefix


def test_another_kernel_than_the_session_has(proxy, loop, notebook, specs, capsys):
    notebook.torch("kept = 1")
    with pytest.raises(ConnectError, match=f"runs with the kernel 'python3'.*--kernel {OTHER}"):
        notebook.line(f"connect {proxy.url} --kernel {OTHER}")
    # A page that is not connected is told by the proxy.
    with pytest.raises(ConnectError, match=f"runs with the kernel 'python3', not '{OTHER}'"):
        NativeNotebook(proxy, loop, session=notebook.page.session, kernel=OTHER)
    notebook.torch("kept += 1")
    assert notebook.names["kept"] == 2
    notebook.line(f"restart --kernel {OTHER}")
    assert f"kernel '{OTHER}'" in capsys.readouterr().out
    assert prefix(notebook) == str(specs / "env")


def test_only_what_the_operator_offers(proxy, loop, notebook):
    for name in (HIDDEN, "../../etc", "x" * 2000):
        with pytest.raises(ConnectError, match="it has: 'python3', 'other-env', 'gone'") as caught:
            NativeNotebook(proxy, loop, kernel=name)
        assert caught.value.reason == "kernel" and len(str(caught.value)) < 400
    with pytest.raises(ServerError, match="it has: 'python3'"):
        notebook.line(f"restart --kernel {HIDDEN}")
    assert prefix(notebook) == sys.prefix


@pytest.mark.parametrize("kernel", [{"argv": ["sh"]}, ["sh", "-c"], 7])
def test_a_kernel_is_a_name_and_nothing_else(proxy, kernel):
    channel = RawChannel(proxy, kernel=kernel)
    refusal = channel.greet()
    assert (refusal["type"], refusal["reason"]) == ("refused", "kernel")
    channel.close()


def test_environment_and_command_line_never_come_from_a_page(proxy):
    channel = RawChannel(proxy, env={"EVIL": "1"}, argv=["sh"], kernel_spec={"argv": ["sh"]})
    assert channel.greet()["session"]["kernel"] == "python3"
    cell = channel.cell("import os\nos.environ.get('EVIL')")
    reply = channel.reply(cell)["msg"]
    assert reply["content"]["status"] == "ok" and "'1'" not in json.dumps(reply)
    channel.shut_down()


def test_a_kernelspec_that_is_gone_is_told(proxy, loop):
    with pytest.raises(ConnectError, match="'gone' could not be started") as caught:
        NativeNotebook(proxy, loop, kernel="gone")
    assert caught.value.reason == "kernel-start"


def test_a_restarted_proxy_keeps_the_kernel(start_proxy, loop, specs, tmp_path):
    options = ("--kernel", "python3", "--kernel", OTHER, "--state", str(tmp_path / "state"))
    proxy = start_proxy(*options, env={"JUPYTER_PATH": str(specs)})
    notebook = NativeNotebook(proxy, loop, kernel=OTHER)
    notebook.torch("import sys; kept = sys.prefix")
    proxy.stop()
    proxy.start()
    notebook.torch("after = kept")
    assert notebook.names["after"] == str(specs / "env")
    # A new process is of the same kernelspec as well.
    notebook.line("restart")
    assert prefix(notebook) == str(specs / "env")
    notebook.close()
