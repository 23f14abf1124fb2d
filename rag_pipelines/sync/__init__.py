"""The ingest engine: what a run does to a source.

`diff` decides, `listing` brings the catalogue in line with the source, `advance` brings parses, chunks and
vectors in line with the catalogue, `engine` puts them together, `shards` has several processes do it,
`report` says what happened.
"""
