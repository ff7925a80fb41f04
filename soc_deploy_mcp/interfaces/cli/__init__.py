"""The command line: subcommands, the live view, installing client files. Exports nothing."""
