"""Finding strong gravitational lenses in survey cutouts. Knows nothing of Snakemake."""
