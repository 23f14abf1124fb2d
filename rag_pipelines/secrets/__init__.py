"""Secrets that the configuration names: ``${file:/run/secrets/url}``, ``${vault:secret/data/rag#url}``."""
