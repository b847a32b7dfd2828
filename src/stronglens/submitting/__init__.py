"""The file that is sent to the challenge."""
