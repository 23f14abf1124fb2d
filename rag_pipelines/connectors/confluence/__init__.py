"""Confluence Cloud and Data Center: pages, blog posts, comments and attachments, with who may read them.

`connector` is what the registry names. `site` reads Confluence, with `cloud` and `data_center` for what
differs; `content` is what it reads; `tree` holds pages with what they inherit; `census` walks
over everything or what is new; `bodies` loads; `directory` lists who stands behind the principals.
"""
