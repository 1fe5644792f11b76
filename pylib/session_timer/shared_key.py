"""The key that edge and companion share: it signs the internal header and opens the edge's door.

Whoever lacks it can neither speak in the internal header nor read a record. No key leaves this object but
as a signature, and `repr` shows none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from functools import lru_cache

SHORTEST = 32
"""Characters. A key of so many, drawn at random from the 64 allowed ones, has 192 bits."""

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SIGNATURE_LENGTH = 32
"""Hexadecimal digits: 128 bits of SHA-256."""


@lru_cache(4)
def _keyed(secret: bytes) -> hmac.HMAC:
    """What every signature by this key begins with."""
    return hmac.new(secret, digestmod=hashlib.sha256)


@dataclass(frozen=True, slots=True)
class SharedKey:
    """Call `parse` for one; `signature` and `verifies` name the purpose, so that no signature serves two."""

    _secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> SharedKey:
        """Read the first line of a key file. Raises `ValueError` with what is wrong, never with the key."""
        lines = text.splitlines()
        line = lines[0].strip() if lines else ""
        if len(line) < SHORTEST:
            raise ValueError(
                f"the first line must be a key of at least {SHORTEST} characters, it has {len(line)}"
            )
        if _KEY.fullmatch(line) is None:
            raise ValueError("the key may have letters, digits, '-' and '_' only")
        return cls(line.encode("ascii"))

    def signature(self, purpose: str, *texts: str) -> str:
        """Sign `texts` for one purpose; 32 hexadecimal digits."""
        signed = _keyed(self._secret).copy()
        for text in (purpose, *texts):
            data = text.encode("utf-8", "surrogateescape")
            # The length goes first: else two texts could be read as two others.
            signed.update(len(data).to_bytes(8, "big") + data)
        return signed.hexdigest()[:_SIGNATURE_LENGTH]

    def verifies(self, given: str, purpose: str, *texts: str) -> bool:
        """Whether `given` is the signature of these texts; takes the same time whatever is wrong with it."""
        expected = self.signature(purpose, *texts)
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode("ascii"))

    @property
    def door_token(self) -> str:
        """What the companion shows at the edge's door, as a bearer token (RFC 6750 2.1)."""
        return self.signature("door")
