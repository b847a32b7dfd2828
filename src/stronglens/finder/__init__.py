"""The library's API: probabilities from a capsule, for pixels in memory or any source of cutouts."""
