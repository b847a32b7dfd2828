"""What can be set, one module a step, so that a change to one step's settings concerns that step alone."""
