"""Simulated lenses and look-alikes in the challenge's format: the pipeline runs without any other data."""
