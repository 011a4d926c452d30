"""The commands and snippets of the documentation: every one is executed, checked, or says what it needs."""
