"""What is done: each action has a gather (reads only), a pure plan, and the steps that carry it out."""
