"""Index versions: build, catch up, validate, promote, roll back, collect garbage.

`versions` is the state machine, `storage` the physical tables, `build` makes a candidate, `gates` judges it,
`promotion` flips it live. Nothing here knows a source or a parser.
"""
