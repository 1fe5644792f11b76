"""What an operator's shell has after the installation: manual pages, and words to complete."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from session_timer_companion.cli import main

from tests.lab.parts.clean_host import CleanHost, booted
from tests.lab.stack import Stack
from tests.packages.install_page import commands
from tests.packages.site import PACKAGES, noninteractive

BASH = """
. /usr/share/bash-completion/bash_completion
. /usr/share/bash-completion/completions/session-timer
complete -p session-timer >/dev/null
COMP_WORDS=({words}) COMP_CWORD={last}
_session_timer_completion session-timer
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def host(stack: Stack) -> Iterator[CleanHost]:
    stack.down()
    stack.compose("up", "-d", "--no-deps", "carrier")
    try:
        with booted(stack, "companion", "trixie", 30, PACKAGES) as found:
            found.shell(f"cd /packages/trixie; {noninteractive(commands('The companion')[0])}")
            found.shell(noninteractive("apt install man-db bash-completion zsh fish"))
            yield found
    finally:
        stack.down()


@pytest.mark.parametrize("name", ["", *sorted(main.commands)])
def test_each_command_has_a_manual_page_that_is_well_formed(host: CleanHost, name: str) -> None:
    page = "-".join(filter(None, ("session-timer", name)))
    read = f"LC_ALL=C.UTF-8 MANWIDTH=100 man --warnings --encoding=utf-8 {page}"
    assert host.shell(f"{read} 2>&1 >/dev/null") == ""
    shown = " ".join(host.shell(f"{read} 2>/dev/null").split())
    command = main.commands[name] if name else main
    for parameter in command.params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in shown
    assert " ".join((command.help or "").split("\n", maxsplit=1)[0].split()) in shown


def test_bash_completes_commands_and_options(host: CleanHost) -> None:
    assert host.shell(BASH.format(words="session-timer se", last=1)).split() == ["sessions"]
    options = host.shell(BASH.format(words="session-timer doctor --", last=2)).split()
    assert {"--endpoint", "--listen", "--quiet"} <= set(options)


def test_fish_completes_commands_and_options(host: CleanHost) -> None:
    assert host.shell("fish -c 'complete -C \"session-timer se\"'").split()[0] == "sessions"
    assert "--endpoint" in host.shell("fish -c 'complete -C \"session-timer doctor --\"'")


def test_zsh_knows_who_completes_the_command(host: CleanHost) -> None:
    script = "autoload -U compinit && compinit -D -u && print $_comps[session-timer]"
    assert host.shell(f"zsh -fc '{script}'").strip() == "_session-timer"
    words = "words=(session-timer se) CURRENT=2"
    asked = 'env COMP_WORDS="${words[*]}" COMP_CWORD=1 _SESSION_TIMER_COMPLETE=zsh_complete session-timer'
    assert "sessions" in host.shell(f"zsh -fc '{words}; {asked}'").split()


def test_the_command_says_its_release(host: CleanHost) -> None:
    version = host.shell("dpkg-query -W -f '${Version}' session-timer-companion").partition("~")[0]
    assert host.shell("session-timer --version").split()[-1] == version
