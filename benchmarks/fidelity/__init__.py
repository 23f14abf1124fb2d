"""The parts of the fidelity benchmark: what a document shows, read by other means than our parsers.

What belongs here: the files and their formats (`corpus`), references by viewer (`office`, `flat_odf`,
`printed`, `browser`, `mail`), readers in their own processes (`readers`), comparing (`scoring`) and printing
(`report`). What does not: any parsing that is measured, and the command line (`benchmarks/fidelity.py`).
"""
