"""One file per architecture, and the contract they keep: from a conversation to tokens, features and scores.

Public: `contract` (what an engine calls, and a new family writes), `registry.find_family` (by architecture, third
parties' packages included), `visual_tokens` (exact counts before anything runs), and for authors of families `prompt`
(chat templates with guarded text), `loading` (safetensors, random weights) and `testing.FamilyContract` (the suite that
every family must pass).

A family knows nothing of requests, batches of requests, caches of features, engines or benchmarks; it never runs code
from a checkpoint, never reads pickled weights, and never lets a text act as control.
"""
