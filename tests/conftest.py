"""What all tests share."""

from hypothesis import settings

# The time of one example says nothing on a machine that others use too.
settings.register_profile("project", deadline=None)
settings.load_profile("project")
