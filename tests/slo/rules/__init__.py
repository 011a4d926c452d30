"""The generated rules: their content, promtool cases, and properties of the rules of random configurations."""
