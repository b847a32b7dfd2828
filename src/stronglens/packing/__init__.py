"""From files on disk to packed cutouts: find, read, check, pack, describe."""
