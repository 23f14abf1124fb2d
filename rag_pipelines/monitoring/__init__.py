"""What Prometheus is told of sources and indexes.

What belongs here: figures that are computed from the database when they are asked for. What does not: what a
service counts of its own requests (`serving.metrics`), and what people are shown (`cli.status`).
"""
