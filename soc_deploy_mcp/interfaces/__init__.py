"""The doors: they turn input into one Request and show runs and reports. They decide nothing. Exports nothing."""
