"""How figures are printed."""


def line(label: str, figure: str, note: str) -> None:
    """Print a figure."""
    print(f"  {label:38} {figure:>8}   ({note})", flush=True)


def target(label: str, value: float, bound: str, wanted: float, unit: str = "") -> None:
    """Print a figure beside what it has to be: `bound` is "at most" or "at least"."""
    met = value <= wanted if bound == "at most" else value >= wanted
    unit = f" {unit}" if unit else ""
    verdict = "met" if met else "MISSED"
    print(
        f"  {label:38} {value:8.2f}{unit}   target: {bound} {wanted}{unit}, {verdict}", flush=True
    )
