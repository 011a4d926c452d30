"""The long-running monitor: composition root, probe supervisor and result pipeline."""
