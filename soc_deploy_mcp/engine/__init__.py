"""How a plan is carried out safely: journal, leases, epochs, signals, the runner. Knows no action and no tool."""
