"""What the functions of KSR do with branches: one model each, held to what real ones did."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tests.kamailio.fakes.kamailio import Kamailio
from tests.kamailio.fakes.sip_message import Message

MOST_BRANCHES = 12
"""Of a transaction, as tm has it unless `max_branches` says otherwise."""

LAST_BRANCH = re.compile(r"\$\(branch\((uri|path)\)\[-1\]\)")
_STATIC_BRANCH = re.compile(r"\$sbranch\((uri|dst_uri|path|send_socket|flags)\)")


class BranchFunctions(Kamailio):
    """The branches that wait for the next relay, and those that a relay made."""

    def _only_in(self, *routes: str) -> None:
        if self._route not in routes:
            pytest.fail(f"called in the {self._route} route, belongs into {' or '.join(routes)}")

    def _set_of_branch(self, name: str, value: str | int) -> bool:
        """Set a pseudo-variable of a branch; False if it is none."""
        if name == "$bf":
            self.routed.flags = int(value)
        elif static := _STATIC_BRANCH.fullmatch(name):
            self._static_branch[static[1]] = value
        elif name == "$(branch(uri)[-1])" and not value:
            self.waiting_branches.pop()
        else:
            return False
        return True

    @property
    def last_waiting(self) -> Message:
        """The last of the branches that wait."""
        return self.waiting_branches[-1]

    def _do_pvx_sbranch_reset(self) -> int:
        self._static_branch.clear()
        return 1

    def _do_pvx_sbranch_append(self) -> int:
        given = self._static_branch
        if not given.get("uri"):
            return -1
        return self._append_branch(
            replace(
                self.routed.branch(),
                request_uri=str(given["uri"]),
                destination_uri=str(given.get("dst_uri", "")),
                path=str(given.get("path", "")),
                socket=str(given.get("send_socket", "")),
                flags=int(given.get("flags", 0)),
            )
        )

    def _do_corex_append_branch_uri(self, uri: str) -> int:
        return self._append_branch(replace(self.routed.branch(), request_uri=uri))

    def _append_branch(self, branch: Message) -> int:
        if len(self.waiting_branches) == MOST_BRANCHES - 1:
            return -1
        self.waiting_branches.append(branch)
        return 1

    @property
    def _of_branch(self) -> Message:
        """The request of the branch in hand, or that which is being answered."""
        if self._route == "onreply":
            assert self._transaction is not None
            return self._transaction.branches[self._branch]
        return self.routed

    def _branch_number(self) -> int:
        """In a failure route it is the number that the next branch will have."""
        if self._route == "failure" and self._transaction is not None:
            return len(self._transaction.branches) + len(self.waiting_branches)
        return self._branch

    def _do_resetdsturi(self) -> bool:
        self.routed.destination_uri = ""
        return True

    def _do_seturi(self, uri: str) -> bool:
        self.routed.request_uri = uri
        self._uri_is_new = True
        return True

    def _do_setdsturi(self, uri: str) -> bool:
        self.routed.destination_uri = uri
        return True

    def _do_tm_t_relay(self) -> int:
        self._only_in("request", "failure")
        assert self._transaction is not None
        assert self._routes is not None
        before = self._route, self._message, self._transaction, self._branch
        if self.routed.opaque:
            return -1
        in_hand = [self.routed.branch()] if self._route == "request" or self._uri_is_new else []
        first = len(self._transaction.branches)
        for branch in (*in_hand, *self.waiting_branches):
            if len(self._transaction.branches) == MOST_BRANCHES:
                break
            self._transaction.branches.append(branch)
            self._enter("branch", branch, self._transaction, len(self._transaction.branches) - 1)
            self._routes.branch()
            self._enter(*before)
        self.waiting_branches, self._uri_is_new = [], False
        return 1 if len(self._transaction.branches) > first else -1
