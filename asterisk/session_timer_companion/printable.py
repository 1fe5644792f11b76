"""What others say, a peer in its Call-ID or the system in an error, as a terminal and a log may have it."""

from __future__ import annotations

import os
import re

# Control characters, those that turn the direction of text, other ends of line, and halves of characters.
_STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""`text` with `\u001b` in place of an escape, and so on: JSON's way to write what steers a terminal.

    Line ends stay.
    """
    return _STEERS.sub(lambda found: rf"\u{ord(found[0]):04x}", text)


def system_reason(error: BaseException) -> str:
    """Why a file or a connection failed, as the system says it, without the words of a library around it."""
    number = getattr(error, "errno", None)
    # Those of name resolution are negative, and have their own words.
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
