"""Measuring retrieval: golden sets, figures per question, significance, tuning, reports, the quality gate.

Import the submodules directly; importing this package loads nothing.
"""
