"""A server of the Model Context Protocol over stdin and stdout: an assistant reads rollouts, and moves one if it may.

It holds nothing and decides nothing: each tool is one or two requests to a server's own API with the caller's token, so
rights, reasons, versions and the audit trail are the server's.
"""
