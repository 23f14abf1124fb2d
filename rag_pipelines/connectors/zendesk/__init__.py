"""Zendesk: articles of help centers with their translations and attachments, and tickets.

What belongs here: everything that knows Zendesk. What does not: HTTP (`http`, `connectors.rest`).
"""
