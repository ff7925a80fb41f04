"""The sequential judge: counts in, words out. Pure, standard library's mathematics only, no clock, no I/O."""
