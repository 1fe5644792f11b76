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
_SIGNATURE_BYTES = 16


@lru_cache(4)
def _mac_key(secret: bytes) -> bytes:
    """A key of the length that BLAKE2s takes, from one of any length."""
    return hashlib.blake2b(secret).digest()[: hashlib.blake2s.MAX_KEY_SIZE]


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
        """Sign `texts` for one purpose; 32 hexadecimal digits.

        By keyed BLAKE2s (RFC 7693): the edge signs once a call, and an HMAC takes three times as long.
        """
        # The length goes first: else two texts could be read as two others.
        signed = "".join([f"{len(text)}:{text}" for text in (purpose, *texts)])
        mac = hashlib.blake2s(
            signed.encode("utf-8", "surrogateescape"),
            key=_mac_key(self._secret),
            digest_size=_SIGNATURE_BYTES,
        )
        return mac.hexdigest()

    def verifies(self, given: str, purpose: str, *texts: str) -> bool:
        """Whether `given` is the signature of these texts; takes the same time whatever is wrong with it."""
        expected = self.signature(purpose, *texts)
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode("ascii"))

    @property
    def door_token(self) -> str:
        """What the companion shows at the edge's door, as a bearer token (RFC 6750 2.1)."""
        return self.signature("door")
