"""`fourways load`: candidates under load → a run folder like a comparison's.

It decides what is sent when (blocks, sweeps, fresh starts, a search for the greatest load that meets an SLO) and writes
rows. It must never compute a figure (figures does), time a request itself (the load client does), or call a load met
that it has not seen met.

Public face: `LoadJob` and `start_load`; `plan_of` (what would be sent)."""
