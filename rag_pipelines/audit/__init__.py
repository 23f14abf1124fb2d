"""Who did what: whether the record of it is as it was written, and what is handed out of it.

What belongs here: reading `rag.audit`. What does not: leaving rows in it (`store.audit`).
"""
