"""The OCI runtime specification as tests of any runtime's command line; README.md says how to use it."""
