"""What knowledge owners are told of their documents: copies, contradictions, and what has grown old.

What belongs here: findings over the catalogue, and their report. What does not: what searches do about copies
(`query.duplicates`), quality rules that stop a run (`quality`), and figures for Prometheus (`monitoring`).
"""
