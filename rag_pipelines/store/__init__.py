"""Postgres and the blob store: connections, named queries, and the rows of each table.

What belongs here: reading and writing rows, in bulk. What does not: deciding what to write.
"""
