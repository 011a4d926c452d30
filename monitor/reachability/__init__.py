"""Whether a relay can be reached: the relay verdict and the attempts that confirm it."""
