"""What HTML pages of one file have in common."""

from __future__ import annotations

import base64
import hashlib
import json


def embedded_json(value: object) -> str:
    """A value as JSON for a script element, which only a ``<`` could end."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def content_hash(text: str) -> str:
    """A script or a style as a source of a content security policy (W3C, CSP Level 3)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
