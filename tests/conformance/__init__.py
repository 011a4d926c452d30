"""Conformance tests in raw JSON frames, against each kind of relay."""
