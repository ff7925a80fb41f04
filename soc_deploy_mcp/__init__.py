"""soc-deploy, the Release Commander. This package exports nothing: it is on the client process's import path."""
