"""Whether a relay delivers messages at all: the relay verdict and the attempts that confirm it."""
