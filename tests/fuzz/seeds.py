"""Writes the first inputs of the corpus: one of each kind, from which the fuzzer finds the rest.

``python -m fuzz.seeds``
"""

from __future__ import annotations

from pathlib import Path

from session_timer import Agreement, DialogTimer, Failure, InternalHeader, Record, Side

_DIALOG = DialogTimer(Agreement(1800, Side.LOCAL), 300, peer_supports=True, peer_allows_update=True)
_POLICY = bytes([0, 5, 0, 0, 0, 0, 0])
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
        Record("tag-a", _DIALOG, "host:1", 12.5, "remote:2", 3, None, "carrier-a").encode().encode(),
        Record("t;a", DialogTimer(), "h", 0.0, failure=Failure(503, Side.LOCAL, 4.0, 7)).encode().encode(),
    ),
    "internal_header": (
        InternalHeader(_DIALOG.agreement, rpc="udp:198.18.0.10:8090", peer='a "b" \\').encode().encode(),
        InternalHeader(None).encode().encode(),
    ),
    "config": (
        b'{"session_timer":{"default_expires":1800,"min_se":90,"prefer_refresher":"uas","use_update":true},'
        b'"asterisk":["198.18.0.20"],"peers":[{"name":"a","match":{"address":["198.18.0.41/32"],'
        b'"domain":["a.example"],"name":["b"]},"session_timer":{"min_se":300,"expiry":"report"}}],'
        b'"edge":{"rpc":"udp:198.18.0.10:8090","header":"X-T","learned_min_se":60,"bye_on_expiry":true}}',
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
