"""docs/how-to/install-packages.md: what it has a reader type, by section."""

from __future__ import annotations

import re
from textwrap import dedent

from tests.lab.parts.replicated_edges import NATIVE_PAGE, added
from tests.lab.stack import ROOT, Stack

PAGE = (ROOT / "docs/how-to/install-packages.md").read_text(encoding="utf-8")
EDGE_ADDRESS = "192.0.2.10"
ASTERISK_ADDRESS = "192.0.2.20"
EDGE_SETTINGS = "/etc/kamailio/session-timer.yaml"
COMPANION_SETTINGS = "/etc/session-timer/session-timer.yaml"
_INCLUDE = 'include_file "session-timer-native.cfg"'


def commands(section: str) -> list[str]:
    """The blocks of commands below a heading, up to the next one."""
    text = re.split(rf"^##+ {re.escape(section)}$", PAGE, flags=re.MULTILINE)[1]
    text = re.split(r"^##+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [dedent(each) for each in re.findall(r"(?:^ {4}.*\n)+", outside, re.MULTILINE)]


def kamailio_cfg(stock: str, stack: Stack) -> str:
    """Debian's kamailio.cfg with the lines of native.md and this page, and its numbers sent to Asterisk."""
    lines = NATIVE_PAGE.read_text(encoding="utf-8").replace("198.18.0.10", stack.edge)
    (include,) = re.findall(r'^ *\+(include_file ".*")$', PAGE, re.MULTILINE)
    config = added(stock, lines)
    assert config.count(_INCLUDE) == 1
    return routed(config.replace(_INCLUDE, include), stack)


def routed(config: str, stack: Stack) -> str:
    """The stock configuration's own switch: numbers in international form go to a gateway."""
    assert 'pstn.gw_ip = ""' in config
    config = config.replace('pstn.gw_ip = ""', f'pstn.gw_ip = "{stack.asterisk}"')
    return config.replace("#!KAMAILIO", "#!KAMAILIO\n#!define WITH_PSTN", 1)
