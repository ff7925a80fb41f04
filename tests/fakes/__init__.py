"""A world in one process on a clock that is turned: for tests of what decides, beside those that drive the real one."""
