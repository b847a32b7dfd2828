"""Searching for a model's best settings."""
