"""The language: nouns, the command grammar, configuration, evidence, events, the report. Pure: no I/O."""
