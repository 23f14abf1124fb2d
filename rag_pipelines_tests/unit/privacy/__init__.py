"""Tests of what is found in texts and documents, and of masks."""
