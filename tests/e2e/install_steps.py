"""The section Install of asterisk/README.md: its steps, what they have a reader type, what they show."""

from __future__ import annotations

import re
from textwrap import dedent

from tests.lab.stack import ROOT

INSTALL = (ROOT / "asterisk/README.md").read_text(encoding="utf-8").split("## Install", 1)[1]


def step(number: int) -> str:
    return INSTALL.split(f"\n{number}. ", 1)[1].split(f"\n{number + 1}. ", 1)[0].split("\n## ", 1)[0]


def blocks(text: str, kind: str) -> list[str]:
    """Every block of this kind, such as ``yaml``."""
    return [
        dedent(each) for each in re.findall(rf"^ *```{kind}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    ]


def fenced(text: str, kind: str) -> str:
    """The only block of this kind."""
    (block,) = blocks(text, kind)
    return block


def typed(text: str) -> list[str]:
    """The commands of a step, block by block."""
    outside = re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"(?:^ {7}.*\n)+", outside, re.MULTILINE)
