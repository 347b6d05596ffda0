"""Tables of samples from files: TSV, CSV, parquet, JSON and JSONL as streams of records, an image by way of each.

It must never know a prompt, a reply or a score, nor open what lies outside the folder that holds its table. What only
one kind of table needs has a file of its own: `own_cells` (a set of one's own), `refcoco_tables`.

Public face: `tables.read_table`, `records.Record`, `files` (what a benchmark's folder holds), `jsonl.decode_lines`."""
