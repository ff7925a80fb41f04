"""Who decides: the walk from a Request to the gate, and the checks on the way. Readers only, never a Writer."""
