"""`doors.App` over the engine: a line becomes a run, a run becomes views, reports and progress. Decides nothing."""
