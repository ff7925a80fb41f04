"""The user's project: where it is, what it says of itself, its configuration, its tests, and files written into it."""
