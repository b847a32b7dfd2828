"""Catalogues of a test set that other programs read, and known lenses found again in it."""
