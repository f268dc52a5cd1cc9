"""Files between the drive of a page and the session's folder: lines, and the panel's section."""

import hashlib
import random
import time

import pytest

MIB = 2**20


@pytest.fixture
def place(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def lab(new_lab, served, start_proxy, place):
    """A page that is connected, with a notebook `work.ipynb` whose session works in `place`."""
    proxy = start_proxy("--site", served.url, before=["env", f"--chdir={place}"])
    lab = new_lab(proxy.link)
    lab.page.get_by_role("button", name="Connect", exact=True).click()
    lab.open_notebook("work.ipynb")
    lab.proxy = proxy
    return lab


def said(cell):
    return cell.stdout + cell.failure


def drive_sizes(lab):
    """Return the files of the drive's top folder, with their sizes."""
    return lab.page.evaluate(
        """async () => {
            const { content } = await window.jupyterapp.serviceManager.contents.get('');
            return Object.fromEntries(content.map(({ name, size }) => [name, size]));
        }"""
    )


def test_put_and_get(lab, place, artifacts):
    data = random.Random(0).randbytes(4 * MIB + 1)
    (place / "from server.bin").write_bytes(data)
    lab.run_cell("import pathlib\npathlib.Path('text.csv').write_text('größe,1\\n')")
    done = lab.run_cell("%torch put text.csv")
    assert "`text.csv` (10 bytes) is in the session's folder." in said(done)
    assert (place / "text.csv").read_text() == "größe,1\n"
    lab.run_cell("%torch put work.ipynb copies.ipynb")
    assert (place / "copies.ipynb").read_text().startswith("{")
    done = lab.run_cell("%torch get 'from server.bin' there.bin")
    assert "(4 MiB) is in this notebook's folder as `there.bin`." in said(done)
    assert drive_sizes(lab)["there.bin"] == len(data)
    # A local cell reads it, and sends it back as it was.
    digest = "import hashlib\nprint(hashlib.sha256(open('there.bin', 'rb').read()).hexdigest())"
    assert hashlib.sha256(data).hexdigest() in said(lab.run_cell(digest))
    lab.run_cell("%torch put there.bin back.bin")
    assert (place / "back.bin").read_bytes() == data
    lab.page.get_by_text("there.bin", exact=True).first.wait_for()
    lab.page.screenshot(path=artifacts / "files-lines.png")

    for line, sentence in {
        "put none.bin": "There is no file `none.bin` in this page’s drive, which",
        "get none.bin": "There is no file `none.bin` in the session's folder",
        "get ../x": "is no name of a file in the folder",
        "get text.csv not/here.csv": "There is no folder `not` in this page’s drive",
    }.items():
        assert sentence in said(lab.run_cell(f"%torch {line}")), line
    lab.page.screenshot(path=artifacts / "files-errors.png")
    lab.run_cell("import os\nos.makedirs('folder', exist_ok=True)")
    assert "`folder` is a folder. Pack it" in said(lab.run_cell("%torch put folder"))
    # In a folder of the drive, a notebook's own is meant.
    lab.run_cell("os.chdir('folder')")
    lab.run_cell("%torch get text.csv")
    assert lab.saved("folder/text.csv")["size"] == 10
    lab.run_cell("os.chdir('/tmp')")
    assert "This notebook works in /tmp" in said(lab.run_cell("%torch get text.csv"))


@pytest.mark.alone
def test_large_files(lab, place, watch_memory, artifacts):
    data = random.Random(1).randbytes(90 * MIB)
    (place / "large.bin").write_bytes(data)
    with open(place / "huge.bin", "wb") as file:
        file.truncate(100 * MIB)
    lab.run_cell("%torch status")
    refused = said(lab.run_cell("%torch get huge.bin"))
    assert "`huge.bin` has 100 MiB" in refused and "95 MiB at most" in refused
    lab.page.screenshot(path=artifacts / "files-too-large.png")
    with watch_memory() as memory:
        # Some samples before.
        lab.run_cell("%torch status")
        began = time.time()
        assert "(90 MiB)" in said(lab.run_cell("%torch get large.bin"))
        fetched = time.time()
        assert "(90 MiB)" in said(lab.run_cell("%torch put large.bin back.bin"))
        sent = time.time()
    assert hashlib.sha256((place / "back.bin").read_bytes()).digest() == (
        hashlib.sha256(data).digest()
    )
    down = memory.total_growth("90 MiB from the server", began, fetched)
    up = memory.total_growth("90 MiB to the server", fetched, sent)
    # The drive keeps a file as one text, and hands it from process to process as a whole.
    assert 0 < down < 1300 * MIB and 0 < up < 1300 * MIB, (down / MIB, up / MIB)


def test_stop_and_cut(lab, place, artifacts):
    """Stop leaves nothing changed, and a server that goes midway and comes back is no end."""
    page = lab.page
    (place / "large.bin").write_bytes(bytes(30 * MIB))
    lab.run_cell("%torch get large.bin first.bin")
    held = []

    def hold(route):
        held.append(route)
        if len(held) < 3:
            route.continue_()

    page.route("**/kernel_proxy/api/v1/file", hold)
    lab.start_cell("%torch put first.bin second.bin")
    lab.wait_for_output("`first.bin` to the server")
    page.wait_for_function("document.body.innerText.includes('of 30 MiB')")
    page.screenshot(path=artifacts / "files-bar.png")
    lab.execute("notebook:interrupt-kernel")
    stopped = said(lab.end_cell())
    assert "stopped while `first.bin` was on its way; nothing was changed there." in stopped
    page.unroute("**/kernel_proxy/api/v1/file")
    assert not (place / "second.bin").exists()

    broken = []

    def cut(route):
        broken.append(route)
        if len(broken) in (2, 3, 5):
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/kernel_proxy/api/v1/file", cut)
    assert "(30 MiB)" in said(lab.run_cell("%torch put first.bin second.bin"))
    page.unroute("**/kernel_proxy/api/v1/file")
    assert len(broken) > 10 + 3
    assert (place / "second.bin").read_bytes() == bytes(30 * MIB)


def test_section(lab, place, tmp_path, artifacts):
    page = lab.page
    (place / "model.pt").write_bytes(b"weights" * 1000)
    (place / "runs").mkdir()
    (place / "runs" / "log.txt").write_text("deep")
    lab.run_cell("open('local.csv', 'w').write('1,2')")
    lab.execute("jupyterlite-torch:files")
    section = page.locator(".jp-Torch-files")
    section.get_by_text("This notebook has no session on this server.").wait_for()
    lab.run_cell("%torch 1 + 1")
    section.get_by_role("button", name="Refresh").click()
    section.get_by_text("model.pt").wait_for()
    page.screenshot(path=artifacts / "files-section.png")

    # From the desktop, by the button.
    (tmp_path / "desk.bin").write_bytes(b"d" * (4 * MIB))
    section.locator("input[type=file]").set_input_files(tmp_path / "desk.bin")
    section.get_by_role("button", name="Get desk.bin").wait_for()
    assert (place / "desk.bin").read_bytes() == b"d" * (4 * MIB)
    # And dropped.
    section.evaluate(
        """node => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(['dropped here'], 'dropped.txt'));
            for (const type of ['dragover', 'drop']) {
                const init = { dataTransfer, bubbles: true, cancelable: true };
                node.dispatchEvent(new DragEvent(type, init));
            }
        }"""
    )
    section.get_by_role("button", name="Get dropped.txt").wait_for()
    assert (place / "dropped.txt").read_text() == "dropped here"

    # From the file browser, and back to it, with the mouse.
    def drag(source, target):
        source.hover()
        page.mouse.down()
        box = target.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.7
        page.mouse.move(x - 20, y, steps=8)
        page.mouse.move(x, y, steps=4)

    browser = page.locator(".jp-FileBrowser .jp-DirListing-content")
    drag(browser.get_by_text("local.csv"), section)
    page.screenshot(path=artifacts / "files-drop.png")
    page.mouse.up()
    section.get_by_role("button", name="Get local.csv").wait_for()
    assert (place / "local.csv").read_text() == "1,2"
    drag(section.get_by_text("model.pt"), browser)
    page.screenshot(path=artifacts / "files-drag-out.png")
    page.mouse.up()
    browser.get_by_text("model.pt").wait_for()
    assert drive_sizes(lab)["model.pt"] == 7000

    # Folders, by keys.
    section.get_by_role("button", name="runs/").press("Enter")
    get = section.get_by_role("button", name="Get log.txt")
    get.wait_for()
    get.press("Enter")
    browser.get_by_text("log.txt").wait_for()
    section.get_by_role("button", name="The folder above").press("Enter")
    section.get_by_text("model.pt").wait_for()

    # One on its way, which is cancelled, and one that is too large.
    with open(place / "huge.bin", "wb") as file:
        file.truncate(100 * MIB)
    section.get_by_role("button", name="Refresh").click()
    section.get_by_role("button", name="Get huge.bin").click()
    section.get_by_text("95 MiB at most").wait_for()
    held = []
    page.route("**/kernel_proxy/api/v1/file", lambda route: held.append(route))
    section.get_by_role("button", name="Get desk.bin").click()
    section.get_by_role("progressbar", name="desk.bin from the server").wait_for()
    page.screenshot(path=artifacts / "files-moves.png")
    section.get_by_role("button", name="Cancel").click()
    section.get_by_role("progressbar").wait_for(state="detached")
    assert "desk.bin" not in drive_sizes(lab)
    section.get_by_role("button", name="Close").click()
    page.evaluate(
        "window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })"
    )
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.screenshot(path=artifacts / "files-dark.png")
