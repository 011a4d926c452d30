"""Every fault a relay can have, made to happen and named: `table` lists them, `scenes` make them.

`docs/faults.md` is written from the table by `reference`.
"""
