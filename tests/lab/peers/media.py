"""Descriptions of more than audio, as a far side writes them, and what of them a refresh must not change."""

from __future__ import annotations

AUDIO = (
    "m=audio 6000 RTP/AVP 8 101",
    "a=rtpmap:8 PCMA/8000",
    "a=rtpmap:101 telephone-event/8000",
    "a=fmtp:101 0-16",
    "a=sendrecv",
)
VIDEO = (
    "m=video 6002 RTP/AVP 97",
    "a=rtpmap:97 H264/90000",
    "a=fmtp:97 profile-level-id=42e01f;packetization-mode=1",
    "a=sendrecv",
)
SDES = (
    "m=audio 6000 RTP/SAVP 8",
    "a=rtpmap:8 PCMA/8000",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz",
    "a=sendrecv",
)
DTLS = (
    "m=audio 6000 UDP/TLS/RTP/SAVP 8",
    "a=rtpmap:8 PCMA/8000",
    "a=setup:actpass",
    f"a=fingerprint:SHA-256 {':'.join(['AB'] * 32)}",
    "a=sendrecv",
)
FAX = (
    "m=image 6004 udptl t38",
    "a=T38FaxVersion:0",
    "a=T38MaxBitRate:14400",
    "a=T38FaxRateManagement:transferredTCF",
    "a=T38FaxMaxDatagram:90",
    "a=T38FaxUdpEC:t38UDPRedundancy",
)


def described(address: str, *streams: tuple[str, ...], version: int = 1) -> str:
    """An offer or answer with these streams; ``version`` is that of its o= line."""
    rows = (
        "v=0",
        f"o=carrier 7 {version} IN IP4 {address}",
        "s=-",
        f"c=IN IP4 {address}",
        "t=0 0",
        *(row for stream in streams for row in stream),
    )
    return "".join(f"{row}\r\n" for row in rows)


def rows(body: bytes) -> tuple[str, ...]:
    """Every line but o=, whose version may count on."""
    return tuple(row for row in body.decode().splitlines() if not row.startswith("o="))


def attributes(body: bytes, *names: str) -> tuple[str, ...]:
    """The a= lines of these names, in their order."""
    found = (row for row in rows(body) if row.startswith("a="))
    return tuple(row for row in found if row.removeprefix("a=").partition(":")[0] in names)


def streams(body: bytes) -> tuple[str, ...]:
    """The m= lines."""
    return tuple(row for row in rows(body) if row.startswith("m="))
