"""Relays that mean harm: what they send is bounded in memory and time, and gets a name."""
