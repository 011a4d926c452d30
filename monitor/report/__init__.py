"""The report of a month: attainment of each objective, and incidents. `month` and `model` are pure.

`reading` asks Prometheus, `text` and `tables` write the result as Markdown, JSON and CSV.
"""
