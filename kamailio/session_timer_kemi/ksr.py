"""Every call into Kamailio, and nothing else: what we read of a message, and what we change.

`KSR` is the module that Kamailio puts into its Python; tests put a strict double in its place.
"""

from __future__ import annotations

import re

import KSR

_MOST_HEXA = 32767
"""Bytes that Kamailio makes a hexadecimal text of; of a longer value it makes none, without a word."""


def error(text: str) -> None:
    KSR.err(text + "\n")


def warn(text: str) -> None:
    KSR.warn(text + "\n")


def info(text: str) -> None:
    KSR.info(text + "\n")


def pv(name: str) -> str:
    """A pseudo-variable's value as text; empty if it has none."""
    try:
        text = str(KSR.pv.gete(name))
    except UnicodeDecodeError:
        text = _as_latin_1(name)
    return _without_zero(text)


def row(header: str) -> str | None:
    """A header's value, compact name included; repeated rows come as one, between commas. None: absent."""
    name = f"$(hdr({header})[*])"
    try:
        text = KSR.pv.get(name)
    except UnicodeDecodeError:
        text = _as_latin_1(name)
    return None if text is None else _without_zero(str(text))


def _as_latin_1(name: str) -> str:
    # SIP is UTF-8 (RFC 3261 7.3.1), its senders are not bound to it. Kamailio's Python has no bytes; read
    # as latin-1 every byte becomes a character that can also be handed back.
    bare = name[2:-1] if name.startswith("$(") else name[1:]
    pieces = (
        str(KSR.pv.gete(f"$({bare}{{s.substr,{start},{_MOST_HEXA}}}{{s.encode.hexa}})"))
        for start in range(0, int(KSR.pv.gete(f"$({bare}{{s.len}})")), _MOST_HEXA)
    )
    return bytes.fromhex("".join(pieces)).decode("latin-1")


def _without_zero(text: str) -> str:
    # 5.6 takes no text with a zero byte from Python.
    return text.replace("\0", "\ufffd")


def has(header: str) -> bool:
    return bool(KSR.hdr.is_present(header) > 0)


def remove(header: str) -> bool:
    """Take off every row of a header, under both its names; False if no header can be parsed."""
    return bool(KSR.hdr.remove(header) > 0)


def disarm(header: str) -> None:
    """Put other rows in a header's place in the text itself: there Kamailio parses no headers, or other ones.

    Whole rows, for one that is also removed as Kamailio has parsed it must not take the next one along.
    """
    name = re.sub(r"([.*+])", r"[\1]", header)
    KSR.textops.replace_all(f"(^|\r){name}[ \t\r\n]*:[^\r\n]*(\r?\n|\r)", "X-Removed: 1\r\n")


def append(rows: str) -> None:
    """Add header rows, each with its line end, to the message that is being routed."""
    KSR.hdr.append(rows)


def reply(code: int, reason: str, rows: str) -> None:
    """Answer the request ourselves, with these header rows."""
    if rows:
        KSR.hdr.append_to_reply(rows)
    KSR.sl.sl_send_reply(code, reason)


def remember(name: str, value: str) -> None:
    """Keep a text with the transaction."""
    KSR.pv.sets(f"$avp({name})", value)


def recall(name: str) -> str:
    """A text kept with the transaction; empty if there is none."""
    return pv(f"$avp({name})")


def aim_again(uri: str, destination: str) -> None:
    """In a failure route: make the next relay send the request where it went before."""
    # There a Request-URI counts as a branch to be tried only when it has been set anew; what stands there is
    # that of the first try, whatever a failover has made of it since.
    KSR.seturi(uri)
    if destination:
        KSR.setdsturi(destination)


def table_get(table: str, key: str) -> str:
    """A value of a hash table; empty if it has none."""
    return str(KSR.htable.sht_gete(table, key) or "")


def table_set(table: str, key: str, value: str, lifetime: int) -> bool:
    """Put a value into a hash table for `lifetime` seconds; False if the table did not take it."""
    # Not by sht_setxs, both at once: up to Kamailio 6.0 an entry whose value grows is left without lifetime.
    taken = KSR.htable.sht_sets(table, key, value) > 0
    return bool(taken and KSR.htable.sht_setex(table, key, lifetime) > 0)


def table_remove(table: str, key: str) -> None:
    KSR.htable.sht_rm(table, key)


def table_lock(table: str, key: str) -> None:
    """Keep all other processes from this entry; to us it stays open, whatever of the table we call."""
    KSR.htable.sht_lock(table, key)


def table_unlock(table: str, key: str) -> None:
    KSR.htable.sht_unlock(table, key)


def count(name: str) -> None:
    """One more in a statistic (``session_timer`` group of the statistics module)."""
    KSR.statistics.update_stat(name, 1)


def manage_dialog() -> None:
    """Let the dialog module follow the call that this initial INVITE begins."""
    KSR.dialog.dlg_manage()


def end_dialog(call_id: str, from_tag: str, to_tag: str) -> bool:
    """BYE to both sides of a dialog that the dialog module follows; False if it follows none."""
    if KSR.dialog.dlg_get(call_id, from_tag, to_tag) < 0:
        return False
    return bool(KSR.dialog.dlg_bye("all") > 0)
