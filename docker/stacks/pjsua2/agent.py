"""A user agent on pjsua2, PJSIP's own Python binding: one call, refreshed by the stack itself.

pjsua2 never names a refresher, and takes UPDATE wherever the other side allows it.
"""

from __future__ import annotations

import sys
import time

sys.path.insert(0, "/opt/stacks")
import agent_arguments
import pjsua2 as pj

AS_IS = pj.CallOpParam(True)  # noqa: FBT003 - the account's own settings
TIMER = {"off": 0, "optional": 1, "required": 2, "always": 3}


class Call(pj.Call):
    """The call, which ends the program with itself."""

    over = False

    def onCallState(self, prm: object) -> None:  # noqa: N802, ARG002 - pjsua2's name
        info = self.getInfo()
        print(info.stateText, info.lastStatusCode, flush=True)
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.over = True


class Account(pj.Account):
    """Answers what comes in."""

    calls: list[Call]

    def onIncomingCall(self, prm: object) -> None:  # noqa: N802 - pjsua2's name
        call = Call(self, prm.callId)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        self.calls.append(call)
        call.answer(answer)


def main() -> None:
    wanted = agent_arguments.read()
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    config = pj.EpConfig()
    config.logConfig.level = config.logConfig.consoleLevel = 3
    config.uaConfig.userAgent = "pjsua2"
    config.uaConfig.threadCnt = 0  # everything happens in this thread
    config.uaConfig.mainThreadOnly = True
    config.medConfig.noVad = True
    endpoint.libInit(config)
    transport = pj.TransportConfig()
    transport.port = 5060
    transport.boundAddress = transport.publicAddress = wanted.local
    endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()

    settings = pj.AccountConfig()
    settings.idUri = f"sip:pjsua2@{wanted.local}"
    if wanted.through:
        settings.sipConfig.proxies.append(f"sip:{wanted.through};lr")
    settings.callConfig.timerUse = TIMER[wanted.timer]
    settings.callConfig.timerSessExpiresSec = wanted.expires
    settings.callConfig.timerMinSESec = wanted.min_se
    settings.mediaConfig.transportConfig.boundAddress = wanted.local
    account = Account()
    account.calls = []
    account.create(settings)
    print("ready", flush=True)
    if wanted.call:
        call = Call(account)
        account.calls.append(call)
        call.makeCall(f"sip:{wanted.call}@{wanted.edge}", AS_IS)

    hold_at = time.monotonic() + wanted.hold_after if wanted.hold_after else None
    while not (account.calls and account.calls[0].over):
        endpoint.libHandleEvents(50)
        if hold_at and time.monotonic() > hold_at and account.calls:
            hold_at = None
            print("hold", flush=True)
            account.calls[0].setHold(AS_IS)
    endpoint.libDestroy()


if __name__ == "__main__":
    main()
