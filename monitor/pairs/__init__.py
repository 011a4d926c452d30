"""A dApp and a wallet with a session between them: relay admission, delivery tracking and diagnosis."""
