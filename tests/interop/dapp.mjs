// The protocol's own dApp, driven by JSON lines: commands on stdin, events on stdout.
//   {"do":"connect","mode":"trusted"} {"do":"otp","otp":"123456"} {"do":"send","payload":{...}} {"do":"disconnect"}
// Usage: node dapp.mjs URL

import { createInterface } from "node:readline";
import { SessionStore, WebSocketTransport } from "@metamask/mobile-wallet-protocol-core";
import { DappClient } from "@metamask/mobile-wallet-protocol-dapp-client";
import WebSocket from "ws";
import { keys } from "./keys.mjs";

const say = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);

const values = new Map();
const kvstore = {
  get: async (key) => values.get(key) ?? null,
  set: async (key, value) => void values.set(key, value),
  delete: async (key) => void values.delete(key),
};

const transport = await WebSocketTransport.create({ url: process.argv[2], kvstore, websocket: WebSocket });
const dapp = new DappClient({ transport, sessionstore: await SessionStore.create(kvstore), keymanager: keys });

let otp;
dapp.on("session_request", (request) => say("session_request", { request }));
dapp.on("otp_required", (asked) => {
  otp = asked;
  say("otp_required", { deadline: asked.deadline });
});
dapp.on("connected", () => say("connected"));
dapp.on("message", (payload) => say("message", { payload }));
dapp.on("error", (error) => say("error", { code: error.code ?? "", message: error.message }));

const actions = {
  connect: ({ mode }) => dapp.connect({ mode }),
  otp: (command) => otp.submit(command.otp),
  send: ({ payload }) => dapp.sendRequest(payload),
  disconnect: () => dapp.disconnect(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  // Not awaited: connect resolves only after the commands that follow it.
  Promise.resolve()
    .then(() => actions[command.do](command))
    .then(() => say("done", { did: command.do }))
    .catch((error) => say("failed", { did: command.do, code: error.code ?? "", message: error.message }));
}
process.exit(0);
