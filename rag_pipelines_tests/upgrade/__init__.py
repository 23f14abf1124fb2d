"""Databases of earlier releases, kept in ``samples/upgrade``, under the code of today."""
