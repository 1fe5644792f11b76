"""Every call into Kamailio, and nothing else: what we read of a message, and what we change.

`KSR` is the module that Kamailio puts into its Python; tests put a strict double in its place.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice

import KSR

_MOST_HEXA = 32767
"""Bytes that Kamailio makes a hexadecimal text of; of a longer value it makes none, without a word."""

_FOLD = re.compile(r"\r?\n[ \t]+")
_CONTROLS = re.compile(r"[\0\r\n]")
_STRAY_CONTROLS = re.compile(r"\0|\r(?!\n)|(?<!\r)\n")
_URI = re.compile(r"sips?:[^>\s]*")
_MOST_ROUTES = 32
"""Of a message that are looked at: for each that is no address Kamailio writes a line of its own."""

_NULL = "<null>"
"""What Kamailio prints for a pseudo-variable that has no value."""

_PARTS = "\x01"
"""Parts the fields of what is read at once: no sender has a use for it."""

_LONGEST_LINE = 2000
"""Characters of a line in the log, parts of which a sender chooses."""


def error(text: str) -> None:
    KSR.err(_line(text))


def warn(text: str) -> None:
    KSR.warn(_line(text))


def info(text: str) -> None:
    KSR.info(_line(text))


def _line(text: str) -> str:
    """One line of the log, whatever a sender has put into its Call-ID."""
    if len(text) > _LONGEST_LINE:
        half = _LONGEST_LINE // 2
        text = f"{text[:half]}…{text[-half:]}"
    if not text.isprintable():
        text = "".join(each if each.isprintable() else "\ufffd" for each in text)
    return text + "\n"


def pv(name: str) -> str:
    """A pseudo-variable's value as text; empty if it has none."""
    try:
        text = str(KSR.pv.gete(name))
    except UnicodeDecodeError:
        text = _as_latin_1(name)
    return text.replace("\0", "\ufffd") if "\0" in text else text  # 5.6 takes no zero byte from Python


def pvs(*names: str) -> list[str]:
    """Several of them at once, which takes a third of the time."""
    try:
        texts = list(map(str, map(KSR.pv.gete, names)))
    except UnicodeDecodeError:
        return [pv(name) for name in names]
    return [pv(name) for name in names] if "\0" in "".join(texts) else texts


class AtOnce:
    """What `pvs` says of some variables and `rows` of some headers, by one call into Kamailio.

    Kamailio prints them into one text. What cannot be told apart there is read by a call for each.
    """

    def __init__(self, variables: tuple[str, ...], headers: tuple[str, ...]) -> None:
        self._variables, self._headers = variables, headers
        counts = ",".join(f"$hdrc({header})" for header in headers)
        fields = ("", *variables, counts, *_row_variables(headers))
        # Kamailio parses the name of a pseudo-variable once, and with it the text inside of this one.
        self._name = f"$_s({_PARTS.join(fields)})"
        self._places = len(fields)
        self._counts = 1 + len(variables)

    def read(self) -> tuple[list[str], list[str | None]]:
        """Of the message in hand: the variables' values, and the headers'."""
        try:
            text = KSR.pv.get(self._name) or ""
        except UnicodeDecodeError:
            text = ""
        fields = text.split(_PARTS)
        # The first is empty, unless Kamailio has so few buffers that it took this one twice.
        if len(fields) != self._places or fields[0] or "\0" in text:
            return self._each()
        values, found = fields[1 : self._counts], fields[self._counts + 1 :]
        if _NULL in found and found.count(_NULL) != fields[self._counts].split(",").count("0"):
            return self._each()  # a row says so, or there was no room for it
        if _NULL in values:
            values = [
                pv(name) if value == _NULL else value
                for name, value in zip(self._variables, values, strict=True)
            ]
        return values, _in_one_line([None if value == _NULL else value for value in found])

    def _each(self) -> tuple[list[str], list[str | None]]:
        return pvs(*self._variables), rows(self._headers)


def message_text() -> str:
    """The whole message as it came, zero bytes included."""
    try:
        return str(KSR.pv.gete("$mb"))
    except UnicodeDecodeError:
        return _as_latin_1("$mb")


def rows(headers: tuple[str, ...]) -> list[str | None]:
    """Headers' values, compact names included; repeated rows come as one, between commas. None: absent.

    Folds become blanks. What else would end a row for some parser is replaced, for parts of a value are
    written into rows of ours.
    """
    names = _row_variables(headers)
    try:
        values: list[str | None] = list(map(KSR.pv.get, names))
    except UnicodeDecodeError:
        values = list(map(_row, names))
    return _in_one_line(values)


def _in_one_line(values: list[str | None]) -> list[str | None]:
    if "".join(filter(None, values)).isprintable():
        return values
    return [value and _CONTROLS.sub("\ufffd", _FOLD.sub(" ", value)) for value in values]


def row(header: str) -> str | None:
    """One header's value."""
    return rows((header,))[0]


def _row(name: str) -> str | None:
    try:
        text: str | None = KSR.pv.get(name)
    except UnicodeDecodeError:
        return _as_latin_1(name)
    return text


@lru_cache(8)
def _row_variables(headers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"$(hdr({header})[*])" for header in headers)


def _as_latin_1(name: str) -> str:
    # SIP is UTF-8 (RFC 3261 7.3.1), its senders are not bound to it. Kamailio's Python has no bytes; read
    # as latin-1 every byte becomes a character that can also be handed back.
    bare = name[2:-1] if name.startswith("$(") else name[1:]
    pieces = (
        str(KSR.pv.gete(f"$({bare}{{s.substr,{start},{_MOST_HEXA}}}{{s.encode.hexa}})"))
        for start in range(0, int(KSR.pv.gete(f"$({bare}{{s.len}})")), _MOST_HEXA)
    )
    return bytes.fromhex("".join(pieces)).decode("latin-1")


def remove(header: str) -> bool:
    """Take off every row of a header, under both its names; False if no header can be parsed."""
    return bool(KSR.hdr.remove(header) > 0)


def append(rows: str) -> None:
    """Add header rows, each with its line end, to the message that is being routed.

    Raises `ValueError` for a value that some parser would read as more than one row.
    """
    if _STRAY_CONTROLS.search(rows):
        raise ValueError(f"no header rows: {rows!r}")
    KSR.hdr.append(rows)


def is_routed_through_us() -> bool:
    """Whether a Record-Route of the message in hand is an address of this Kamailio."""
    found = islice(_URI.finditer(row("Record-Route") or ""), _MOST_ROUTES)
    return any(KSR.is_myself(uri[0]) for uri in found)


def reply(code: int, reason: str, rows: str) -> None:
    """Answer the request ourselves, with these header rows; through its transaction, if it has one."""
    if rows:
        KSR.hdr.append_to_reply(rows)
    KSR.sl.send_reply(code, reason)


def end_transaction(code: int, reason: str) -> None:
    """In a failure route: answer the request so, instead of with what the branches brought."""
    KSR.tm.t_reply(code, reason)


def drop_reply() -> None:
    """In the reply route of a KEMI script: the response goes no further."""
    KSR.set_drop()


def wait_at_most(answered: float, ringing: float) -> None:
    """Seconds that this transaction waits for its first response, and for its final one once it rings."""
    KSR.tm.t_set_fr(int(ringing * 1000), int(answered * 1000))


def send_no_100() -> None:
    """In the request route: this INVITE's sender gets no 100 of ours, and repeats it until it is answered."""
    KSR.tm.t_set_auto_inv_100(0)


def belongs_to_a_transaction() -> bool:
    """In the core's reply route: whether tm still waits for this response, or for copies of it."""
    return bool(KSR.tm.t_check_trans() > 0)


def timed_out_here() -> bool:
    """In a failure route: whether this Kamailio's own timer has ended the wait, and no response of others."""
    return bool(KSR.tm.t_branch_timeout() > 0)


def remember(name: str, value: str) -> None:
    """Keep a text with the transaction, in place of the one before."""
    KSR.pv.sets(f"$(avp({name})[*])", value)


def recall(name: str) -> str:
    """A text kept with the transaction; empty if there is none."""
    return pv(f"$avp({name})")


def path_of_branch() -> str:
    """In a branch route: the Route set that a registration (RFC 3327) gives this branch; empty for none."""
    # Kamailio shows the Path of a branch that waits in its list, and not of the one in hand. So one is put
    # there, which takes over the Path in hand, and goes at once. Without corex there is no way.
    corex = getattr(KSR, "corex", None)
    if corex is None or corex.append_branch_uri("sip:path.invalid") < 0:
        return ""
    try:
        return pv("$(branch(path)[-1])")
    finally:
        KSR.pv.sets("$(branch(uri)[-1])", "")


def add_branch(uri: str, destination: str, path: str, socket: str, flags: int) -> bool:
    """In a failure route: the next relay sends the request there too, by this way; False if that cannot be.

    Empty texts are what a branch has by itself: no next hop but the Request-URI's, no Path, a socket that
    Kamailio chooses. The request in hand is left as it is: what it has of these is the first try's.
    """
    KSR.pvx.sbranch_reset()
    given = {"uri": uri, "dst_uri": destination, "path": path, "send_socket": socket}
    for name, value in given.items():
        if value:
            KSR.pv.sets(f"$sbranch({name})", value)
    KSR.pv.seti("$sbranch(flags)", flags)
    return bool(KSR.pvx.sbranch_append() > 0)


def table_get(table: str, key: str) -> str:
    """A value of a hash table; empty if it has none."""
    return str(KSR.htable.sht_gete(table, key) or "")


def table_set(table: str, key: str, value: str, lifetime: int) -> bool:
    """Put a value into a hash table for `lifetime` seconds; False if the table did not take it."""
    # Not by sht_setxs, both at once: up to Kamailio 6.0 an entry whose value grows is left without lifetime.
    taken = KSR.htable.sht_sets(table, key, value) > 0
    return bool(taken and KSR.htable.sht_setex(table, key, lifetime) > 0)


def table_put(table: str, key: str, value: str) -> None:
    """Put a value into a hash table whose entries have no lifetime."""
    KSR.htable.sht_sets(table, key, value)


def table_remove(table: str, key: str) -> None:
    KSR.htable.sht_rm(table, key)


def table_lock(table: str, key: str) -> None:
    """Keep all other processes from this entry; to us it stays open, whatever of the table we call."""
    KSR.htable.sht_lock(table, key)


def table_unlock(table: str, key: str) -> None:
    KSR.htable.sht_unlock(table, key)


def table_entries(table: str) -> list[tuple[str, str]]:
    """Every key and value of a hash table."""
    name = "session_timer"
    if KSR.htable.sht_iterator_start(name, table) < 0:
        return []
    found = []
    try:
        while KSR.htable.sht_iterator_next(name) > 0:
            found.append((pv(f"$shtitkey({name})"), pv(f"$shtitval({name})")))
    finally:
        KSR.htable.sht_iterator_end(name)
    return found


def table_sizes() -> str:
    """What Kamailio's RPC tells of its hash tables, as JSON; empty without the module jsonrpcs."""
    # Of all modules that may be missing this one is in every stock kamailio.cfg.
    jsonrpcs = getattr(KSR, "jsonrpcs", None)
    if jsonrpcs is None or jsonrpcs.exec('{"jsonrpc": "2.0", "method": "htable.stats", "id": 1}') < 0:
        return ""
    return str(jsonrpcs.response() or "")


def count(name: str) -> None:
    """One more in a statistic (``session_timer`` group of the statistics module)."""
    KSR.statistics.update_stat(name, 1)


def counted(name: str) -> int:
    """How a statistic stands; 0 for one that is not declared."""
    return int(KSR.pv.gete(f"$stat({name})") or 0)


def http_reply(code: int, reason: str, content_type: str, body: str) -> None:
    """Answer the HTTP request that is being routed."""
    KSR.xhttp.xhttp_reply(code, reason, content_type, body)


def manage_dialog() -> None:
    """Let the dialog module follow the call that this initial INVITE begins."""
    KSR.dialog.dlg_manage()


def end_dialog(call_id: str, from_tag: str, to_tag: str) -> bool:
    """BYE to both sides of a dialog that the dialog module follows; False if it follows none."""
    if KSR.dialog.dlg_get(call_id, from_tag, to_tag) < 0:
        return False
    return bool(KSR.dialog.dlg_bye("all") > 0)
