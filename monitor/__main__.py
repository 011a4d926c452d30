"""`python -m monitor` is the command `relay-monitor`."""

from monitor.cli import main

main()
