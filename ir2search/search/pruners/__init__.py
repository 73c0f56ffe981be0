"""Pruners: which trials go on at a rung."""
