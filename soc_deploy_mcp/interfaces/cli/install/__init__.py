"""Client files: what OpenCode and Claude Code need to know the command and the server. Standard library only."""
