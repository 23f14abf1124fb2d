"""ServiceNow: articles of the knowledge bases with their blocks and attachments, and items of the catalogue.

What belongs here: everything that knows ServiceNow. What does not: HTTP (`http`, `connectors.rest`).
"""
