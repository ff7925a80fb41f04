"""The MCP server: tools, resources, a prompt. It watches runs; the work is never inside a request."""
