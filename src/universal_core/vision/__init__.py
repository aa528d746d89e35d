"""Endpoints that look at pictures: built-in plugins that answer register_routes, one file an endpoint family."""
