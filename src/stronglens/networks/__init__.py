"""From packed cutouts to logits: samples, preprocessing, networks, weights, devices."""
