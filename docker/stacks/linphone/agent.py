"""A user agent on liblinphone, by its C interface: one call, refreshed by the library itself."""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path

sys.path.insert(0, "/opt/stacks")
import agent_arguments

REFRESHER = {None: 0, "uas": 1, "uac": 2}
INCOMING, STREAMS_RUNNING, ERROR, END, RELEASED = 1, 8, 13, 14, 19
"""States of a call, as linphone 5 numbers them."""
ON = 2
"""State of the library once it has started."""

library = ctypes.CDLL("liblinphone.so.12")


def ask(function: str, *arguments: object) -> int:
    """Call a function of the library that returns a pointer or a number."""
    call = getattr(library, function)
    call.restype = ctypes.c_void_p
    return call(*(_argument(each) for each in arguments)) or 0


def _argument(value: object) -> object:
    if isinstance(value, str):
        return ctypes.c_char_p(value.encode())
    # A pointer that comes back as a number is longer than C's int; a small number is the same either way.
    return ctypes.c_void_p(value) if isinstance(value, int) else value


def main() -> None:
    wanted = agent_arguments.read()
    Path("/root/.local/share/linphone").mkdir(parents=True, exist_ok=True)
    settings = Path("/tmp/linphonerc")  # noqa: S108 - inside a container of its own
    settings.write_text(
        f"[sip]\nbind_address={wanted.local}\nuse_ipv6=0\ncontact=sip:linphone@{wanted.local}\n"
        "[rtp]\nnortp_timeout=3600\n",
        encoding="utf-8",
    )
    factory = ask("linphone_factory_get")
    core = ask("linphone_factory_create_core_3", factory, str(settings), None, None)
    ports = ask("linphone_factory_create_transports", factory)
    ask("linphone_transports_set_udp_port", ports, 5060)
    ask("linphone_transports_set_tcp_port", ports, 0)
    ask("linphone_core_set_transports", core, ports)
    ask("linphone_core_enable_ipv6", core, 0)
    ask("linphone_core_set_use_files", core, 1)
    ask("linphone_core_set_session_expires_enabled", core, int(wanted.timer != "off"))
    ask("linphone_core_set_session_expires_value", core, wanted.expires)
    ask("linphone_core_set_session_expires_min_value", core, wanted.min_se)
    ask("linphone_core_set_session_expires_refresher_value", core, REFRESHER[wanted.refresher])
    ask("linphone_core_start", core)
    while ask("linphone_core_get_global_state", core) != ON:
        ask("linphone_core_iterate", core)
        time.sleep(0.02)
    print("ready", flush=True)

    call = ask("linphone_core_invite", core, f"sip:{wanted.call}@{wanted.edge}") if wanted.call else 0
    hold_at = time.monotonic() + wanted.hold_after if wanted.hold_after else None
    state = 0
    while state not in (END, ERROR, RELEASED):
        ask("linphone_core_iterate", core)
        time.sleep(0.02)
        if not call:
            call = ask("linphone_core_get_current_call", core)
            if not call:
                continue
            ask("linphone_call_ref", call)
        before, state = state, ask("linphone_call_get_state", call)
        if state != before:
            print("state", state, flush=True)
        if state == INCOMING and before != state:
            ask("linphone_call_accept", call)
        if hold_at and state == STREAMS_RUNNING and time.monotonic() > hold_at:
            hold_at = None
            print("hold", flush=True)
            ask("linphone_call_pause", call)


if __name__ == "__main__":
    main()
