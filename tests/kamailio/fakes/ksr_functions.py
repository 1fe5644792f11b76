"""What the functions of KSR do, as far as the edge calls them: one model each, held to what real ones did."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from functools import partial
from itertools import dropwhile

import pytest

from tests.kamailio.fakes.branch_functions import LAST_BRANCH, BranchFunctions
from tests.kamailio.fakes.kamailio import Row
from tests.kamailio.fakes.sip_message import Message, Sent, tag_of

_HEXA = re.compile(r"\$\((.+?)(?:\{s\.substr,(\d+),(\d+)\})?\{s\.encode\.hexa\}\)")
_LENGTH = re.compile(r"\$\((.+)\{s\.len\}\)")
_MOST_HEXA = 32767
"""Of more bytes than these Kamailio makes no hexadecimal text, and of their value none."""
_EVERY_ROW = re.compile(r"\$?\(?hdr\(([^()]+)\)\[\*\]\)?")
_FIRST_ROW = re.compile(r"\$?hdr\(([^()]+)\)")
_OF_REPLY = re.compile(r"\$?T_rpl\(\$hdr\(([^()]+)\)\)")
_AVP = re.compile(r"\$?\(?avp\(([^()]+)\)(?:\[\*\]\))?")
_ROWS = re.compile(r"\$?hdrc\(([^()]+)\)")
_COMPOSITE = re.compile(r"\$_s\((.*)\)", re.DOTALL)
_INSIDE = re.compile(r"\$\((?:[^()]|\([^()]*\))*\)|\$\w+(?:\([^()]*\))?")
_STATISTIC = re.compile(r"\$?stat\(([^()]+)\)")


class Functions(BranchFunctions):
    """``_do_<module>_<function>`` is the model of ``KSR.<module>.<function>``."""

    def _do_err(self, text: str) -> int:
        return self._logged("err", text)

    def _do_warn(self, text: str) -> int:
        return self._logged("warn", text)

    def _do_info(self, text: str) -> int:
        return self._logged("info", text)

    def _logged(self, level: str, text: str) -> int:
        if not text.endswith("\n") or "\n" in text[:-1]:
            pytest.fail(f"one line with its end is one call: {text!r}")
        self.log.append((level, _from_kamailio(text[:-1])))
        return 0

    def _do_pv_gete(self, name: str) -> str | int:
        if length := _LENGTH.fullmatch(name):
            return len(str(self._raw(length[1])))
        if hexa := _HEXA.fullmatch(name):
            text = str(self._raw(hexa[1]))
            if hexa[2]:
                text = text[int(hexa[2]) :][: int(hexa[3])]
            return text.encode("latin-1").hex() if len(text) <= _MOST_HEXA else ""
        value = self._raw(name)
        return value if isinstance(value, int) else _from_kamailio(value)

    def _do_pv_get(self, name: str) -> str | int | None:
        if composite := _COMPOSITE.fullmatch(name):
            text = _INSIDE.sub(lambda inside: self._printed(inside[0]), composite[1])
            return _from_kamailio(text) if len(text) < self._buffer else None
        return None if self._is_null(name, self._raw(name)) else self._do_pv_gete(name)

    @property
    def _buffer(self) -> int:
        """Bytes, one of them for the end: a longer text Kamailio does not print (`pv_buffer_size`)."""
        return 8192 if self.release == "5.6" else 32768

    def _is_null(self, name: str, value: str | int) -> bool:
        """Whether a pseudo-variable has no value; a header that is there and empty has one."""
        if value:
            return len(str(value)) >= self._buffer and _EVERY_ROW.fullmatch(name) is not None
        if header := _EVERY_ROW.fullmatch(name) or _FIRST_ROW.fullmatch(name):
            return self._do_hdr_is_present(header[1]) < 0
        if (avp := _AVP.fullmatch(name)) and self._transaction is not None:
            return avp[1] not in self._transaction.avps
        return value == ""

    def _printed(self, name: str) -> str:
        """A pseudo-variable as Kamailio prints it into a text."""
        value = self._raw(name)
        return "<null>" if self._is_null(name, value) else str(value)

    def _do_pv_sets(self, name: str, value: str) -> bool:
        if self._set_of_branch(name, value):
            return True
        avp = _AVP.fullmatch(name)
        if avp is None or self._transaction is None:
            pytest.fail(
                f"KSR.pv.sets({name!r}) in the {self._route} route: the fake sets AVPs of transactions only"
            )
        self._transaction.avps[avp[1]] = value
        return True

    def _do_pv_seti(self, name: str, value: int) -> bool:
        if not (-(2**31) <= value < 2**31 and self._set_of_branch(name, value)):
            pytest.fail(f"KSR.pv.seti({name!r}, {value}): the fake sets the flags of branches only")
        return True

    def _raw(self, name: str) -> str | int:
        """The value of a pseudo-variable, one character a byte."""
        if self._route == "http" and not _STATISTIC.fullmatch(name):
            return self._of_http(name)
        if every := _EVERY_ROW.fullmatch(name):
            bodies = [] if self.routed.opaque else self.routed.values(every[1])
            return ",".join(dropwhile(lambda body: not body, bodies))
        if first := _FIRST_ROW.fullmatch(name):
            return "" if self.routed.opaque else self.routed.value(first[1])
        if rows := _ROWS.fullmatch(name):
            return 0 if self.routed.opaque else len(self.routed.values(rows[1]))
        if statistic := _STATISTIC.fullmatch(name):
            return self.counters.get(statistic[1], "")
        if avp := _AVP.fullmatch(name):
            return self._transaction.avps.get(avp[1], "") if self._transaction else ""
        if last := LAST_BRANCH.fullmatch(name):
            return {"uri": self.last_waiting.request_uri, "path": self.last_waiting.path}[last[1]]
        if reply := _OF_REPLY.fullmatch(name):
            self._only_in("failure")
            return self._failed_reply.value(reply[1])
        values: dict[str, Callable[[], str | int]] = {
            "rm": lambda: self.routed.method,
            "cs": lambda: self.routed.value("CSeq").split()[0],
            "ci": lambda: self.routed.value("Call-ID"),
            "ft": lambda: tag_of(self.routed.value("From")),
            "tt": lambda: tag_of(self.routed.value("To")),
            "fd": lambda: _host(self.routed.value("From")),
            "si": lambda: self.routed.source,
            "ru": lambda: self.routed.request_uri,
            "rd": lambda: _host(self.routed.request_uri),
            "du": lambda: self.routed.destination_uri,
            "fs": lambda: self.routed.socket,
            "bf": lambda: self._of_branch.flags,
            "T_branch(uri)": lambda: self._of_branch.request_uri if self._route == "onreply" else "",
            "nh(d)": lambda: _host(self.routed.destination_uri or self.routed.request_uri),
            "rs": lambda: "" if self.routed.is_request else self.routed.code,
            "mb": lambda: self.routed.text,
            "mi": lambda: self.routed.number,
            "ml": lambda: len(self.routed.text),
            "shtrecord(key)": lambda: self._expired[0],
            "shtrecord(value)": lambda: self._expired[1],
            "T_branch_idx": self._branch_number,
            "T_reply_code": lambda: self._failed_reply.code if self._route == "failure" else 0,
        }
        for key, (entry, text) in self._at_iterator.items():
            values[f"shtitkey({key})"] = partial(str, entry)
            values[f"shtitval({key})"] = partial(str, text)
        value = values.get(name.removeprefix("$"))
        if value is None:
            pytest.fail(f"the fake has no model of {name}")
        return value()

    def _of_http(self, name: str) -> str:
        assert self._http is not None
        values = {
            "$hu": self._http.url,
            "$rm": self._http.method,
            "$rb": self._http.body,
            "$ci": "",
            "$hdr(Authorization)": self._http.authorization,
        }
        for key, (entry, text) in self._at_iterator.items():
            values |= {f"$shtitkey({key})": entry, f"$shtitval({key})": text}
        if name not in values:
            pytest.fail(f"the fake has no model of {name} of a request by HTTP")
        return values[name]

    @property
    def _failed_reply(self) -> Message:
        assert self._transaction is not None
        return self._transaction.final[self._branch]

    def _do_hdr_is_present(self, name: str) -> int:
        return 1 if self.routed.values(name) and not self.routed.opaque else -1

    def _do_hdr_remove(self, name: str) -> int:
        if self.routed.opaque:
            return -1
        self.routed.remove(name)
        return 1

    def _do_set_drop(self) -> int:
        self._only_in("reply")
        self._dropped = True
        return 0

    def _do_is_myself(self, uri: str) -> bool:
        found = re.fullmatch(r"sips?:(?:[^@]*@)?([^:;>]+)(?::(\d+))?(?:;.*)?", uri)
        return found is not None and found[1] in self.addresses and found[2] in (None, "5060")

    def _do_xhttp_xhttp_reply(self, code: int, reason: str, content_type: str, body: str) -> int:
        self._only_in("http")
        if self._http_reply is not None:
            pytest.fail("the request by HTTP has been answered before")
        self._http_reply = code, reason, content_type, _from_kamailio(body)
        return 1

    def _do_hdr_append(self, text: str) -> int:
        rows = _rows(text)
        if self.routed.opaque:
            return -1
        self.routed.appended += rows
        return 1

    def _do_hdr_append_to_reply(self, text: str) -> int:
        self._only_in("request")
        self._reply_rows += _rows(text)
        return 1

    def _do_sl_send_reply(self, code: str | int, reason: str) -> int:
        self._only_in("request")
        assert self._transaction is not None
        if self._transaction.answered is not None:
            pytest.fail("the request has been answered before")
        self._transaction.answered = Sent(f"SIP/2.0 {code} {reason}", tuple(self._reply_rows))
        return 1

    _do_sl_sl_send_reply = _do_sl_send_reply

    def _do_tm_t_reply(self, code: int, reason: str) -> int:
        self._only_in("failure")
        assert self._transaction is not None
        if self._transaction.answered is not None:
            return -1
        self._transaction.answered = Sent(f"SIP/2.0 {code} {reason}", ())
        return 1

    def _do_tm_t_branch_timeout(self) -> int:
        self._only_in("failure")
        return 1 if self._transaction is not None and self._transaction.timed_out else -1

    def _do_tm_t_check_trans(self) -> int:
        self._only_in("reply")
        return -1 if self._stray else 1

    def _do_tm_t_set_fr(self, inv: int, other: int) -> int:
        self._only_in("request", "branch")
        assert self._transaction is not None
        self._transaction.waits = inv, other
        return 1

    def _do_tm_t_set_auto_inv_100(self, on: int) -> int:
        self._only_in("request")
        assert self._transaction is not None
        self._transaction.says_100 = bool(on)
        return 1

    def _do_tm_t_on_branch(self, _route: str) -> int:
        return 1

    _do_tm_t_on_reply = _do_tm_t_on_failure = _do_tm_t_on_branch

    def _do_htable_sht_gete(self, table: str, key: str) -> str:
        row = self.tables.get(table, {}).get(key)
        value = _from_kamailio(row.value) if row is not None and row.ends > self.now else ""
        if table == "session_timer" and not self.locked:
            self._let_others()
            if self.torn:
                return _from_kamailio(self.torn.pop(0))
        return value

    def _let_others(self) -> None:
        act, self.meanwhile = self.meanwhile, None
        if act is not None:
            before = self._route, self._message, self._transaction, self._branch
            act()
            self._enter(*before)

    def _do_htable_sht_lock(self, table: str, key: str) -> int:
        if table not in self.tables:
            return -1
        self.locked.append((table, key))
        return 1

    def _do_htable_sht_unlock(self, table: str, key: str) -> int:
        if table not in self.tables:
            return -1
        if (table, key) not in self.locked:
            pytest.fail(f"{key} of {table} is not locked: this would let another process in")
        self.locked.remove((table, key))
        if not self.locked:
            self._let_others()
        return 1

    def _do_htable_sht_sets(self, table: str, key: str, value: str) -> int:
        if table not in self.tables or table in self.refusing:
            return -1
        self.tables[table][key] = Row(value, math.inf)
        return 1

    def _do_htable_sht_setex(self, table: str, key: str, lifetime: int) -> int:
        if table not in self.tables:
            return -1
        if key in self.tables[table]:
            self.tables[table][key].ends = self.now + lifetime
        return 1

    def _do_htable_sht_rm(self, table: str, key: str) -> int:
        if table not in self.tables:
            return -1
        self.tables[table].pop(key, None)
        return 1

    def _do_htable_sht_iterator_start(self, iterator: str, table: str) -> int:
        if table not in self.tables:
            return -1
        if iterator in self._iterators:
            pytest.fail(f"the iterator {iterator} holds a lock already")
        self._iterators[iterator] = iter(list(self.tables[table].items()))
        return 1

    def _do_htable_sht_iterator_next(self, iterator: str) -> int:
        for key, row in self._iterators[iterator]:
            if row.ends > self.now:
                self._at_iterator[iterator] = key, row.value
                return 1
        self._at_iterator.pop(iterator, None)
        return -1

    def _do_htable_sht_iterator_end(self, iterator: str) -> int:
        del self._iterators[iterator]
        self._at_iterator.pop(iterator, None)
        return 1

    def _do_jsonrpcs_exec(self, command: str) -> int:
        asked = json.loads(command)
        if asked["method"] != "htable.stats":
            pytest.fail(f"the fake answers no {asked['method']}")
        sizes = [
            {"name": name, "slots": 65536, "all": len(rows), "min": 0, "max": 1}
            for name, rows in self.tables.items()
        ]
        self._rpc_reply = json.dumps({"jsonrpc": "2.0", "result": sizes, "id": asked["id"]})
        return 1

    def _do_jsonrpcs_response(self) -> str:
        return self._rpc_reply

    def _do_statistics_update_stat(self, name: str, more: int) -> int:
        if name not in self.counters:
            return -1
        self.counters[name] += more
        return 1

    def _do_dialog_dlg_manage(self) -> int:
        self._only_in("request")
        self.dialogs.add(self.routed.value("Call-ID"))
        return 1

    def _do_dialog_dlg_get(self, call_id: str, _from_tag: str, _to_tag: str) -> int:
        self._chosen_dialog = call_id if call_id in self.dialogs else None
        return -1 if self._chosen_dialog is None else 1

    def _do_dialog_dlg_bye(self, _side: str) -> int:
        if self._chosen_dialog is None:
            return -1
        self.ended_dialogs.append(self._chosen_dialog)
        return 1


def _from_kamailio(text: str) -> str:
    """Bytes that are no UTF-8 raise `UnicodeDecodeError`, as the real one does."""
    return text.encode("latin-1").decode()


def _rows(text: str) -> list[str]:
    """The rows in a text that is put into a message: anything else would break the message."""
    if re.fullmatch(r"(?:[A-Za-z0-9.!%*_+`'~-]+:(?:[^\r\n]|\r\n[ \t])*\r\n)+", text) is None:
        pytest.fail(f"these are no header rows: {text!r}")
    return text.removesuffix("\r\n").split("\r\n")


def _host(text: str) -> str:
    """The host of the URI in a From, To or request URI."""
    found = re.search(r"sips?:(?:[^@>;]*@)?(\[[^\]]*\]|[^:;>]*)", text)
    return found[1] if found else ""
