"""The HTTP service: logins, limits and JSON around `query.search.Searcher`, and a search page for people.

What belongs here: everything that speaks HTTP. What does not: searching, ranking and access rules; whom a
login stands for is decided here (`auth`), what they may read is decided in the database. FastAPI is
imported by what speaks HTTP only (`app`, `service`, `routes`, `page`, `events`, `problems`), so the rest can
be used and tested without it.
"""
