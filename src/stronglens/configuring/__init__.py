"""The whole config, for the workflow: checked, explained, described; and the sources of each step."""
