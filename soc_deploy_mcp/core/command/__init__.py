"""One line of text becomes one Request: tokens, flags, words, inference, corrections, and back to a line.

Nothing here runs, reads or guesses an action. `flags` imports the standard library only: help and completion read it.
"""
