"""SharePoint Online and OneDrive by Microsoft Graph: files, site pages, list entries, and who may read them.

`connector` is what the registry names. `graph` reads Microsoft's interfaces; `places` finds sites and what
they hold; `drives` and `lists` read libraries and lists; `contents` loads; `principals` reads permissions,
and `directory` lists who stands behind the principals.
"""
