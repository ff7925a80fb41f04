"""The way back by hand: which release, hot or cold, and the incident report. Reuses deploy's strategies."""
