"""Rules over recorded data: the pages that a rule set would have sent, and those that a change gains, loses or moves.

`rule_set` makes rules from a configuration or a rule file, `recorded` reads the samples that they select from
Prometheus, `rolling` evaluates the rules part by part, `compare` says what changed, `text` prints it; `run` does all.
"""
