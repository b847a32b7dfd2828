"""Predicting with a member."""
