"""Every transport in the kamailio.cfg that Kamailio ships with, by the lines of docs/how-to/native.md."""

from __future__ import annotations

import re
import runpy

from tests.lab.stack import ROOT

PAGE = (ROOT / "docs" / "how-to" / "native.md").read_text(encoding="utf-8")
_make = runpy.run_path(str(ROOT / "docker" / "edge" / "native" / "make"))

PAGES_ADDRESS = "198.18.0.10"
SWITCHES = """
#!define WITH_PSTN
#!define SESSION_TIMER_SCRIPT "/checkout/kamailio/session-timer.py"
"""
"""Numbers go to Asterisk."""
FIRST = "#!KAMAILIO\n"
BEFORE_TLS = "####### Modules Section ########\n"
BEFORE_LISTEN = "# listen=udp:10.0.0.10:5060\n"
GATEWAY = 'pstn.gw_ip = ""'
INCLUDED = 'include_file "session-timer-native.cfg"\n'
TO_GATEWAY = "+ $sel(cfg_get.pstn.gw_port);\n\t}\n"
"""Where the stock configuration has found the gateway."""


def config(stock: str, edge: str, asterisk: str, tls: str, listeners: str) -> str:
    """The stock configuration with all of it.

    ``edge`` and ``asterisk`` are addresses of IPv4, ``tls`` and ``listeners`` lines that both pages share.
    """
    page = PAGE.replace(PAGES_ADDRESS, edge)
    text = str(_make["native"](stock, page))
    text = str(_make["added"](text, page.replace("```diff", "```").replace("```ws-diff", "```diff")))
    over = "".join(
        f'\tif ($fU == "over-{name}") $du = "sip:{asterisk}{port};transport={name}";\n'
        for name, port in (("tcp", ""), ("tls", ":5061"))
    )
    for old, new in (
        (FIRST, FIRST + SWITCHES),
        (BEFORE_TLS, BEFORE_TLS + tls),
        (BEFORE_LISTEN, BEFORE_LISTEN + listeners),
        (GATEWAY, GATEWAY.replace('""', f'"{asterisk}"')),
        (INCLUDED, _block("ws-modules") + INCLUDED),
        (TO_GATEWAY, TO_GATEWAY + over),
    ):
        assert text.count(old) == 1, f"{text.count(old)} times: {old!r}"
        text = text.replace(old, new)
    return text + _block("ws-routes")


def _block(name: str) -> str:
    found = re.findall(rf"^```{name}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{len(found)} blocks {name} in native.md"
    return str(found[0])
