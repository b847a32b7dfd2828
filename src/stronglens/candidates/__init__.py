"""A page to look at candidates with, that needs neither a server nor a network."""
