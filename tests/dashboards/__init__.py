"""Draws the dashboards from their JSON over a Prometheus, and tests what is drawn.

`time_range`, `prometheus`, `variables` and `frames` run the queries of a panel as Grafana does. `units`, `fields`,
`colours` and `transformations` turn the results into texts and colours; `plots`, `timelines`, `heatmaps`, `stats` and
`tables` draw them, `page` puts the panels on a page and `pictures` takes pictures of it with Chromium. `worlds` starts
monitors on relays in each kind of trouble, and `synthetic` writes the series of monitors that are too large to start.

It is an approximation of Grafana: what it draws, and in which size, is Grafana's; fonts and details are not.
"""
