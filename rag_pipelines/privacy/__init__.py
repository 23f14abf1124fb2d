"""Personal data and secrets in documents: what they are, where they stand, and text without them.

What belongs here: kinds, profiles, finding and masking. What does not: when documents are screened and what
becomes of them (`sync`), and the gate that holds a version to it (`gates`).
"""
