"""The four strategies as data: each file turns a PlanContext into steps; the loop that walks them is one."""
