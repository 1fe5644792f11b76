"""The page at `/`: one file, and the policy that keeps everything else out of it."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from pathlib import Path

_FILE = Path(__file__).with_name("page.html")


@functools.cache
def page() -> tuple[bytes, str]:
    """The page, and its Content-Security-Policy: its own script and style, asking only who sent it.

    Nothing else runs in it, whatever a peer has put into a name.
    """
    text = _FILE.read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src {_digest(text, 'script')}; style-src {_digest(text, 'style')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return text.encode(), policy


def _digest(text: str, element: str) -> str:
    (inside,) = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
    return f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"
