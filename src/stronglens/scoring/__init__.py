"""Metrics and plots of probabilities against labels."""
