"""Tiny models with real configurations, made on the spot through the real libraries."""
