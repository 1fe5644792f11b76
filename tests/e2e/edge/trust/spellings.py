"""The ways to write a row of the internal header that Asterisk's parser may read, from its own grammar.

pjsip ends a row at CRLF, at a lone CR, at a lone LF and at ``&``. It passes over blanks and folds between a
name, its colon and its value, and over blanks behind ``&``. It takes names in any case, reads quoted texts
across the ends of rows, and a number up to its last digit. Kamailio ends a row at LF alone, and a regular
expression sees nothing behind a NUL.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple


class Asterisk(Enum):
    """What Asterisk makes of a message with such a row."""

    READS = auto()
    """Its dialplan finds the internal header there."""
    PASSES_OVER = auto()
    """It takes the call and finds no such header."""
    DROPS = auto()
    """It takes no such message."""


class Edge(Enum):
    """What becomes of it at the edge."""

    TAKEN_OFF = auto()
    """Kamailio finds the same rows, and they go."""
    REFUSED = auto()
    """Requests are answered 400, responses are dropped."""
    UNPARSABLE = auto()
    """Kamailio itself drops the request; a response is dropped by us."""


class Spelling(NamedTuple):
    """A row; ``{value}`` in it is what an outsider wants the companion to believe."""

    row: str
    asterisk: Asterisk
    edge: Edge = Edge.REFUSED


SPELLINGS = {
    "plain": Spelling("X-Session-Timer: {value}", Asterisk.READS, Edge.TAKEN_OFF),
    "twice": Spelling("X-Session-Timer: {value}\r\nx-session-timer: {value}", Asterisk.READS, Edge.TAKEN_OFF),
    "any case, blanks before the colon": Spelling(
        "x-SESSION-timer \t: {value}", Asterisk.READS, Edge.TAKEN_OFF
    ),
    "no blank behind the colon": Spelling("X-Session-Timer:{value}", Asterisk.READS, Edge.TAKEN_OFF),
    "fold before the value": Spelling("X-Session-Timer:\r\n {value}", Asterisk.READS),
    "fold before the colon": Spelling("X-Session-Timer\r\n : {value}", Asterisk.READS, Edge.UNPARSABLE),
    "fold behind a number": Spelling("Min-Expires: 5\r\n X-Session-Timer: {value}", Asterisk.DROPS),
    "fold in another row": Spelling("X-Other: 1\r\n X-Session-Timer: {value}", Asterisk.PASSES_OVER),
    "lone CR": Spelling("X-Other: 1\rX-Session-Timer: {value}", Asterisk.READS),
    "lone CR and a plain row": Spelling(
        "X-Other: 1\rX-Session-Timer: {value}\r\nX-Session-Timer: {value}", Asterisk.READS
    ),
    "lone CR, fold before the colon": Spelling("X-Other: 1\rX-Session-Timer\r\n : {value}", Asterisk.READS),
    "lone CR in a row of that name": Spelling(
        "X-Session-Timer: {value}\rX-Session-Timer: {value}", Asterisk.READS
    ),
    "lone LF": Spelling("X-Other: 1\nX-Session-Timer: {value}", Asterisk.READS),
    "CR CR LF": Spelling("X-Other: 1\r\r\nX-Session-Timer: {value}", Asterisk.PASSES_OVER),
    "& behind a number": Spelling("Min-Expires: 5&X-Session-Timer: {value}", Asterisk.READS),
    "& and a blank": Spelling("Min-Expires: 5& \tX-Session-Timer : {value}", Asterisk.READS),
    "& behind a content type": Spelling(
        "Content-Disposition: session&X-Session-Timer: {value}", Asterisk.PASSES_OVER
    ),
    "& behind a contact": Spelling(
        "Contact: <sip:carrier@127.0.0.1>&X-Session-Timer: {value}", Asterisk.READS
    ),
    "within Supported": Spelling("Supported: timer, foo\rX-Session-Timer: {value}", Asterisk.READS),
    "within Require": Spelling("Require: timer\rX-Session-Timer: {value}", Asterisk.READS),
    "& within Supported": Spelling("Supported: timer, foo&X-Session-Timer: {value}", Asterisk.PASSES_OVER),
    "NUL in a quoted name": Spelling(
        'P-Asserted-Identity: "a\0b" <sip:a@b>\r\nX-Session-Timer: {value}', Asterisk.DROPS
    ),
    "NUL and a lone CR": Spelling("X-Other: a\0b\rX-Session-Timer: {value}", Asterisk.DROPS),
    "open quote": Spelling('X-Other: "a\r\nX-Session-Timer: {value}', Asterisk.READS),
}
