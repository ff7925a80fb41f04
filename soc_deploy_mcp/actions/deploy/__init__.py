"""How a version reaches users: strategies, the state machine, the judge, and the program that carries a plan out."""
