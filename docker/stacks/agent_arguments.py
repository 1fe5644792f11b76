"""What every user agent in Python is told on its command line; `sofia/agent.c` reads the same."""

from __future__ import annotations

import argparse


def read() -> argparse.Namespace:
    """The arguments; ends the program with what is wrong where they are not complete."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--local", required=True, help="this agent's address; it listens at port 5060")
    parser.add_argument("--edge", required=True, help="the address that it calls through")
    parser.add_argument("--call", metavar="USER", help="call this user; without it the agent answers")
    parser.add_argument("--expires", type=int, default=90, help="Session-Expires that it asks for, seconds")
    parser.add_argument("--min-se", type=int, default=90, help="Min-SE, seconds")
    parser.add_argument("--refresher", choices=("uac", "uas"), help="who shall refresh; else it is open")
    parser.add_argument("--method", choices=("update", "invite"), default="update", help="how it refreshes")
    parser.add_argument("--timer", choices=("off", "optional", "required", "always"), default="optional")
    parser.add_argument("--through", metavar="ADDRESS", help="an outbound proxy before the edge")
    parser.add_argument("--hold-after", type=int, default=0, metavar="SECONDS", help="0: never")
    return parser.parse_args()
