"""What an origin is."""

from urllib.parse import urlsplit


def exact_origin(text: str) -> str:
    """Return `text` as a browser writes an origin; ValueError for a pattern or no origin at all."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"{text!r} is no origin: write it as https://name.github.io. `*` and `null` are refused, "
            "because any page of the web could then run code here."
        )
    if "*" in parts.netloc or parts.username or parts.password:
        raise ValueError(f"{text!r} is no exact origin: name each host by itself.")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"
