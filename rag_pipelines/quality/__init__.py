"""Data quality between the stages: what must hold of documents, chunks and vectors.

`suites` declares it, `library` computes it with Great Expectations inside Postgres (`process`: beside other
work), `runner` does so for a source and keeps the results. What an index version must show before it goes
live is not here but in `rag_pipelines.gates.checks`.
"""
