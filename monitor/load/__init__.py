"""The load scenarios: what the daemon plays all day, played by hand, with many pairs and for a while.

`plan` is what was asked for, `pacing` when each pair starts and leaves, `scenarios` what one pair or connection does,
on the daemon's own clients (`probes`). What they publish goes to a `tally`, which fills `totals`: counts and latency
sketches that can be added up exactly, whichever process or machine they come from. `result` makes the JSON of totals
and reads it back, `verdict` holds it against objectives, `text` and `report` show it, `compare` holds two together.
"""
