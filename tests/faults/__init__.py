"""Every fault a relay can have: `table` lists the faults, `setups` cause them.

`reference` generates docs/faults.md from the table.
"""
