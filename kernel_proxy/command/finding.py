"""What `jupyter torch-proxy doctor` says of one thing."""

from dataclasses import dataclass

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One line: `level` is OK, WARNING or PROBLEM, `advice` what to do next."""

    level: str
    text: str
    advice: str = ""

    def __str__(self) -> str:
        said = f"{self.level:9}{self.text}"
        return f"{said}\n{'':9}-> {self.advice}" if self.advice else said


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(OK, text)


def warning(text: str, advice: str) -> Finding:
    """It works, and not as somebody may expect."""
    return Finding(WARNING, text, advice)


def problem(text: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(PROBLEM, text, advice)
