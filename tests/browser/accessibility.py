"""axe-core in a page: what keeps people from using it who see little or nothing, or have no mouse."""

from pathlib import Path

import pytest

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"
COUNTED = ("serious", "critical")
HALF_SEEN = "elmPartiallyObscured"

# Two things of JupyterLab 4.6 keep axe-core 4.14 from seeing contrasts: its body is 0 px high and
# clips, so that all counts as hidden, and what lies behind a dialog counts as its ground.
RUN = """async selector => {
    const tops = [...document.querySelectorAll(selector)].map(node => node.closest('body > *'));
    const hidden = [...document.body.children].filter(each => !tops.includes(each));
    const heights = [document.documentElement, document.body];
    heights.forEach(each => { each.style.height = '100%'; });
    hidden.forEach(each => { each.style.visibility = 'hidden'; });
    try {
        return await axe.run(selector);
    } finally {
        heights.forEach(each => { each.style.height = ''; });
        hidden.forEach(each => { each.style.visibility = ''; });
    }
}"""


def violations(page, selector):
    """What axe-core finds in the nodes of a selector, as lines: what is serious or worse.

    So is a contrast that it can not tell. The rest of the page is JupyterLab's own.
    """
    if not page.evaluate("'axe' in window"):
        if not AXE.is_file():
            pytest.fail(f"{AXE} is missing: run `npm ci` first.", pytrace=False)
        page.evaluate(f"() => {{ {AXE.read_text(encoding='utf-8')} }}")
    assert page.locator(selector).count(), f"nothing on the page is {selector}"
    found = page.evaluate(RUN, selector)
    tried = {each["id"]: each for each in found["passes"] + found["violations"]}
    assert "color-contrast" in tried, sorted(tried)
    unclear = [each for each in found["incomplete"] if each["id"] == "color-contrast"]
    return [
        f"{each['impact']} {each['id']}: {node['html']}: {node['failureSummary']}"
        for each in found["violations"] + unclear
        if each["impact"] in COUNTED
        for node in each["nodes"]
        # Of what is scrolled half out of its box axe-core tells no contrast.
        if not any(HALF_SEEN in str(one["data"]) for one in node["any"])
    ]
