"""Data quality between the stages: what must hold of documents, chunks and vectors.

`suites` declares it, `runner` runs it with Great Expectations inside Postgres and keeps the results. What
an index version must show before it goes live is not here but in `rag_pipelines.index.gates`.
"""
