"""Where cutouts come from: one module for each kind of source, one protocol for all of them."""
