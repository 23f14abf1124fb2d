"""Google Drive: files and folders of shared drives and My Drives, with who may read them.

`connector` is what the registry names. `login` knows as whom to ask, `api` asks, `files` is what it reads;
`scopes` finds the drives; `tree` holds the folders of one; `listing` walks over everything, `feed` over what
changed, `lookup` asks for single files; `access` makes rules of permissions, `directory` lists who stands
behind the principals; `contents` loads.
"""
