"""The text that runs on the server has the line numbers of the cell here."""

import pytest

from jupyterlite_torch._source import Numbers, Source


@pytest.mark.parametrize(
    ("lead", "body", "code"),
    [
        ("%%torch\n", "x = 1\n", "#%%torch\nx = 1\n"),
        ("# why\n\n%%torch -i x\n", "x", "# why\n#\n#%%torch -i x\nx"),
        ("%%torch\n", "    x = 1\n    y = 2", "    #%%torch\n    x = 1\n    y = 2"),
        ("%%torch\n", "\n# first\n%%time\nx", "\n# first\n%%time\nx"),
        ("", "x", "x"),
        ("%%torch", "", "#%%torch\n"),
    ],
)
def test_lines_keep_their_numbers(lead, body, code):
    assert Source(body, lead).code == code


def test_cells_have_the_numbers_of_the_page():
    numbers = Numbers()
    numbers.note({"execution_count": 3}, 7)
    shown = numbers.translate(
        [
            "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[3]\x1b[39m\x1b[32m, line 2\x1b[39m\n",
            "\x1b[36mCell\x1b[39m\x1b[36m \x1b[39m\x1b[32mIn[12]\x1b[39m\x1b[32m, line 2\x1b[39m\n",
            "----> 2 print(In[3])",
        ]
    )
    assert "In[7]" in shown[0] and "In[12]" in shown[1] and shown[2] == "----> 2 print(In[3])"
