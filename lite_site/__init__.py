"""The demo site: what is on it, how it is built and served, and the headless notebook runner."""

import sys

# nbformat imports jsonschema 4.26, and that takes rfc3987-syntax 1.1.0 if it is there, which builds a
# grammar of seconds on import, for a format (IRI) that notebooks do not have.
sys.modules.setdefault("rfc3987_syntax", None)
