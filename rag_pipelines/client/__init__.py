"""Clients of the HTTP service, for applications that need neither the database nor the model.

What belongs here: asking the service, with its values as types and its problems as the errors of
`rag_pipelines.errors`. What does not: searching in this process (`query`), and other frameworks (`adapters`).
"""
