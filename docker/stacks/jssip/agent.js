// A user agent on JsSIP, the stack of browsers: one call, refreshed by the library itself.
//
// The library is the same in a browser. There the browser has the media; here nothing is heard or said, and the
// session is described as a telephone's.
"use strict";

const { parseArgs } = require("node:util");

const text = (name) => ({ [name]: { type: "string" } });
const { values: wanted } = parseArgs({
  options: Object.assign(
    {},
    ...["local", "edge", "call", "expires", "min-se", "refresher", "method", "timer", "hold-after"].map(text),
  ),
});

class Connection {
  constructor() {
    this.iceGatheringState = "complete";
    this.connectionState = this.iceConnectionState = "connected";
    this.signalingState = "stable";
    this.version = 0;
    this.direction = "sendrecv";
  }
  describe(type) {
    this.version += 1;
    const sdp = [
      "v=0", `o=jssip 7 ${this.version} IN IP4 ${wanted.local}`, "s=-", `c=IN IP4 ${wanted.local}`, "t=0 0",
      "m=audio 6000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", `a=${this.direction}`, "",
    ].join("\r\n");
    return Promise.resolve({ type, sdp });
  }
  createOffer() {
    this.direction = "sendrecv";  // the library writes a hold over it
    return this.describe("offer");
  }
  createAnswer() {
    const said = /a=(sendrecv|sendonly|recvonly|inactive)/.exec(this.remoteDescription.sdp)?.[1] ?? "sendrecv";
    this.direction = { sendonly: "recvonly", recvonly: "sendonly" }[said] ?? said;
    return this.describe("answer");
  }
  setLocalDescription(said) { this.localDescription = said; return Promise.resolve(); }
  setRemoteDescription(said) { this.remoteDescription = said; return Promise.resolve(); }
  getSenders() { return []; }
  addTrack() {}
  addEventListener() {}
  removeEventListener() {}
  close() { this.signalingState = "closed"; }
}

Object.assign(globalThis, {
  WebSocket: require("ws"),
  RTCPeerConnection: Connection,
  RTCSessionDescription: class { constructor(said) { Object.assign(this, said); } },
});
globalThis.window = globalThis;
const JsSIP = require("jssip");

const silence = { getTracks: () => [], getAudioTracks: () => [], getVideoTracks: () => [] };
const agent = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface("ws://127.0.0.1:8080")],
  uri: `sip:callee@${wanted.local}`,
  register: !wanted.call,
  session_timers: wanted.timer !== "off",
  session_timers_refresh_method: (wanted.method ?? "update").toUpperCase(),
});

function follow(session) {
  session.on("confirmed", () => {
    console.log("confirmed");
    if (Number(wanted["hold-after"])) setTimeout(() => session.hold(), 1000 * Number(wanted["hold-after"]));
  });
  for (const end of ["ended", "failed"]) {
    session.on(end, ({ cause }) => { console.log(end, cause); agent.stop(); setTimeout(() => process.exit(), 1000); });
  }
}

agent.on("newRTCSession", ({ originator, session }) => {
  follow(session);
  if (originator === "remote") session.answer({ mediaStream: silence, sessionTimersExpires: Number(wanted.expires) });
});
agent.on(wanted.call ? "connected" : "registered", () => {
  console.log("ready");
  if (!wanted.call) return;
  agent.call(`sip:${wanted.call}@${wanted.edge}`, {
    mediaStream: silence, sessionTimersExpires: Number(wanted.expires),
  });
});
agent.start();
