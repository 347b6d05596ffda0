"""One file per benchmark: read, prompt, parse, score.

Knows dialects and box formats, never a family by name; never runs a model, and never opens what its data does not name.
Prompts, parsers and scorers follow the official programs to the letter: where those are weak, a sound companion stands
beside them under its own name.

Here: a file a benchmark. `reading`: tables to records. `answers`: what several benchmarks ask, read and score alike.
`predictions`: answers that somebody else produced.

Public face: `registry` (key → benchmark), `contract` (what a benchmark is), `draw` (which samples a limited run asks),
`suite.detect`, and `answers.boxes` (declared formats ↔ pixels; training prompts are rendered with it).
"""
