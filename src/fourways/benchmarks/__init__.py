"""One file per benchmark: read, prompt, parse, score. Knows dialects, never a family by name; never runs a model."""
