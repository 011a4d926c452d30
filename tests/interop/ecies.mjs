// eciesjs, driven by JSON lines: {"do":"encrypt","text":…,"publicKey":base64} or {"do":"decrypt","payload":…,"privateKey":base64}.

import { createInterface } from "node:readline";
import { keys } from "./keys.mjs";

const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const result =
    asked.do === "encrypt"
      ? await keys.encrypt(asked.text, bytes(asked.publicKey))
      : await keys.decrypt(asked.payload, bytes(asked.privateKey));
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
