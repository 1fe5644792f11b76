"""What a peer made up, such as its Call-ID, as a terminal and a log may have it."""

from __future__ import annotations

import re

# Control characters, those that turn the direction of text, other ends of line, and halves of characters.
_STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""`text` with `\u001b` in place of an escape, and so on: JSON's way to write what steers a terminal.

    Line ends stay.
    """
    return _STEERS.sub(lambda found: rf"\u{ord(found[0]):04x}", text)
