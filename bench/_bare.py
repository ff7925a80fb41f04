"""What the client process is compared with: about the smallest server that mcp's own SDK gives, over stdio."""

from mcp.server import MCPServer

server = MCPServer("bare")


@server.tool()
async def greet(name: str) -> str:
    """Say hello."""
    return f"hello, {name}"


if __name__ == "__main__":
    server.run("stdio")
