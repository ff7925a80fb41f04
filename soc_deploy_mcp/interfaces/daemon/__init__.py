"""The long-lived process behind a unix socket, and the standard-library shim that reaches it. Exports nothing."""
