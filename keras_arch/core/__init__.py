"""Plumbing that every room stands on: argument checks, identifiers, registration, model walking, optional imports."""
