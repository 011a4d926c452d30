// The protocol's key manager with eciesjs, as its production clients use it.

import { decrypt, encrypt, PrivateKey, PublicKey } from "eciesjs";

export const keys = {
  generateKeyPair() {
    const secret = new PrivateKey();
    return { privateKey: new Uint8Array(secret.secret), publicKey: secret.publicKey.toBytes(true) };
  },
  async encrypt(plaintext, theirPublicKey) {
    return encrypt(theirPublicKey, Buffer.from(plaintext, "utf8")).toString("base64");
  },
  async decrypt(payload, privateKey) {
    return Buffer.from(decrypt(privateKey, Buffer.from(payload, "base64"))).toString("utf8");
  },
  validatePeerKey(key) {
    PublicKey.fromHex(Buffer.from(key).toString("hex"));
  },
};
