"""The registry of pure checks: (Facts, Plan) -> Check. One file an area."""
