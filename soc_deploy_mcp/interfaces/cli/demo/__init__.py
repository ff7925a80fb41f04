"""`soc-deploy demo`: the example shop, users on it, and the public command line. Exports nothing."""
