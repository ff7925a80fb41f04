"""The hands: one package for each thing outside, with a Reader and, where it writes, a Writer. Knows no action."""
