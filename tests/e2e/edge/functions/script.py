"""A routing script of functions, for app_python3s: the lab's routing as far as calls go."""

import os

import KSR
from session_timer_kemi import SessionTimers

ASTERISK = os.environ["ASTERISK_ADDRESS"]

timers = SessionTimers("/etc/kamailio/session-timer.yaml")


def ksr_session_timer_tick(_evname: str) -> int:
    timers.on_tick()
    return 1


def ksr_xhttp_event(_evname: str) -> int:
    timers.on_http()
    return 1


def ksr_request_route() -> int:
    if KSR.is_OPTIONS():
        KSR.sl.sl_send_reply(200, "OK")
        return 1
    if KSR.is_CANCEL():
        if KSR.tm.t_check_trans() > 0:
            ksr_route_relay()
        return 1
    if not KSR.is_ACK() and KSR.tm.t_check_trans() == 0:
        return 1

    if timers.on_request():
        return 1

    if KSR.siputils.has_totag() > 0:
        if KSR.rr.loose_route() > 0 or KSR.tm.t_check_trans() > 0:
            ksr_route_relay()
        return 1
    KSR.hdr.remove("Route")
    KSR.rr.record_route()
    if KSR.pv.get("$si") != ASTERISK:
        KSR.setdsturi(f"sip:{ASTERISK}")
    ksr_route_relay()
    return 1


def ksr_route_relay() -> None:
    KSR.tm.t_on_branch("ksr_branch_manage")
    KSR.tm.t_on_reply("ksr_onreply_manage")
    KSR.tm.t_on_failure("ksr_failure_manage")
    if KSR.tm.t_relay() < 0:
        timers.on_unroutable()
        KSR.sl.sl_reply_error()


def ksr_branch_manage() -> int:
    timers.on_branch()
    return 1


def ksr_onreply_manage() -> int:
    timers.on_reply()
    return 1


def ksr_failure_manage() -> int:
    if KSR.tm.t_is_canceled() > 0:
        return 1
    if timers.on_failure():
        ksr_route_relay()
    return 1


def ksr_reply_route() -> int:
    timers.on_any_reply()
    return 1
