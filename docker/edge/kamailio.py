"""The edge's routing (KEMI), in the shape of Kamailio's stock script.

What comes from Asterisk, or is for a carrier's address, goes out by its Request-URI, the rest to Asterisk.

`self.timers` is all that session timers add to it.
"""

import os

import KSR
from session_timer_kemi import SessionTimers, every_http_request, every_second

ASTERISK = os.environ["ASTERISK_ADDRESS"]
CARRIERS = f"{os.environ['LAB_NET']}.4"  # .40 to .49

ANSWERED_METHODS = "IUB"  # INVITE, UPDATE and BYE, whose end ends a record, in the letters of is_method_in
RELAYED_METHODS = "IBSU"  # with BYE and SUBSCRIBE

STOCK_CHECKS = 17895  # what the stock kamailio.cfg asks of the sanity module
PROXY_REQUIRE_CHECK = 512  # 420 to an option tag that kamailio.cfg does not name

DONE = 1


class Edge:
    """Kamailio makes one of these in every process and calls the `ksr_*` methods by name."""

    ksr_session_timer_tick = every_second
    ksr_xhttp_event = every_http_request

    def __init__(self) -> None:
        self.timers = SessionTimers(os.environ["SESSION_TIMER_CONFIG"])

    def child_init(self, rank: int) -> int:
        """Kamailio: a process has started. Below zero stops the server."""
        return 0

    def ksr_request_route(self, msg: object) -> int:
        """Kamailio: a request has come in."""
        KSR.force_rport()
        if not self._acceptable():
            return DONE

        if KSR.is_CANCEL():
            if KSR.tm.t_check_trans() > 0:
                self._relay()
            return DONE

        if not KSR.is_ACK():
            if KSR.tmx.t_precheck_trans() > 0:
                KSR.tm.t_check_trans()
                return DONE
            if KSR.tm.t_check_trans() == 0:
                return DONE

        self._name_the_peer()
        if self.timers.on_request():
            return DONE
        self._reach_loopback_callers()
        if KSR.siputils.has_totag() > 0:
            self._within_dialog()
        else:
            self._begin_dialog()
        return DONE

    def ksr_branch_manage(self, msg: object) -> int:
        """Kamailio: a request is about to leave on one branch."""
        self.timers.on_branch()
        return DONE

    def ksr_onreply_manage(self, msg: object) -> int:
        """Kamailio: a reply to a relayed request has come in."""
        self._reach_loopback_callers()
        self.timers.on_reply()
        return DONE

    def ksr_failure_manage(self, msg: object) -> int:
        """Kamailio: every branch of an INVITE, UPDATE or BYE has failed."""
        if KSR.tm.t_is_canceled() > 0:
            return DONE
        if self.timers.on_failure():
            self._relay()
            return DONE
        return DONE

    def ksr_reply_route(self, msg: object) -> int:
        """Kamailio: any reply. Has to exist: 5.6 leaves an exception behind where it does not."""
        self.timers.on_any_reply()
        return DONE

    def ksr_onsend_route(self, msg: object) -> int:
        """Kamailio: any message about to be sent. Has to exist, as above."""
        return DONE

    def ksr_session_timer_expired(self, msg: object, evname: str) -> int:
        """Kamailio's htable: an entry's lifetime is over."""
        if evname == "htable:expired:session_timer":
            self.timers.on_expired()
        return DONE

    def _acceptable(self) -> bool:
        if KSR.maxfwd.process_maxfwd(10) < 0:
            KSR.sl.sl_send_reply(483, "Too Many Hops")
            return False
        # Also what the container's health check asks.
        if KSR.is_OPTIONS() and KSR.is_myself_ruri() and KSR.corex.has_ruri_user() < 0:
            KSR.sl.sl_send_reply(200, "OK")
            return False
        if KSR.sanity.sanity_check(STOCK_CHECKS + PROXY_REQUIRE_CHECK, 7) < 0:
            KSR.warn(f"malformed request from {KSR.pv.get('$si')}:{KSR.pv.get('$sp')}\n")
            return False
        return True

    def _begin_dialog(self) -> None:
        if KSR.is_ACK():
            return  # of a transaction this edge does not know
        # Asterisk's outbound_proxy arrives as a Route with our own address; nobody else may choose the path.
        KSR.hdr.remove("Route")
        if KSR.is_method_in("IS"):
            KSR.rr.record_route()
        # One carrier may call another by its address: then neither end is ours.
        if not (self._from_asterisk() or KSR.pv.gete("$rd").startswith(CARRIERS)):
            self._to_asterisk()
        self._relay()

    def _within_dialog(self) -> None:
        if KSR.rr.loose_route() > 0:
            if not KSR.isdsturiset():
                KSR.nathelper.handle_ruri_alias()
            self._relay()
        elif KSR.is_ACK() and KSR.tm.t_check_trans() > 0:
            # The ACK of a failed INVITE has a To tag but no Route.
            self._relay()
        elif not self._from_asterisk():
            # A caller that does not heed Record-Route, such as SIPp's built-in scenario.
            self._to_asterisk()
            self._relay()
        elif not KSR.is_ACK():
            KSR.sl.sl_send_reply(404, "Not here")

    def _name_the_peer(self) -> None:
        """Say whose profile holds, where neither address nor domain tells: as after a dispatcher's choice."""
        if KSR.pv.gete("$rU").startswith("dispatched"):
            KSR.pv.sets("$avp(session_timer_peer)", "dispatched")

    def _from_asterisk(self) -> bool:
        return bool(KSR.pv.get("$si") == ASTERISK)

    def _to_asterisk(self) -> None:
        KSR.setdsturi(f"sip:{ASTERISK}")

    def _relay(self) -> None:
        if KSR.is_method_in(RELAYED_METHODS) and KSR.tm.t_is_set("branch_route") < 0:
            KSR.tm.t_on_branch("ksr_branch_manage")
        if KSR.is_method_in(ANSWERED_METHODS) and KSR.tm.t_is_set("onreply_route") < 0:
            KSR.tm.t_on_reply("ksr_onreply_manage")
        if KSR.is_method_in(ANSWERED_METHODS) and KSR.tm.t_is_set("failure_route") < 0:
            KSR.tm.t_on_failure("ksr_failure_manage")
        if KSR.tm.t_relay() < 0:
            self.timers.on_unroutable()
            KSR.sl.sl_reply_error()

    def _reach_loopback_callers(self) -> None:
        """Keep the address a softphone on the host was seen from, in its Contact's alias.

        It calls 127.0.0.1 and gives that as its Contact, which from here would be this edge itself.
        """
        contact = KSR.pv.gete("$ct")
        if "@127." in contact or ":127." in contact:
            KSR.nathelper.set_contact_alias()


def mod_init() -> Edge:
    """Kamailio: the script is loaded. The object that is returned has the routes."""
    return Edge()
