"""The thin query side: live version → one SQL statement → hits with citations.

`search` is all there is to call; `hits` holds what comes back and what may be asked for.
"""
