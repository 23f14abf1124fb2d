"""Test doubles of vendors' servers: real HTTP on the loopback, with state, faults and latency.

What belongs here: `server` and `faults`, which know HTTP only, and one module per vendor on top of
them, whose routes and answers have the shapes of the vendor's API documentation.
"""
