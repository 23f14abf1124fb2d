"""Backups: what a deployment stores as files that can be proved whole, and a new deployment from them."""
