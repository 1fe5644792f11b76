"""Compiles library and edge in place, for the Python that runs this: an extension beside each source file.

    python3 docker/packaging/compile.py FOLDER

FOLDER has copies of the packages session_timer and session_timer_kemi. Python takes the extension where it
fits, and the source where not: another Python, another processor. Needs mypy with mypyc, setuptools and a C
compiler.
"""

from __future__ import annotations

import os
import sys
from inspect import cleandoc
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

PACKAGES = ("session_timer", "session_timer_kemi")
GROUP = "session_timer"
"""The shared module that all extensions need, session_timer__mypyc, is named for it."""
PLAIN = {
    "session_timer/headers.py": "a generic dataclass with slots cannot be made in C",
    "session_timer/config/file.py": "a class within a function",
    "session_timer/config/reader.py": "mypyc's own check does not follow join() over an enum",
    "session_timer/session/transitions.py": "a subclass of dict; nothing at the edge needs it",
    "session_timer_kemi/check.py": "a command",
    "session_timer_kemi/make_key.py": "a command",
}
"""Modules that stay as they are, and why."""


def compiled(folder: Path) -> None:
    """Write the extensions. Ends the program with mypyc's complaint about what it cannot compile."""
    os.chdir(folder)
    found = {str(path) for package in PACKAGES for path in Path(package).rglob("*.py")}
    if gone := PLAIN.keys() - found:
        sys.exit(f"compile.py: PLAIN names what is not there: {', '.join(sorted(gone))}")
    sources = sorted(found - PLAIN.keys())
    extensions = mypycify(["--strict", "--follow-imports=silent", *sources], group_name=GROUP)
    setup(name=GROUP, packages=[], ext_modules=extensions, script_args=["build_ext", "--inplace"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(cleandoc(__doc__))
    compiled(Path(sys.argv[1]))
