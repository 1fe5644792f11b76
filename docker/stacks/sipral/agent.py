"""A user agent on sipral, a stack written in Rust: one call, refreshed by the stack itself.

sipral says how long, and leaves it to the other side who refreshes and how.
"""

from __future__ import annotations

import asyncio
import sys

sys.path.insert(0, "/opt/stacks")
import agent_arguments
from sipral import Stack
from sipral.enums import AudioMode, EventKind, SessionTimer


async def main() -> None:
    wanted = agent_arguments.read()
    loop = asyncio.get_running_loop()
    timer = SessionTimer.OFF if wanted.timer == "off" else SessionTimer.INTERVAL
    with Stack(
        bind_host=wanted.local, bind_port=5060, loop=loop, user_agent="sipral", audio=AudioMode.APPLICATION
    ) as stack:
        account = stack.add_account(
            f"sip:sipral@{wanted.local}",
            registrar_address=f"{wanted.through or wanted.edge}:5060",
            session_timer=timer,
            session_interval_seconds=wanted.expires,
        )
        print("ready", flush=True)
        if wanted.call:
            call = stack.place_call(account, f"sip:{wanted.call}@{wanted.edge}", media_host=wanted.local)
        else:
            while True:
                event = await stack.events.get()
                print(event.kind_name, flush=True)
                if event.kind == EventKind.INCOMING_CALL:
                    call = stack.answer_call(event, media_host=wanted.local)
                    break
        if wanted.hold_after:
            loop.call_later(wanted.hold_after, call.hold)
        while not call.ended:
            event = await call.events.get()
            print(event.kind_name, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
