"""Typed system calls. The only importer of the native module."""
