"""The unit of systemd, installed as docs/installation.md says and run by a systemd in namespaces: `make systemd`."""
