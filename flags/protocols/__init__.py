"""The wire: what official SDKs and providers say, and what they are answered."""
