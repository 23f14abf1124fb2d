"""Jira, Cloud and Data Center: issues with their comments, attachments and the access that Jira grants.

`connector` is the connector; `listing` finds documents, `contents` reads them, `directory` lists who stands
behind access rules. `site` knows the requests, `jql`, `issues` and `access` are pure.
"""
