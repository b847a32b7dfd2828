"""Fitting a member."""
