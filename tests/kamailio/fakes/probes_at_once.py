"""Probes of messages that are read in one text, and by a call for each value."""

from __future__ import annotations

from typing import Any

_PARTS = "\x01"
_VALUES = ("$ci", "$ft", "$tt", "$cs", "$avp(named)", "$avp(empty)", "$hdr(To)", "$hdr(Contact)")
_HEADERS = ("Session-Expires", "Min-SE", "Supported", "Require", "Proxy-Require", "Allow", "CSeq")


def _at_once(*rows: str) -> dict[str, Any]:
    """Reads these rows in one text, as `ksr.AtOnce` does, and by a call for each."""
    counts = ",".join(f"$hdrc({header})" for header in _HEADERS)
    each = [f"$(hdr({header})[*])" for header in _HEADERS]
    text = f"$_s({_PARTS.join(('', *_VALUES, counts, *each))})"
    return {
        "rows": ["X-Answered: here", *rows],
        "request": [
            ["pv.sets", "$avp(named)", "<null>"],
            ["pv.sets", "$avp(empty)", ""],
            ["pv.get", text],
            *(["pv.get", name] for name in (*_VALUES, *each)),
            ["sl.send_reply", 486, "Read"],
        ],
    }


READ_AT_ONCE: dict[str, dict[str, Any]] = {
    "at-once-ordinary": _at_once(
        "Contact: <sip:a@127.0.0.1>", "Supported: timer", "x: 1800;refresher=uac", "Min-SE:", "Allow: INVITE"
    ),
    "at-once-of-several-rows": _at_once(
        "k: a", "Supported:", "supported: timer", "Allow: INVITE", "ALLOW: BYE", "Require: ", "Require: b"
    ),
    "at-once-folded": _at_once("Supported: a,\r\n  timer", "Contact:\r\n\t<sip:a@127.0.0.1>"),
    "at-once-the-word-itself": _at_once("Supported: <null>", "Contact: <null>", "Require: <NULL>"),
    "at-once-what-parts-it": _at_once("Supported: a\x01b", "Require: \x01"),
    "at-once-zero": _at_once("Supported: a\0b"),
    "at-once-no-utf-8": _at_once("Supported: timer\u00ff", "Require: a"),
    "at-once-utf-8": _at_once("Supported: timer\u00c3\u00a9"),
    "at-once-half-a-character": _at_once("Supported: a\u00c3", "Require: \u00a9"),
    "at-once-what-looks-like-a-name": _at_once("Supported: $ci", "Require: $(hdr(To)[*])", "Allow: )"),
    "at-once-no-room-for-all": _at_once("Supported: " + "a" * 5000, "Require: " + "b" * 5000),
    "at-once-no-room-for-all-of-more": _at_once(
        *(f"{header}: {'a' * 14000}" for header in ("Supported", "Require", "Allow"))
    ),
    "at-once-no-room-for-one": _at_once("Supported: " + "a" * 9000),
    "at-once-no-room-for-rows-of-one": _at_once(*("Supported: " + "a" * 5000,) * 2),
    "at-once-as-long-as-can-be": _at_once("Supported: " + "a" * 8191),
    "at-once-a-byte-less": _at_once("Supported: " + "a" * 7900),
    "at-once-unparsable": {
        "rows": ["Supported: timer", "Retry-After: soon"],
        "request": _at_once()["request"][:-1],
        "answers": [],
    },
}
