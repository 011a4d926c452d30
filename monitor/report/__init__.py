"""The report of a month: attainment of each objective, and incidents. `month` and `model` are pure.

`reading` asks Prometheus; `text` writes Markdown, JSON and CSV.
"""
