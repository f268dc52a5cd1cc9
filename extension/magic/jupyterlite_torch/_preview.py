"""What a RemoteArray looks like in a notebook: HTML and SVG without JavaScript, in the colours of
JupyterLab's theme where there is one."""

import base64
import html
import math

from ._size import human_size

#: What is asked of the server: for a preview, and for a plot.
PREVIEW = {"side": 128}
PLOT = {"side": 256, "any_matrix": True, "buckets": 300}

_TEXT = "var(--jp-ui-font-color1, currentColor)"
_MARK = "var(--jp-brand-color1, #1976d2)"
_CODE = "font-family: var(--jp-code-font-family, monospace); font-size: 12px;"
_ROOT = (
    f"color: {_TEXT}; font-family: var(--jp-ui-font-family, sans-serif); font-size: 13px; "
    "line-height: 1.45;"
)
_FAINT = "opacity: 0.7;"


def preview(array, looks):
    """Return the HTML of a RemoteArray, of which the server says how it `looks`."""
    parts = [
        _histogram(looks, 240, 100),
        _picture(looks, 128, 160),
        _facts(looks),
        _first(array, looks),
    ]
    row = "".join(part for part in parts if part)
    return _block(
        _title(array, "on the server, not fetched"),
        f'<div style="display: flex; flex-wrap: wrap; gap: 12px 24px; align-items: flex-start;">{row}</div>',
    )


def plot(array, looks):
    """Return the HTML of a figure: the curve of a vector, the picture of a matrix or image, else the
    histogram."""
    drawn = _curve(looks, 640, 240) or _picture(looks, 320, 512) or _histogram(looks, 640, 240)
    return _block(
        _title(array), drawn or _first(array, looks) or "It has no elements.", _note(looks)
    )


def apology(array, reason):
    """Return the HTML of a RemoteArray that can not be shown, and why."""
    return _block(
        f'<code style="{_CODE}">{html.escape(repr(array))}</code>',
        f'<div style="{_FAINT}">{html.escape(reason)}</div>',
    )


def _block(*parts):
    return f'<div style="{_ROOT}">{"".join(part for part in parts if part)}</div>'


def _title(array, more=""):
    kind = array.torch_dtype.removeprefix("torch.")
    here = "" if kind == array.dtype.name else f" ({array.dtype.name} here)"
    facts = f"{kind}{here} {array.shape}, {human_size(array.nbytes)} on {array.device}"
    rest = f' <span style="{_FAINT}">{more}</span>' if more else ""
    return (
        f'<div style="margin-bottom: 8px;"><b style="{_CODE}">{html.escape(array.name)}</b> '
        f"{html.escape(facts)}{rest}</div>"
    )


def _facts(looks):
    """Return the numbers beside the histogram."""
    of = " of |z|" if looks["absolute"] else ""
    rows = [
        (f"{word}{of}", _number(looks[key]))
        for word, key in (("min", "low"), ("max", "high"), ("mean", "mean"), ("std", "std"))
        if looks[key] is not None
    ]
    rows += [
        (word, f"{looks[key]:,}")
        for word, key in (("NaN", "nan"), ("inf", "inf"), ("-inf", "minus_inf"))
        if looks[key]
    ]
    if not looks["elements"]:
        rows.append(("no elements", ""))
    cells = "".join(
        f'<span style="{_FAINT}">{word}</span><span style="{_CODE}">{text}</span>'
        for word, text in rows
    )
    grid = "display: grid; grid-template-columns: auto auto; gap: 1px 12px; align-items: baseline;"
    return f'<div><div style="{grid}">{cells}</div>{_note(looks)}</div>'


def _note(looks):
    if looks["sampled"] == looks["elements"]:
        return ""
    text = f"of {looks['sampled']:,} of {looks['elements']:,} values, evenly spaced"
    return f'<div style="{_FAINT} max-width: 16em; margin-top: 4px;">{text}</div>'


def _first(array, looks):
    rows = looks["first"]
    if not rows:
        return ""
    count, wide = len(rows), len(rows[0])
    texts = [[_number(value, 4) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    more = " …" if array.ndim and wide < array.shape[-1] else ""
    lines = [
        " ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) + more
        for row in texts
    ]
    if array.ndim > 1 and count < array.shape[-2]:
        lines.append("…")
    where = ", ".join(["0"] * (array.ndim - 2) + [f":{n}" for n in (count, wide)][-array.ndim :])
    label = f"{array.name}[{where}]" if array.ndim else "value"
    style = (
        f"{_CODE} margin: 2px 0 0; padding: 0; background: none; color: inherit; overflow: auto;"
    )
    return (
        f'<div style="min-width: 0;"><span style="{_CODE} {_FAINT}">{html.escape(label)}</span>'
        f'<pre style="{style}">{html.escape(chr(10).join(lines))}</pre></div>'
    )


def _number(value, digits=6):
    if isinstance(value, complex):
        return f"{value.real:.3g}{value.imag:+.3g}j"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**12 else f"{value:.{digits}g}"
    return f"{value:.{digits}g}"


# --- Drawings ------------------------------------------------------------------------------------


def _svg(width, height, label, *parts):
    return (
        f'<svg role="img" aria-label="{label}" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" style="max-width: 100%; overflow: visible;">'
        f"{''.join(parts)}</svg>"
    )


def _label(x, y, anchor, text):
    style = f"fill: {_TEXT}; {_FAINT} font-size: 11px;"
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" style="{style}">{text}</text>'


def _axis(x, y, width):
    style = f"stroke: {_TEXT}; opacity: 0.4;"
    return f'<path d="M{x} {y}h{width}" style="{style}"/>'


def _histogram(looks, width, height):
    found = looks["histogram"]
    if found is None:
        return ""
    counts, base = found["counts"], height - 16
    top, step = max(counts), width / len(counts)
    gap, tallest = min(1, step / 4), base - 16
    bars = [
        # What there is at all can be seen.
        f"M{n * step:.1f} {base}V{base - max(1, tallest * count / top):.1f}h{step - gap:.1f}V{base}z"
        for n, count in enumerate(counts)
        if count
    ]
    return _svg(
        width,
        height,
        "histogram",
        f'<path d="{"".join(bars)}" style="fill: {_MARK};"/>',
        _axis(0, base + 0.5, width),
        _label(0, height - 3, "start", _number(looks["low"])),
        _label(width, height - 3, "end", _number(looks["high"])),
        _label(width, 9, "end", f"{top:,} in the highest bar"),
    )


def _curve(looks, width, height):
    found = looks["curve"]
    if found is None:
        return ""
    low, high = found["low"], found["high"]
    known = [value for value in (*low, *high) if not math.isnan(value)]
    if not known:
        return ""
    bottom, top, left, base = min(known), max(known), 64, height - 18
    span, step = top / 2 - bottom / 2, (width - left - 4) / max(1, len(low) - 1)

    def y(value):
        part = (value / 2 - bottom / 2) / span if span else 0.5
        return f"{base - 4 - part * (base - 12):.1f}"

    path, drawing = [], False
    for number, (least, most) in enumerate(zip(low, high, strict=True)):
        if math.isnan(least):
            drawing = False
            continue
        x = f"{left + 2 + number * step:.1f}"
        # A point by itself is a dot, by its round ends.
        path.append(f"L{x} {y(least)}" if drawing else f"M{x} {y(least)}h0")
        if least != most:
            path.append(f"V{y(most)}")
        drawing = True
    style = f"fill: none; stroke: {_MARK}; stroke-width: 1.5; stroke-linejoin: round;"
    return _svg(
        width,
        height,
        "curve",
        f'<path d="{"".join(path)}" style="{style} stroke-linecap: round;"/>',
        _axis(left, base + 0.5, width - left),
        _label(left - 6, 14, "end", _number(top)),
        _label(left - 6, base - 2, "end", _number(bottom)),
        _label(left, height - 3, "start", "0"),
        _label(width, height - 3, "end", f"{looks['elements'] - 1:,}"),
    )


def _picture(looks, least, most):
    """Return the picture, its longer side of `least` to `most` pixels."""
    found = looks["picture"]
    if found is None:
        return ""
    width, height = found["width"], found["height"]
    factor = max(1, math.ceil(least / max(width, height)))
    factor = min(factor, most / max(width, height))
    wide, high = (max(8, round(side * factor)) for side in (width, height))
    if most > 256:
        # A matrix of few columns or rows fills the figure.
        wide, high = max(wide, least // 2), max(high, least // 2)
    data = base64.b64encode(found["png"]).decode("ascii")
    image = (
        f'<img alt="picture" src="data:image/png;base64,{data}" style="width: {wide}px; '
        f'height: {high}px; max-width: none; image-rendering: pixelated; display: block;"/>'
    )
    return f"<div>{image}{_scale(found, wide)}</div>"


def _scale(found, width):
    """Return the strip that says which colour stands for what."""
    if not found["colours"]:
        return ""
    colours = ", ".join(f"rgb{tuple(colour)}" for colour in found["colours"])
    return (
        f'<div style="width: {width}px; min-width: 8em; font-size: 11px;">'
        f'<div style="height: 6px; margin-top: 4px; background: linear-gradient(to right, {colours});">'
        f'</div><div style="display: flex; justify-content: space-between; gap: 10px; {_FAINT}">'
        f"<span>{_number(found['low'], 3)}</span><span>{_number(found['high'], 3)}</span></div></div>"
    )
