"""From members' predictions to one probability for each object, and the threshold t*."""
