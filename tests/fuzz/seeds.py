"""Writes the first inputs of the corpus: one of each kind, from which the fuzzer finds the rest.

``python -m tests.fuzz.seeds``
"""

from __future__ import annotations

from pathlib import Path

from session_timer import Agreement, Asked, DialogTimer, Outcome, Record, Side

_DIALOG = DialogTimer(Agreement(1800, Side.LOCAL), 300, peer_supports=True, peer_allows_update=True)
_POLICY = bytes([0, 5, 0, 0, 0, 0, 0])
_TIMED_OUT = Asked("UPDATE", 102, 4.0, Outcome.TIMED_OUT, ended=16.0)
_REFUSED = Asked("INVITE", 7, -2.0, Outcome.REFUSED, 491, -1.9, 7)
_NO_DIALOG = bytes([0, 0])

SEEDS: dict[str, tuple[bytes, ...]] = {
    "session_expires": (
        b"1800",
        b' 0090 ; Refresher = UAC;x="a;b\\"";y',
        b"90;refresher=uas;host=[2001:db8::1]",
        b'4294967296;refresher="uac"',
        b"1800;refresher=uac;refresher=uas",
    ),
    "min_se": (b"90", b"120;foo=1", b"99999999999999999999"),
    "repeated_rows": (b"1800\n600;refresher=uac", b"1800, 1800", b"90;"),
    "option_tag_lists": (b"100rel, timer\n\nTIMER,,path", b"INVITE, ACK, UPDATE"),
    "uas_answer": (
        _POLICY + _NO_DIALOG + b"\0\0Session-Expires: 1800;refresher=uac\nSupported: timer\nMin-SE: 90",
        _POLICY + _NO_DIALOG + b"\0\1x: 89\nk: 100rel\nRequire: timer\nAllow: INVITE, UPDATE",
    ),
    "uac_accept": (
        _POLICY + _NO_DIALOG + b"\0\0\0\1\1Session-Expires: 600;refresher=uas\nRequire: timer",
        _POLICY + _NO_DIALOG + b"\0\5\0\1\1Min-SE: 3600\nRetry-After: 10 (soon)",
    ),
    "record": (
        Record("tag-a", _DIALOG, "host:1", 12.5, "remote:2", 3, "carrier-a", placed=Side.LOCAL)
        .encode()
        .encode(),
        Record("t;a", DialogTimer(), "h", -9.0, ours=_TIMED_OUT, theirs=_REFUSED, on_path=True)
        .encode()
        .encode(),
        b"v=1;interval=1800;refresher=local;one_sided=0;min_se=0;supports=1;update=1;refreshes=3;clock=h;at=-5.000;"
        b"last=local:2;local=a;peer=;failure=481;failed_by=local;failed_at=1.000;retry_after=",
    ),
    "internal_header": (
        b"1800;refresher=local;allow=UPDATE;edge=edge-1;peer=a%20b;placed=remote;v=2",
        b"0;refresher=none;allow=INVITE;v=2",
    ),
    "config": (
        b'{"session_timer":{"default_expires":1800,"min_se":90,"prefer_refresher":"uas","use_update":true},'
        b'"asterisk":["198.18.0.20"],"peers":[{"name":"a","match":{"address":["198.18.0.41/32"],'
        b'"domain":["a.example"],"name":["b"]},"session_timer":{"min_se":300,"expiry":"report"}}],'
        b'"edge":{"name":"e","door":"http://198.18.0.10:8090","header":"X-T","learned_min_se":60,"bye_on_expiry":true}}',
        b'{"peers":[{"name":1,"match":[]},{}],"unsafe_lab_intervals":true,"session_timer":{"min_se":1}}',
    ),
    "session_events": (
        _POLICY + b"\0\3\5\0\0\10\5\10\3\10\5\10\3",
        _POLICY + b"\0\1\5\0\0\10\5\10\3\10\2\14\0\10\5",
        _POLICY + b"\0\63\5\0\0\10\5\1\2\5\0\0\10\5\1\2\13\0\0\10\5\10\4",
    ),
}


def main() -> None:
    corpus = Path(__file__).parent / "corpus"
    for target, inputs in SEEDS.items():
        folder = corpus / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(inputs, 1):
            (folder / f"seed-{number}").write_bytes(data)


if __name__ == "__main__":
    main()
