"""The frame of a page that shows ladders: one self-contained file, for light and dark screens."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1f2933; --paper: #f4f6f9; --card: #fff; --line: #d5dbe3;
  --good: #14783c; --bad: #b3214f; --faint: #5a6673 }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe6ee; --paper: #12171e; --card: #1a212b;
  --line: #323d4a; --good: #58c98a; --bad: #ff7a9c; --faint: #98a5b3 } }
body { margin: 0 auto; max-width: 64rem; padding: 2rem 1.5rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
h1 { margin: 0 0 .3rem } h2 { margin: 3rem 0 .2rem; overflow-wrap: anywhere } p { max-width: 46rem }
.good { color: var(--good) } .bad { color: var(--bad) } .faint { color: var(--faint) }
svg { max-width: 100%; height: auto; display: block; margin: 1rem 0 }
.drawn { overflow-x: auto } .drawn svg { min-width: 34rem }
table { border-collapse: collapse; width: 100%; background: var(--card); font-size: 14px }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border: 1px solid var(--line);
  overflow-wrap: anywhere }
td:first-child { overflow-wrap: break-word }
body { display: flex; flex-direction: column } .first { order: -1 }
""".strip()


def head(title: str, heading: str, introduction: str) -> str:
    """The beginning of the page, up to its first section."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            f'<h1 class="first">{escape(heading)}</h1>',
            f'<p class="faint first">{escape(introduction)}</p>',
        ]
    )


def table(names: Iterable[str], rows: Iterable[str]) -> str:
    """A table; each of its rows is markup of its own. Without a name it has no row of names."""
    head_row = "".join(f"<th>{escape(name)}</th>" for name in names)
    head_rows = f"<thead><tr>{head_row}</tr></thead>" if head_row else ""
    body = "\n".join(rows)
    return f"<table>{head_rows}<tbody>\n{body}\n</tbody></table>"


def cells(*texts: str) -> str:
    """Plain texts as cells of a row."""
    return "".join(f"<td>{escape(text)}</td>" for text in texts)


def drawn(picture: str) -> str:
    """A picture that a narrow screen moves sideways, because it could not be read any smaller."""
    return f'<div class="drawn" tabindex="0">{picture}</div>'


FOOT = "</body></html>\n"
