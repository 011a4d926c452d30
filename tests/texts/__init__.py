"""What an on-call engineer receives: incidents with real programs, the texts of their alerts, and their runbooks."""
