"""The parts of the fidelity benchmark: what a document shows, read by other means than our parsers.

What belongs here: the files and their formats (`corpus`), what viewers show (`office`, `flat_odf`, `printed`,
`browser`, `mail`) put together (`references`) and judged (`exceptions`), engines in their own processes
(`readers`, `read`), and comparing (`scoring`). What does not: any parsing that is measured, and the command
line and tables (`benchmarks/fidelity.py`).
"""
