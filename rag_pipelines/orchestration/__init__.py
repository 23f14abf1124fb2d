"""The Dagster shell: assets, checks, jobs, schedules and sensors over the core. No logic lives here.

Import the submodules directly; `build` puts them together. Nothing here reads a file, opens a
connection or imports a model library when it is imported. A function of this package gives the core its
arguments, and turns what comes back into what Dagster shows.
"""
