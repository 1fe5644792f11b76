"""The routing of kamailio.cfg beside it, as a KEMI script; with BENCH_TIMERS=1 it has session timers."""

import os

import KSR

UAS = f"sip:{os.environ['BENCH_UAS']}:5060"

if os.environ.get("BENCH_TIMERS") == "1":
    from session_timer_kemi import SessionTimers


class Relay:
    def __init__(self) -> None:
        timed = os.environ.get("BENCH_TIMERS") == "1"
        self.timers = SessionTimers(os.environ["SESSION_TIMER_CONFIG"]) if timed else None

    def child_init(self, rank: int) -> int:
        return 0

    def ksr_request_route(self, msg: object) -> int:
        if KSR.is_CANCEL():
            if KSR.tm.t_check_trans() > 0:
                self._relay()
            return 1
        if not KSR.is_ACK():
            if KSR.tmx.t_precheck_trans() > 0:
                KSR.tm.t_check_trans()
                return 1
            if KSR.tm.t_check_trans() == 0:
                return 1
        if self.timers and self.timers.on_request():
            return 1
        if KSR.siputils.has_totag() > 0:
            if KSR.rr.loose_route() > 0:
                self._relay()
            return 1
        if KSR.is_INVITE():
            KSR.rr.record_route()
        KSR.setdsturi(UAS)
        self._relay()
        return 1

    def _relay(self) -> None:
        if KSR.is_method_in("IUB"):
            KSR.tm.t_on_reply("ksr_onreply_manage")
        if KSR.is_method_in("IU"):
            KSR.tm.t_on_branch("ksr_branch_manage")
            KSR.tm.t_on_failure("ksr_failure_manage")
        if KSR.tm.t_relay() < 0:
            if self.timers:
                self.timers.on_unroutable()
            KSR.sl.sl_reply_error()

    def ksr_branch_manage(self, msg: object) -> int:
        if self.timers:
            self.timers.on_branch()
        return 1

    def ksr_onreply_manage(self, msg: object) -> int:
        if self.timers:
            self.timers.on_reply()
        return 1

    def ksr_failure_manage(self, msg: object) -> int:
        if KSR.tm.t_is_canceled() < 0 and self.timers and self.timers.on_failure():
            self._relay()
        return 1

    def ksr_reply_route(self, msg: object) -> int:
        if self.timers:
            self.timers.on_any_reply()
        return 1

    def ksr_onsend_route(self, msg: object) -> int:
        return 1

    def ksr_session_timer_tick(self, msg: object, evname: str) -> int:
        if self.timers:
            self.timers.on_tick()
        return 1


def mod_init() -> Relay:
    return Relay()
