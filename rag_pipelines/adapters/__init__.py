"""Searching from other frameworks, one module each, each with an extra of its name.

What belongs here: hits in the words of a framework, and whom it searches for. What does not: anything that
decides what is found.

The tenant and the principals are fixed when an adapter is made, by whoever knows who asks; a question, or a
model that writes one, changes neither.
"""
