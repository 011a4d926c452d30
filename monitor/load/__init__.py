"""Load tests: the daemon's scenarios with many pairs, for a limited time, on the daemon's own clients.

`plan` has the settings of a test. `load_runner` runs it in this process, `workers` in several. `scenario_runner` starts
each pair or connection of `pair_scenarios` and `bare_connection` at the time from `pacing`. What they publish is
counted by `statistics` in `totals`: counts and latency sketches, which can be added up exactly over processes and
machines. `conversion` turns totals into a `result`, which `result_file` reads, `merge` merges and `compare` compares.
`verdict` checks the objectives; `text`, `report` and `progress` show it, `serving` exports metrics.
"""
