"""Run the command `relay-monitor`: `python -m monitor`."""

from monitor.cli import main

main()
