"""HTTP around every route: URL converters, proxies, health and the OpenAPI document."""
